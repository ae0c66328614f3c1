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

    /// Pairs each element with a key made of it.
    @inlinable
    public func keyBy<Key: Sendable>(
        file: String = #fileID, line: UInt = #line,
        _ key: @escaping @Sendable (Element) throws -> Key
    ) -> RDD<(Key, Element)> {
        narrow(pipe.map(OperatorSite("keyBy", file: file, line: line)) { (try key($0), $0) })
    }

    /// The key of each element.
    @inlinable
    public func keys<Key: Sendable, Value>(
        file: String = #fileID, line: UInt = #line
    ) -> RDD<Key> where Element == (Key, Value) {
        narrow(pipe.map(OperatorSite("keys", file: file, line: line)) { $0.0 })
    }

    /// The value of each element.
    @inlinable
    public func values<Key, Value: Sendable>(
        file: String = #fileID, line: UInt = #line
    ) -> RDD<Value> where Element == (Key, Value) {
        narrow(pipe.map(OperatorSite("values", file: file, line: line)) { $0.1 })
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
        let kernel = pipe.partitionKernel(
            id: .nextDynamic(), site, placement: .custom(partitioner))
        return exchanged(kernel, Swift.max(1, partitioner.partitionCount), .source(site))
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
        let kernel = pipe.partitionKernel(id: .nextDynamic(), site, placement: .hash)
        return exchanged(kernel, outputCount(partitions), .source(site))
    }
}

extension RDD {
    /// Gathers the elements by a key made of each, in arrival order.
    ///
    /// - Parameter partitions: output partitions; nil: the context's default; smaller values than 1
    ///   count as 1.
    @inlinable
    public func groupBy<Key: StreamKey>(
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line,
        _ key: @escaping @Sendable (Element) throws -> Key
    ) -> RDD<(Key, [Element])> {
        let site = OperatorSite("groupBy", file: file, line: line)
        return groupBy(site, outputCount(partitions), .hash, key)
    }

    /// ``groupBy(partitions:file:line:_:)`` with the user's own placement of keys.
    @inlinable
    public func groupBy<Key: StreamKey>(
        partitioner: some Partitioner<Key>, file: String = #fileID, line: UInt = #line,
        _ key: @escaping @Sendable (Element) throws -> Key
    ) -> RDD<(Key, [Element])> {
        let site = OperatorSite("groupBy", file: file, line: line)
        return groupBy(site, partitioner.partitionCount, .custom(partitioner), key)
    }

    @inlinable
    func groupBy<Key: StreamKey>(
        _ site: OperatorSite, _ partitions: Int, _ placement: KeyPlacement<Key>,
        _ key: @escaping @Sendable (Element) throws -> Key
    ) -> RDD<(Key, [Element])> {
        let keyed: Pipe<(Key, Element)> = pipe.map(site) { (try key($0), $0) }
        let kernel = keyed.partitionKernel(id: .nextDynamic(), site, placement: placement)
        return exchanged(
            kernel, Swift.max(1, partitions), Pipe<(Key, Element)>.source(site).grouped(site))
    }

    /// ``reduceByKey(partitions:file:line:_:)`` with the user's own placement of keys.
    @inlinable
    public func reduceByKey<Key: StreamKey, Value: Sendable>(
        partitioner: some Partitioner<Key>, file: String = #fileID, line: UInt = #line,
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> RDD where Element == (Key, Value) {
        let site = OperatorSite("reduceByKey", file: file, line: line)
        let kernel = pipe.reduceKernel(
            id: .nextDynamic(), site, placement: .custom(partitioner), combine)
        return exchanged(kernel, Swift.max(1, partitioner.partitionCount), .merged(site, combine))
    }

    /// ``groupByKey(partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func groupByKey<Key: StreamKey, Value: Sendable>(
        partitioner: some Partitioner<Key>, file: String = #fileID, line: UInt = #line
    ) -> RDD<(Key, [Value])> where Element == (Key, Value) {
        let site = OperatorSite("groupByKey", file: file, line: line)
        let kernel = pipe.partitionKernel(
            id: .nextDynamic(), site, placement: .custom(partitioner))
        return exchanged(
            kernel, Swift.max(1, partitioner.partitionCount), Pipe.source(site).grouped(site))
    }

    /// Combines the values of each key into another type, with the user's own placement of keys.
    @inlinable
    public func combineByKey<Key: StreamKey, Value: Sendable, Combined: Sendable>(
        partitioner: some Partitioner<Key>, mapSideCombine: Bool = true, file: String = #fileID,
        line: UInt = #line,
        createCombiner: @escaping @Sendable (Value) throws -> Combined,
        mergeValue: @escaping @Sendable (Combined, Value) throws -> Combined,
        mergeCombiners: @escaping @Sendable (Combined, Combined) throws -> Combined
    ) -> RDD<(Key, Combined)> where Element == (Key, Value) {
        combineByKey(
            OperatorSite("combineByKey", file: file, line: line), partitioner.partitionCount,
            .custom(partitioner), mapSideCombine, createCombiner, mergeValue, mergeCombiners)
    }

    @inlinable
    func combineByKey<Key: StreamKey, Value: Sendable, Combined: Sendable>(
        _ site: OperatorSite, _ partitions: Int, _ placement: KeyPlacement<Key>,
        _ mapSideCombine: Bool, _ create: @escaping @Sendable (Value) throws -> Combined,
        _ mergeValue: @escaping @Sendable (Combined, Value) throws -> Combined,
        _ mergeCombiners: @escaping @Sendable (Combined, Combined) throws -> Combined
    ) -> RDD<(Key, Combined)> where Element == (Key, Value) {
        guard mapSideCombine else {
            let kernel = pipe.partitionKernel(id: .nextDynamic(), site, placement: placement)
            return exchanged(
                kernel, Swift.max(1, partitions),
                Pipe.source(site).combined(site, create: create, mergeValue: mergeValue))
        }
        let kernel = pipe.combineKernel(
            id: .nextDynamic(), site, placement: placement, create: create, mergeValue: mergeValue)
        return exchanged(kernel, Swift.max(1, partitions), .merged(site, mergeCombiners))
    }
}
