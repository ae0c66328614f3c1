extension RDD {
    /// Applies `transform` to each value; keys stay where they are.
    @inlinable
    public func mapValues<Key: Sendable, Value, Output: Sendable>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Value) throws -> Output
    ) -> RDD<(Key, Output)> where Element == (Key, Value) {
        narrow(
            pipe.map(OperatorSite("mapValues", file: file, line: line)) {
                ($0.0, try transform($0.1))
            })
    }

    /// Replaces each value by the elements of a sequence, each with the value's key.
    @inlinable
    public func flatMapValues<Key: Sendable, Value, Outputs: Sequence & SendableMetatype>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Value) throws -> Outputs
    ) -> RDD<(Key, Outputs.Element)>
    where
        Element == (Key, Value), Outputs.Element: Sendable,
        Outputs.Iterator: SendableMetatype
    {
        narrow(
            pipe.flatMap(OperatorSite("flatMapValues", file: file, line: line)) { pair in
                let key = pair.0
                return try transform(pair.1).lazy.map { (key, $0) }
            })
    }

    /// Combines the values of each key, first within partitions.
    @inlinable
    public func reduceByKey<Key: StreamKey, Value: Sendable>(
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line,
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> RDD where Element == (Key, Value) {
        let site = OperatorSite("reduceByKey", file: file, line: line)
        let kernel = pipe.reduceKernel(id: .nextDynamic(), site, placement: .hash, combine)
        return exchanged(
            kernel, Swift.max(1, partitions ?? context.defaultParallelism), .merged(site, combine))
    }

    /// Gathers the values of each key, in arrival order.
    @inlinable
    public func groupByKey<Key: StreamKey, Value: Sendable>(
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line
    ) -> RDD<(Key, [Value])> where Element == (Key, Value) {
        let site = OperatorSite("groupByKey", file: file, line: line)
        let kernel = pipe.partitionKernel(id: .nextDynamic(), site, placement: .hash)
        return exchanged(
            kernel, Swift.max(1, partitions ?? context.defaultParallelism),
            Pipe.source(site).grouped(site))
    }

    /// Combines the values of each key into another type.
    @inlinable
    public func combineByKey<Key: StreamKey, Value: Sendable, Combined: Sendable>(
        partitions: Int? = nil, mapSideCombine: Bool = true, file: String = #fileID,
        line: UInt = #line,
        createCombiner: @escaping @Sendable (Value) throws -> Combined,
        mergeValue: @escaping @Sendable (Combined, Value) throws -> Combined,
        mergeCombiners: @escaping @Sendable (Combined, Combined) throws -> Combined
    ) -> RDD<(Key, Combined)> where Element == (Key, Value) {
        let site = OperatorSite("combineByKey", file: file, line: line)
        let count = Swift.max(1, partitions ?? context.defaultParallelism)
        guard mapSideCombine else {
            let kernel = pipe.partitionKernel(id: .nextDynamic(), site, placement: .hash)
            return exchanged(
                kernel, count,
                Pipe.source(site).combined(site, create: createCombiner, mergeValue: mergeValue))
        }
        let kernel = pipe.combineKernel(
            id: .nextDynamic(), site, placement: .hash, create: createCombiner,
            mergeValue: mergeValue)
        return exchanged(kernel, count, .merged(site, mergeCombiners))
    }
}
