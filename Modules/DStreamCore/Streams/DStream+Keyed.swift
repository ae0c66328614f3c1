public import BatchEngine

extension DStream {
    /// Pairs each element with a key made of it.
    @inlinable
    public func keyBy<Key: Sendable>(
        file: String = #fileID, line: UInt = #line,
        _ key: @escaping @Sendable (Element) throws -> Key
    ) -> DStream<(Key, Element)> {
        let site = OperatorSite("keyBy", file: file, line: line)
        return derived(site) { [pipe] in pipe().map(site) { (try key($0), $0) } }
    }

    /// The key of each element.
    @inlinable
    public func keys<Key: Sendable, Value>(
        file: String = #fileID, line: UInt = #line
    ) -> DStream<Key> where Element == (Key, Value) {
        let site = OperatorSite("keys", file: file, line: line)
        return derived(site) { [pipe] in pipe().map(site) { $0.0 } }
    }

    /// The value of each element.
    @inlinable
    public func values<Key, Value: Sendable>(
        file: String = #fileID, line: UInt = #line
    ) -> DStream<Value> where Element == (Key, Value) {
        let site = OperatorSite("values", file: file, line: line)
        return derived(site) { [pipe] in pipe().map(site) { $0.1 } }
    }

    /// Applies `transform` to each value; keys stay where they are.
    @inlinable
    public func mapValues<Key: Sendable, Value, Output: Sendable>(
        file: String = #fileID, line: UInt = #line,
        @ClosureBody<Value, Output>
        _ transform: @escaping @Sendable (Value) throws -> Output
    ) -> DStream<(Key, Output)> where Element == (Key, Value) {
        let site = OperatorSite("mapValues", file: file, line: line)
        return derived(site) { [pipe] in pipe().map(site) { ($0.0, try transform($0.1)) } }
    }

    /// Replaces each value by the elements of a sequence, each with the value's key.
    @inlinable
    public func flatMapValues<Key: Sendable, Value, Outputs: Sequence & SendableMetatype>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Value) throws -> Outputs
    ) -> DStream<(Key, Outputs.Element)>
    where
        Element == (Key, Value), Outputs.Element: Sendable,
        Outputs.Iterator: SendableMetatype
    {
        let site = OperatorSite("flatMapValues", file: file, line: line)
        return derived(site) { [pipe] in
            pipe().flatMap(site) { pair in
                let key = pair.0
                return try transform(pair.1).lazy.map { (key, $0) }
            }
        }
    }

    /// Combines the values of each key in a batch, first within partitions.
    ///
    /// - Parameters:
    ///   - partitions: output partitions, at least 1; nil: the engine's default.
    ///   - combine: associative and commutative.
    @inlinable @_disfavoredOverload
    public func reduceByKey<Key: StreamKey, Value: Sendable>(
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line,
        @ClosureBody<(Value, Value), Value>
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> DStream where Element == (Key, Value) {
        reduceByKey(
            OperatorSite("reduceByKey", file: file, line: line), partitions, .hash, combine)
    }

    /// ``reduceByKey(partitions:file:line:_:)`` with the user's own placement of keys.
    @inlinable
    public func reduceByKey<Key: StreamKey, Value: Sendable>(
        partitioner: some Partitioner<Key>, file: String = #fileID, line: UInt = #line,
        @ClosureBody<(Value, Value), Value>
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> DStream where Element == (Key, Value) {
        reduceByKey(
            OperatorSite("reduceByKey", file: file, line: line), partitioner.partitionCount,
            .custom(partitioner), combine)
    }

    @inlinable
    func reduceByKey<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite, _ partitions: Int?, _ placement: KeyPlacement<Key>,
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> DStream where Element == (Key, Value) {
        exchanged(
            site, partitions: partitions,
            kernel: { [pipe] id in
                pipe().reduceKernel(id: id, site, placement: placement, combine)
            },
            pipe: { .merged(site, combine) }
        ).dealt(partitions, placement)
    }

    /// Gathers the values of each key in a batch: by partition, in arrival order.
    @inlinable
    public func groupByKey<Key: StreamKey, Value: Sendable>(
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line
    ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
        groupByKey(OperatorSite("groupByKey", file: file, line: line), partitions, .hash)
    }

    /// ``groupByKey(partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func groupByKey<Key: StreamKey, Value: Sendable>(
        partitioner: some Partitioner<Key>, file: String = #fileID, line: UInt = #line
    ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
        groupByKey(
            OperatorSite("groupByKey", file: file, line: line), partitioner.partitionCount,
            .custom(partitioner))
    }

    @inlinable
    func groupByKey<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite, _ partitions: Int?, _ placement: KeyPlacement<Key>
    ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
        exchanged(
            site, partitions: partitions,
            kernel: { [pipe] id in pipe().partitionKernel(id: id, site, placement: placement) },
            pipe: { Pipe.source(site).grouped(site) }
        ).dealt(partitions, placement)
    }

    /// Combines the values of each key in a batch into another type.
    ///
    /// - Parameters:
    ///   - mapSideCombine: whether values are combined before the shuffle: `createCombiner` then
    ///     runs once per key and input partition, otherwise once per key.
    @inlinable
    public func combineByKey<Key: StreamKey, Value: Sendable, Combined: Sendable>(
        createCombiner: @escaping @Sendable (Value) throws -> Combined,
        mergeValue: @escaping @Sendable (Combined, Value) throws -> Combined,
        mergeCombiners: @escaping @Sendable (Combined, Combined) throws -> Combined,
        partitions: Int? = nil, mapSideCombine: Bool = true, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<(Key, Combined)> where Element == (Key, Value) {
        combineByKey(
            OperatorSite("combineByKey", file: file, line: line), partitions, .hash,
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
    ) -> DStream<(Key, Combined)> where Element == (Key, Value) {
        combineByKey(
            OperatorSite("combineByKey", file: file, line: line), partitioner.partitionCount,
            .custom(partitioner), mapSideCombine, createCombiner, mergeValue, mergeCombiners)
    }

    @inlinable
    func combineByKey<Key: StreamKey, Value: Sendable, Combined: Sendable>(
        _ site: OperatorSite, _ partitions: Int?, _ placement: KeyPlacement<Key>,
        _ mapSideCombine: Bool, _ create: @escaping @Sendable (Value) throws -> Combined,
        _ mergeValue: @escaping @Sendable (Combined, Value) throws -> Combined,
        _ mergeCombiners: @escaping @Sendable (Combined, Combined) throws -> Combined
    ) -> DStream<(Key, Combined)> where Element == (Key, Value) {
        guard mapSideCombine else {
            return exchanged(
                site, partitions: partitions,
                kernel: { [pipe] id in pipe().partitionKernel(id: id, site, placement: placement) },
                pipe: {
                    Pipe.source(site).combined(site, create: create, mergeValue: mergeValue)
                })
        }
        return exchanged(
            site, partitions: partitions,
            kernel: { [pipe] id in
                pipe().combineKernel(
                    id: id, site, placement: placement, create: create, mergeValue: mergeValue)
            },
            pipe: { .merged(site, mergeCombiners) })
    }
}
