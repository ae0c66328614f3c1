public import BatchEngine

/// What checkpoints hold of one operator's state, and how far the next whole of it has come.
///
/// ## When a whole is due
/// Changes are kept batch by batch. Once they are twice as many as keys (and 10,000), all keys are
/// written again, in slices over as many checkpoints as it takes; each writes two keys for every
/// change that it writes, and 8,192 at least; a whole for which one checkpoint is enough takes the
/// place of the changes in it. When the last slice is durable, what was written
/// before the first one is not needed any more. So of *n* keys at most 4.5 *n* states are in the log
/// and needed: the last whole, 2 *n* changes until the next one is due, that one, and *n* / 2 changes
/// meanwhile.
@usableFromInline
struct StateCaptureProgress: Sendable {
    /// A whole that is being written, slice by slice.
    @usableFromInline
    struct Round: Sendable {
        /// The batch as of which the first slice is.
        @usableFromInline let start: BatchTime
        @usableFromInline var cursors: [StateSliceCursor]
        /// Changes written since the start.
        @usableFromInline var changeCount = 0

        @usableFromInline
        init(start: BatchTime, partitions: Int) {
            self.start = start
            cursors = [StateSliceCursor](repeating: StateSliceCursor(), count: partitions)
        }
    }

    /// What is durable, or will be with a write.
    @usableFromInline
    struct Kept: Sendable {
        /// All changes through this batch are kept; nil: nothing is.
        @usableFromInline var through: BatchTime?
        /// What is kept of this batch and later ones holds every key; nil: nothing was kept.
        @usableFromInline var base: BatchTime?
        /// Changes since the base.
        @usableFromInline var changeCount = 0
        @usableFromInline var round: Round?
        /// Whether the first batch of this run began with what is kept.
        @usableFromInline var isRestored = false

        @usableFromInline
        init() {}

        /// Whether all keys are to be written again.
        @usableFromInline
        func isWholeDue(of keyCount: Int) -> Bool { changeCount > max(2 * keyCount, 10_000) }
    }

    private var kept = Kept()
    private var proposed: Kept?
    /// Whether changes must stay readable until they are kept.
    var isOn = false

    /// Takes note of how the last write has ended.
    ///
    /// - Parameter since: the batch whose state was kept last.
    mutating func settle(since: BatchTime?) -> Kept {
        if let through = proposed?.through, let since, through <= since {
            kept = proposed ?? kept
        }
        proposed = nil
        return kept
    }

    mutating func propose(_ next: Kept, at time: BatchTime) {
        proposed = next
        proposed?.through = time
    }

    mutating func restore(_ kept: Kept) {
        self.kept = kept
    }

    /// The version after which changes must stay readable.
    func oldestNeeded(at time: BatchTime) -> BatchTime {
        isOn ? kept.through ?? BatchTime(milliseconds: .min) : time
    }
}
