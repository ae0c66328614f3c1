extension RDD {
    /// Hands each partition, as an array, with its index to `transform`.
    @inlinable
    public func mapPartitionsWithIndex<Outputs: Sequence & SendableMetatype>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Int, [Element]) throws -> Outputs
    ) -> RDD<Outputs.Element> where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        let site = OperatorSite("mapPartitionsWithIndex", file: file, line: line)
        return RDD<Outputs.Element>(
            bounding: plan.indexed, context: context,
            pipe: pipe.mapPartitionsWithIndex(site, transform))
    }

    /// Puts each element into the partition that a partitioner gives its key.
    ///
    /// Within a partition elements are in arrival order. A partition outside the partitioner's own
    /// range is an error of the action.
    @inlinable
    public func partitionBy<Key: StreamKey, Value: Sendable>(
        _ partitioner: some Partitioner<Key>, file: String = #fileID, line: UInt = #line
    ) -> RDD where Element == (Key, Value) {
        let site = OperatorSite("partitionBy", file: file, line: line)
        return RDD(
            context: context,
            plan: shuffled(site, partitioner.partitionCount, .custom(partitioner)),
            pipe: .source(site))
    }

    /// Spreads the elements by the stable hash of their keys.
    ///
    /// - Parameter partitions: output partitions; nil: the context's default; smaller values than 1
    ///   count as 1.
    @inlinable
    public func partitionBy<Key: StreamKey, Value: Sendable>(
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line
    ) -> RDD where Element == (Key, Value) {
        let site = OperatorSite("partitionBy", file: file, line: line)
        return RDD(
            context: context, plan: shuffled(site, outputCount(partitions), .hash),
            pipe: .source(site))
    }
}
