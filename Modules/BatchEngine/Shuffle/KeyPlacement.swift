public import Synchronization

/// Which output partition a key belongs to.
public enum KeyPlacement<Key: StreamKey>: Sendable {
    /// By the key's stable hash.
    case hash
    /// By a user's partitioner; the number of partitions is the partitioner's own.
    case custom(any Partitioner<Key>)

    /// The partition of `key` among `count` partitions.
    ///
    /// - Throws: ``EngineError`` when a custom partitioner answers outside `0..<count`.
    @inlinable
    public func partition(for key: Key, count: Int) throws -> Int {
        switch self {
        case .hash:
            return count == 1 ? 0 : HashPartitioner<Key>.partition(for: key, count: count)
        case .custom(let partitioner):
            let index = partitioner.partition(for: key)
            guard index >= 0, index < count else {
                throw EngineError(
                    .invalidPlan,
                    "\(type(of: partitioner)) put a key into partition \(index) of \(count)")
            }
            return index
        }
    }
}

/// Remembers how large a table grew, so that the next batch's table starts at that size.
public final class TableSizeHint: Sendable {
    @usableFromInline let keys = Atomic<Int>(0)

    /// Makes a hint that knows nothing.
    public init() {}

    /// The number of keys to make room for.
    @inlinable
    public var capacity: Int { keys.load(ordering: .relaxed) }

    /// Notes that a table ended with `count` keys; follows growth at once and shrinks slowly.
    @inlinable
    public func record(_ count: Int) {
        let old = keys.load(ordering: .relaxed)
        keys.store(count >= old ? count : old - (old - count) / 8, ordering: .relaxed)
    }
}
