public import BatchEngine

/// A partition of a topic.
public struct TopicPartition: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The topic's name.
    public let topic: String
    /// The partition's number.
    public let partition: Int

    /// Names a partition.
    public init(topic: String, partition: Int) {
        self.topic = topic
        self.partition = partition
    }

    /// By topic, then by number.
    public static func < (left: TopicPartition, right: TopicPartition) -> Bool {
        (left.topic, left.partition) < (right.topic, right.partition)
    }

    /// `topic-partition`.
    public var description: String { "\(topic)-\(partition)" }
}

/// Records of one partition, from an offset up to, and without, another.
public struct OffsetRange: Sendable, Hashable, CustomStringConvertible {
    /// The partition.
    public let topicPartition: TopicPartition
    /// The first record's offset.
    public let fromOffset: Int64
    /// The offset after the last record's.
    public let untilOffset: Int64

    /// Makes a range; one that ends before it begins is empty.
    public init(_ topicPartition: TopicPartition, from: Int64, until: Int64) {
        self.topicPartition = topicPartition
        fromOffset = from
        untilOffset = max(from, until)
    }

    /// The partition's topic.
    public var topic: String { topicPartition.topic }
    /// The partition's number.
    public var partition: Int { topicPartition.partition }
    /// How many offsets it spans, `Int.max` if that is too many to count.
    public var count: Int {
        let (count, isTooMany) = untilOffset.subtractingReportingOverflow(fromOffset)
        return isTooMany ? .max : Int(clamping: count)
    }

    /// Partition and offsets.
    public var description: String { "\(topicPartition): \(fromOffset)..<\(untilOffset)" }
}

extension OffsetRange: StreamCodable {
    /// Appends topic, partition and offsets.
    public func encode(to writer: inout ByteWriter) {
        writer.writeString(topic)
        writer.writeZigzag(Int64(partition))
        writer.writeZigzag(fromOffset)
        writer.writeZigzag(untilOffset)
    }

    /// Reads a range.
    public static func decode(from reader: inout ByteReader) throws -> OffsetRange {
        let topic = try reader.readString()
        let partition = Int(clamping: try reader.readZigzag())
        let (from, until) = (try reader.readZigzag(), try reader.readZigzag())
        guard from <= until else {
            throw CodecError(
                .invalidValue, "a range of offsets from \(from) ends at \(until)")
        }
        return OffsetRange(
            TopicPartition(topic: topic, partition: partition), from: from, until: until)
    }
}

/// Where records stay readable behind offsets that never change: a broker such as Kafka, or a log.
///
/// Nothing is received ahead of time: each batch takes a range of offsets, noted durably before it
/// runs, and its tasks read them. So a batch that runs again reads exactly the same, without a
/// write-ahead log.
///
/// `checkDirectSource` of DStreamTestKit checks a source of your own.
public protocol DirectSource<Element>: Sendable {
    /// What is read.
    associatedtype Element: Sendable

    /// The partitions there are, each with the offset that its next record will have.
    ///
    /// Called once per batch. Partitions may be added. One that ends before where earlier batches
    /// ended, or is missing, counts as lost: what follows says the stream's ``DataLossPolicy``. So
    /// throw when a partition cannot be asked at the moment; leave out only what is gone for good.
    ///
    /// A topic that is made anew and outgrows the old one between two batches looks the same by its
    /// offsets: a source that knows which one it is, such as by an id, adds that to the topic's name.
    ///
    /// - Throws: called again then, as often as the stream's ``RetryPolicy`` says.
    func latestOffsets() async throws -> [TopicPartition: Int64]

    /// The oldest records that can still be read, as far as the source knows; without, it is the
    /// reading that fails.
    ///
    /// Called once per batch, after ``latestOffsets()``.
    func earliestOffsets() async throws -> [TopicPartition: Int64]

    /// Where to begin with a partition that this program has not read from before; not beyond its
    /// latest offset.
    ///
    /// A partition that was added while the stream ran begins at ``earliestOffsets()``, if known.
    func startingOffset(of partition: TopicPartition) async throws -> Int64

    /// Gives the records of a range to `body`, in the order of their offsets.
    ///
    /// Called on an engine thread, where it may block, and again for the same range when a task or
    /// a batch is run again. Offsets may lack records.
    ///
    /// - Throws: when not all of the range can be read any more; the task fails then.
    func read(_ range: OffsetRange, _ body: (Element) throws -> Void) throws
}

extension DirectSource {
    /// Nothing is known.
    public func earliestOffsets() async throws -> [TopicPartition: Int64] { [:] }
}
