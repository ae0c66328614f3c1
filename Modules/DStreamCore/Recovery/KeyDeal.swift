public import BatchEngine
internal import Synchronization

/// Deals what a checkpoint holds of a stream of keys out as this program has it.
///
/// An earlier run may have had another number of partitions, another partitioner, or keys with another
/// hash: no name could tell, so each key is looked at.
@usableFromInline
struct KeyDeal<Key: StreamKey, Value: Sendable>: Sendable {
    @usableFromInline let placement: KeyPlacement<Key>

    @inlinable
    init(_ placement: KeyPlacement<Key>) { self.placement = placement }

    /// Whether each key lies in the partition of so many to which it belongs.
    ///
    /// - Complexity: O(*n*) in the keys, up to the first that does not.
    @inlinable
    func isDealt(_ partitions: [[(Key, Value)]]) throws -> Bool {
        if case .custom(let rule) = placement, rule.partitionCount != partitions.count {
            return false
        }
        for (number, entries) in partitions.enumerated() {
            for entry in entries
            where try placement.partition(for: entry.0, count: partitions.count) != number {
                return false
            }
        }
        return true
    }

    /// The partitions as they are to be; nil: they are.
    @inlinable
    func dealt(_ partitions: [[(Key, Value)]], into count: Int) throws -> [[(Key, Value)]]? {
        if partitions.count == count, try isDealt(partitions) { return nil }
        var dealt = [[(Key, Value)]](repeating: [], count: count)
        for entry in partitions.joined() {
            dealt[try placement.partition(for: entry.0, count: count)].append(entry)
        }
        return dealt
    }
}

/// How the batches of a stream of keys are dealt out, with the types forgotten.
struct ErasedDeal: Sendable {
    /// nil: as many partitions as shuffles have by default.
    let partitions: Int?
    /// Deals the contents of partitions into so many; nil: they are dealt so.
    let deal: @Sendable ([PartitionData], Int) throws -> [PartitionData]?
}

extension DStream {
    /// Says to which partitions keys belong, so that the panes of a restored window fit new ones.
    @inlinable
    func dealt<Key: StreamKey, Value: Sendable>(
        _ partitions: Int?, _ placement: KeyPlacement<Key>
    ) -> DStream where Element == (Key, Value) {
        let (deal, site) = (KeyDeal<Key, Value>(placement), node.site)
        node.setDeal(partitions) { contents, count in
            let gather = Pipe<Element>.source(site).gathered
            let elements = try contents.map { try gather(TaskContext(partition: 0), [$0]) }
            return try deal.dealt(elements, into: count)?.map { .values(Values($0)) }
        }
        return self
    }
}

extension StreamNode {
    @usableFromInline
    func setDeal(
        _ partitions: Int?,
        _ deal: @escaping @Sendable ([PartitionData], Int) throws -> [PartitionData]?
    ) {
        settings.withLock { $0.deal = ErasedDeal(partitions: partitions, deal: deal) }
    }
}
