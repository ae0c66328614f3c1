extension RDD {
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

    /// Applies `transform` to each value; keys stay where they are.
    @inlinable
    public func mapValues<Key: Sendable, Value, Output: Sendable>(
        file: String = #fileID, line: UInt = #line,
        @ClosureBody<Value, Output>
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
}

extension RDD {
    /// Combines the values of each key, first within partitions.
    ///
    /// - Parameter partitions: output partitions; nil: the context's default; smaller values than 1
    ///   count as 1.
    @inlinable @_disfavoredOverload
    public func reduceByKey<Key: StreamKey, Value: Sendable>(
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line,
        @ClosureBody<(Value, Value), Value>
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> RDD where Element == (Key, Value) {
        reduceByKey(
            OperatorSite("reduceByKey", file: file, line: line), outputCount(partitions), .hash,
            combine)
    }

    /// ``reduceByKey(partitions:file:line:_:)`` of values that are `Int`, which is looked at first:
    /// a literal, as in `map { ($0, 1) }`, can be of any type that has `+`.
    @inlinable
    public func reduceByKey<Key: StreamKey>(
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line,
        @ClosureBody<(Int, Int), Int>
        _ combine: @escaping @Sendable (Int, Int) throws -> Int
    ) -> RDD where Element == (Key, Int) {
        reduceByKey(
            OperatorSite("reduceByKey", file: file, line: line), outputCount(partitions), .hash,
            combine)
    }

    /// ``reduceByKey(partitions:file:line:_:)`` with the user's own placement of keys.
    @inlinable
    public func reduceByKey<Key: StreamKey, Value: Sendable>(
        partitioner: some Partitioner<Key>, file: String = #fileID, line: UInt = #line,
        @ClosureBody<(Value, Value), Value>
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> RDD where Element == (Key, Value) {
        reduceByKey(
            OperatorSite("reduceByKey", file: file, line: line), partitioner.partitionCount,
            .custom(partitioner), combine)
    }

    @inlinable
    func reduceByKey<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite, _ partitions: Int, _ placement: KeyPlacement<Key>,
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> RDD where Element == (Key, Value) {
        let kernel = pipe.reduceKernel(id: .nextDynamic(), site, placement: placement, combine)
        return exchanged(kernel, partitions, .merged(site, combine))
    }

    /// Gathers the values of each key, in arrival order.
    ///
    /// - Parameter partitions: output partitions; nil: the context's default; smaller values than 1
    ///   count as 1.
    @inlinable
    public func groupByKey<Key: StreamKey, Value: Sendable>(
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line
    ) -> RDD<(Key, [Value])> where Element == (Key, Value) {
        groupByKey(
            OperatorSite("groupByKey", file: file, line: line), outputCount(partitions), .hash)
    }

    /// ``groupByKey(partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func groupByKey<Key: StreamKey, Value: Sendable>(
        partitioner: some Partitioner<Key>, file: String = #fileID, line: UInt = #line
    ) -> RDD<(Key, [Value])> where Element == (Key, Value) {
        groupByKey(
            OperatorSite("groupByKey", file: file, line: line), partitioner.partitionCount,
            .custom(partitioner))
    }

    @inlinable
    func groupByKey<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite, _ partitions: Int, _ placement: KeyPlacement<Key>
    ) -> RDD<(Key, [Value])> where Element == (Key, Value) {
        RDD<(Key, [Value])>(
            context: context, plan: shuffled(site, partitions, placement),
            pipe: Pipe.source(site).grouped(site))
    }

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
        return narrow(pipe.map(site) { (try key($0), $0) })
            .groupByKey(site, outputCount(partitions), .hash)
    }

    /// ``groupBy(partitions:file:line:_:)`` with the user's own placement of keys.
    @inlinable
    public func groupBy<Key: StreamKey>(
        partitioner: some Partitioner<Key>, file: String = #fileID, line: UInt = #line,
        _ key: @escaping @Sendable (Element) throws -> Key
    ) -> RDD<(Key, [Element])> {
        let site = OperatorSite("groupBy", file: file, line: line)
        return narrow(pipe.map(site) { (try key($0), $0) })
            .groupByKey(site, partitioner.partitionCount, .custom(partitioner))
    }

    /// Combines the values of each key into another type.
    ///
    /// - Parameters:
    ///   - partitions: output partitions; nil: the context's default; smaller values than 1 count
    ///     as 1.
    ///   - mapSideCombine: whether values are combined before the shuffle: `createCombiner` then
    ///     runs once per key and input partition, otherwise once per key.
    @inlinable
    public func combineByKey<Key: StreamKey, Value: Sendable, Combined: Sendable>(
        createCombiner: @escaping @Sendable (Value) throws -> Combined,
        mergeValue: @escaping @Sendable (Combined, Value) throws -> Combined,
        mergeCombiners: @escaping @Sendable (Combined, Combined) throws -> Combined,
        partitions: Int? = nil, mapSideCombine: Bool = true, file: String = #fileID,
        line: UInt = #line
    ) -> RDD<(Key, Combined)> where Element == (Key, Value) {
        combineByKey(
            OperatorSite("combineByKey", file: file, line: line), outputCount(partitions), .hash,
            mapSideCombine, createCombiner, mergeValue, mergeCombiners)
    }

    /// ``combineByKey(createCombiner:mergeValue:mergeCombiners:partitions:mapSideCombine:file:line:)``
    /// with the user's own placement of keys.
    @inlinable
    public func combineByKey<Key: StreamKey, Value: Sendable, Combined: Sendable>(
        createCombiner: @escaping @Sendable (Value) throws -> Combined,
        mergeValue: @escaping @Sendable (Combined, Value) throws -> Combined,
        mergeCombiners: @escaping @Sendable (Combined, Combined) throws -> Combined,
        partitioner: some Partitioner<Key>, mapSideCombine: Bool = true, file: String = #fileID,
        line: UInt = #line
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
            return RDD<(Key, Combined)>(
                context: context, plan: shuffled(site, partitions, placement),
                pipe: Pipe.source(site).combined(site, create: create, mergeValue: mergeValue))
        }
        let kernel = pipe.combineKernel(
            id: .nextDynamic(), site, placement: placement, create: create, mergeValue: mergeValue)
        return exchanged(kernel, partitions, .merged(site, mergeCombiners))
    }
}
