internal import DStreamCore

/// Keeps checkpoints apart where batches are short: a later one says all that those before it say.
struct CheckpointSpacing: Sendable {
    /// The present time.
    var now = BatchTime.zero
    /// Whether a checkpoint was put off that nothing has taken the place of.
    private(set) var isPostponed = false
    private var last: BatchTime?
    private let spacing: Duration

    /// Batches as long as `spacing` or longer have all their checkpoints: else the last one of a
    /// batch would wait for the next batch.
    init(_ spacing: Duration, interval: Duration) {
        self.spacing = interval < spacing ? spacing : .zero
    }

    /// Whether a checkpoint that is asked for is written now; else it is put off.
    mutating func takes(mayWait: Bool) -> Bool {
        // A clock that was set back puts nothing off: no batch may come for a long time.
        isPostponed = mayWait && last.map { now >= $0 && now - $0 < spacing } ?? false
        if !isPostponed { last = now }
        return !isPostponed
    }
}
