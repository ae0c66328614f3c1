public import BatchEngine

extension DStream {
    /// Puts each element of a batch into the partition that a partitioner gives its key.
    ///
    /// Within a partition elements are in arrival order. A batch without RDD stays one.
    @inlinable
    public func partitionBy<Key: StreamKey, Value: Sendable>(
        _ partitioner: some Partitioner<Key>, file: String = #fileID, line: UInt = #line
    ) -> DStream where Element == (Key, Value) {
        partitionBy(
            OperatorSite("partitionBy", file: file, line: line), partitioner.partitionCount,
            .custom(partitioner))
    }

    /// Spreads the elements of a batch by the stable hash of their keys.
    ///
    /// - Parameter partitions: output partitions, at least 1; nil: the engine's default.
    @inlinable
    public func partitionBy<Key: StreamKey, Value: Sendable>(
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line
    ) -> DStream where Element == (Key, Value) {
        partitionBy(OperatorSite("partitionBy", file: file, line: line), partitions, .hash)
    }

    @inlinable
    func partitionBy<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite, _ partitions: Int?, _ placement: KeyPlacement<Key>
    ) -> DStream where Element == (Key, Value) {
        exchanged(
            site, partitions: partitions,
            kernel: { [pipe] id in pipe().partitionKernel(id: id, site, placement: placement) },
            pipe: { .source(site) })
    }

    /// Hands each partition, as an array, with its index to `transform`.
    @inlinable
    public func mapPartitionsWithIndex<Outputs: Sequence & SendableMetatype>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Int, [Element]) throws -> Outputs
    ) -> DStream<Outputs.Element>
    where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        let site = OperatorSite("mapPartitionsWithIndex", file: file, line: line)
        return DStream<Outputs.Element>(
            graph, site, parents: [node], slide: slideDuration,
            pipe: { [pipe] in pipe().mapPartitionsWithIndex(site, transform) },
            compute: { [node] _, time, context in
                try await node.plan(at: time, context)?.indexed
            })
    }
}
