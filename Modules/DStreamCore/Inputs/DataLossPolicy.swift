internal import BatchEngine

/// What a direct stream does when records that it has not read are gone: a partition ends before
/// where earlier batches ended, as its topic was made anew; the oldest record that is left lies
/// beyond; or a partition is gone.
///
/// The last two read on, and report what was skipped with ``StreamEvent/inputSkipped(time:stream:reason:)``.
public enum DataLossPolicy: Sendable, Hashable {
    /// The batch cannot be generated, and no later one either, Kafka's `none`: until another policy is
    /// chosen, or the records are back.
    ///
    /// A partition that was seen to be gone, or to end too early, stays lost however much it has grown
    /// since: it may have been made anew. If it was not, make the batch forget it, with `inspect inputs
    /// forget`, while the program is stopped.
    case fail
    /// The stream reads on from the oldest record that is there.
    case earliest
    /// The stream reads on from the newest: what is there now is skipped.
    case skip
}

/// Where a partition cannot go on.
struct OffsetLoss: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        /// It ends, or ended when that was seen, before where earlier batches ended.
        case endsBefore(Int64)
        /// Its oldest record lies beyond.
        case beginsAfter(Int64)
        /// It is not there.
        case gone
    }

    let partition: TopicPartition
    /// Where earlier batches ended.
    let expected: Int64
    let kind: Kind

    /// What happened, in words.
    var text: String {
        switch kind {
        case .endsBefore(let end):
            "\(partition) ended at offset \(end), and earlier batches ended at \(expected): its "
                + "topic was made anew, or records were removed"
        case .beginsAfter(let first):
            "\(partition) begins at offset \(first), and earlier batches ended at \(expected): "
                + "the records in between were removed"
        case .gone:
            "\(partition) was found to be gone; earlier batches ended at offset \(expected)"
        }
    }

    /// What is kept of it, so that it is known also when the partition has grown: a range that ends
    /// where earlier batches ended; nil: the source will say it again.
    var mark: OffsetRange? {
        switch kind {
        case .endsBefore(let end): OffsetRange(partition, from: end, until: expected)
        case .gone:
            expected == .min ? nil : OffsetRange(partition, from: .min, until: expected)
        case .beginsAfter: nil
        }
    }
}
