/// Which batches an output holds: ranges of batch times, so that years of batches take little room.
///
/// A newest time alone would not do: a failed batch can run again after later ones were committed.
public struct CommittedBatches: Sendable, Hashable {
    /// Batch times from one to another, a step apart, the ends included.
    public struct Range: Sendable, Hashable {
        /// The oldest batch.
        public let first: BatchTime
        /// The newest batch.
        public let last: BatchTime
        /// The time between two of them, more than 0.
        public let step: Duration

        /// Makes a range; a step of less than a millisecond counts as one, a last batch before the
        /// first as the first.
        public init(_ first: BatchTime, through last: BatchTime, step: Duration) {
            self.first = first
            self.last = max(first, last)
            self.step = max(step, .milliseconds(1))
        }

        /// Whether a batch is one of these.
        public func contains(_ batch: BatchTime) -> Bool {
            guard first <= batch, batch <= last else { return false }
            return (batch - first).milliseconds % step.milliseconds == 0
        }

        /// Whether all batches of another range are among these.
        func includes(_ other: Range) -> Bool {
            contains(other.first) && contains(other.last)
                && (other.first == other.last
                    || other.step.milliseconds % step.milliseconds == 0)
        }

        /// The two as one range, when the later one goes on where this one ends.
        func joined(_ next: Range) -> Range? {
            let step = first == last ? next.step : self.step
            guard next.first == next.last || next.step == step, last + step == next.first else {
                return nil
            }
            return Range(first, through: next.last, step: step)
        }
    }

    /// How many ranges are remembered; of more the oldest are forgotten.
    ///
    /// Batches that come one after the other make one range. A new one begins after a batch that
    /// was skipped or failed, and after each start that does not resume from a checkpoint.
    public static let rangeMaximum = 10_000

    /// The ranges, oldest first.
    public private(set) var ranges: [Range] = []
    /// Of this batch, and those before it that are in no range, nothing is known any more; nil: all
    /// is known.
    public private(set) var forgottenThrough: BatchTime?

    /// No batches.
    public init() {}

    /// The batches of ranges that were kept somewhere, in any order.
    ///
    /// - Parameter forgottenThrough: what ``forgottenThrough-swift.property`` said then.
    public init(_ ranges: some Sequence<Range>, forgottenThrough: BatchTime? = nil) {
        self.forgottenThrough = forgottenThrough
        // The longer one first: it may say what the shorter one says.
        for range in ranges.sorted(by: { ($0.first, $1.last) < ($1.first, $0.last) }) {
            if let last = self.ranges.last, last.includes(range) { continue }
            if let last = self.ranges.last, let joined = last.joined(range) {
                self.ranges[self.ranges.count - 1] = joined
            } else {
                self.ranges.append(range)
            }
        }
        forgetOldest()
    }

    /// The newest batch; nil: there is none.
    public var newest: BatchTime? { ranges.map(\.last).max() }

    /// Whether a batch is among them.
    ///
    /// Complexity: O(number of ranges).
    public func contains(_ batch: BatchTime) -> Bool {
        // The newest ranges first: that is where nearly all questions are about.
        ranges.reversed().contains { $0.contains(batch) }
    }

    /// Whether it is forgotten if a batch is among them.
    public func hasForgotten(_ batch: BatchTime) -> Bool {
        guard let forgottenThrough, batch <= forgottenThrough else { return false }
        return !contains(batch)
    }

    /// Adds a batch; one that is there changes nothing.
    ///
    /// Complexity: O(number of ranges).
    ///
    /// - Parameter step: the time between the batches of the output.
    public mutating func insert(_ batch: BatchTime, step: Duration) {
        guard !contains(batch) else { return }
        var new = Range(batch, through: batch, step: step)
        var index = ranges.count
        while index > 0, ranges[index - 1].first > batch { index -= 1 }
        if index < ranges.count, let joined = new.joined(ranges[index]) {
            new = joined
            ranges.remove(at: index)
        }
        if index > 0, let joined = ranges[index - 1].joined(new) {
            ranges[index - 1] = joined
        } else {
            ranges.insert(new, at: index)
        }
        forgetOldest()
    }

    private mutating func forgetOldest() {
        guard ranges.count > Self.rangeMaximum else { return }
        let old = ranges.prefix(ranges.count - Self.rangeMaximum)
        let newest = old.map(\.last).max() ?? .zero
        forgottenThrough = max(forgottenThrough ?? newest, newest)
        ranges.removeFirst(old.count)
    }
}
