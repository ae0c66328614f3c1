/// A rule that says which partition a key belongs to.
///
/// The rule must give the same answer in every process and run: build it on
/// ``StreamKey/stableHash``, never on `hashValue`. `checkPartitioner` of DStreamTestKit checks one of
/// your own.
public protocol Partitioner<Key>: Sendable {
    /// The keys it can place.
    associatedtype Key: StreamKey

    /// The number of partitions, at least 1.
    var partitionCount: Int { get }

    /// The partition of a key, from 0 up to but not including ``partitionCount``.
    ///
    /// Keys that are the same by ``StreamKey/isSameKey(_:_:)`` must get the same partition.
    func partition(for key: Key) -> Int
}

/// The partitioner that spreads keys evenly by their stable hash.
public struct HashPartitioner<Key: StreamKey>: Partitioner {
    /// The number of partitions, at least 1.
    public let partitionCount: Int

    /// Creates a partitioner; operators refuse a `partitionCount` below 1, RDDs take it for 1.
    @inlinable
    public init(partitionCount: Int) {
        self.partitionCount = partitionCount
    }

    /// The partition of a key.
    @inlinable
    public func partition(for key: Key) -> Int {
        Self.partition(for: key, count: partitionCount)
    }

    /// The partition of a key among `count` partitions.
    @inlinable
    public static func partition(for key: Key, count: Int) -> Int {
        partition(forHash: key.stableHash, count: count)
    }

    /// The partition of a key whose stable hash is known, among `count` partitions.
    ///
    /// The hash, taken as a fraction of 2⁶⁴, is scaled to `count` (Lemire, "Fast random integer
    /// generation in an interval", 2019). Its highest bits decide, while ``AggregationTable`` uses
    /// the lowest 32: keys of one partition still spread over the whole of a table.
    @inlinable
    public static func partition(forHash hash: UInt64, count: Int) -> Int {
        Int(truncatingIfNeeded: hash.multipliedFullWidth(by: UInt64(max(0, count))).high)
    }
}
