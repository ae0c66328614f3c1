public import BatchEngine

extension DStream {
    /// Keeps a state per key, made anew in every batch from the key's new values and its old state.
    ///
    /// The function runs for every key that has values or a state, in every batch; a key for which
    /// it gives nil is forgotten. Nothing comes out before the first batch with an RDD; afterwards
    /// every batch has one. A batch that fails leaves the state as it was. Needs a checkpoint
    /// directory, as in Spark.
    ///
    /// - Parameters:
    ///   - partitions: output partitions, at least 1; nil: the engine's default.
    ///   - initialRDD: states before the first batch; of equal keys the first one counts.
    ///   - update: called with the new values in arrival order and the old state.
    /// - Complexity: O(keys) per batch; `mapWithState` takes what the records take.
    @inlinable
    public func updateStateByKey<Key: StreamKey, Value: Sendable, StateValue: Sendable>(
        partitions: Int? = nil, initialRDD: RDD<(Key, StateValue)>? = nil, file: String = #fileID,
        line: UInt = #line,
        _ update: @escaping @Sendable ([Value], StateValue?) throws -> StateValue?
    ) -> DStream<(Key, StateValue)> where Element == (Key, Value) {
        let site = OperatorSite("updateStateByKey", file: file, line: line)
        return stateByKey(
            StateKeeping(site, partitions, .hash, initialRDD),
            pipe: { .updating(site) { _, _, values, state in try update(values, state) } })
    }

    /// ``updateStateByKey(partitions:initialRDD:file:line:_:)`` with the user's own placement of
    /// keys.
    @inlinable
    public func updateStateByKey<Key: StreamKey, Value: Sendable, StateValue: Sendable>(
        partitioner: some Partitioner<Key>, initialRDD: RDD<(Key, StateValue)>? = nil,
        file: String = #fileID, line: UInt = #line,
        _ update: @escaping @Sendable ([Value], StateValue?) throws -> StateValue?
    ) -> DStream<(Key, StateValue)> where Element == (Key, Value) {
        let site = OperatorSite("updateStateByKey", file: file, line: line)
        return stateByKey(
            StateKeeping(site, partitioner.partitionCount, .custom(partitioner), initialRDD),
            pipe: { .updating(site) { _, _, values, state in try update(values, state) } })
    }

    /// ``updateStateByKey(partitions:initialRDD:file:line:_:)`` with the batch time and the key.
    ///
    /// - Parameter rememberPartitioner: whether keys stay in their partitions between batches;
    ///   otherwise the state is dealt out again in each.
    @inlinable
    public func updateStateByKey<Key: StreamKey, Value: Sendable, StateValue: Sendable>(
        partitioner: some Partitioner<Key>, rememberPartitioner: Bool = true,
        initialRDD: RDD<(Key, StateValue)>? = nil, file: String = #fileID, line: UInt = #line,
        _ update: @escaping @Sendable (BatchTime, Key, [Value], StateValue?) throws -> StateValue?
    ) -> DStream<(Key, StateValue)> where Element == (Key, Value) {
        let site = OperatorSite("updateStateByKey", file: file, line: line)
        let keeping = StateKeeping(
            site, partitioner.partitionCount, .custom(partitioner), initialRDD,
            movesKeys: !rememberPartitioner)
        return stateByKey(keeping) { .updating(site, update) }
    }

    /// ``updateStateByKey(partitions:initialRDD:file:line:_:)`` over a whole partition at once.
    ///
    /// The keys that come out need not be those that went in. A key that comes out twice has two
    /// states: both count in a batch without RDD, the first one in others.
    ///
    /// - Parameters:
    ///   - rememberPartitioner: whether what comes out stays in its partition; necessary to say no
    ///     when other keys come out than went in.
    ///   - update: called once per partition and batch with each key, its new values in arrival
    ///     order, and its old state.
    @inlinable
    public func updateStateByKey<
        Key: StreamKey, Value: Sendable, StateValue: Sendable,
        Outputs: Sequence & SendableMetatype
    >(
        partitioner: some Partitioner<Key>, rememberPartitioner: Bool = true,
        initialRDD: RDD<(Key, StateValue)>? = nil, file: String = #fileID, line: UInt = #line,
        _ update: @escaping @Sendable ([(Key, [Value], StateValue?)]) throws -> Outputs
    ) -> DStream<(Key, StateValue)>
    where
        Element == (Key, Value), Outputs.Element == (Key, StateValue),
        Outputs.Iterator: SendableMetatype
    {
        let site = OperatorSite("updateStateByKey", file: file, line: line)
        let keeping = StateKeeping(
            site, partitioner.partitionCount, .custom(partitioner), initialRDD,
            movesKeys: !rememberPartitioner)
        return stateByKey(keeping, mayRepeat: true) { .updatingWhole(site, update) }
    }

    @inlinable
    func stateByKey<Key: StreamKey, Value: Sendable, StateValue: Sendable>(
        _ keeping: StateKeeping<Key, StateValue>, mayRepeat: Bool = false,
        pipe: @escaping @Sendable () -> Pipe<(Key, StateValue)>
    ) -> DStream<(Key, StateValue)> where Element == (Key, Value) {
        let moving = Frozen<Kernel?>()
        let stream = stateful(
            keeping, pipe: pipe,
            capture: { own, lineage in
                Codec<StateValue>.resolve().map { values in
                    DatasetCapture<Key, StateValue>(
                        lineage: lineage, site: keeping.site, values: values,
                        placement: keeping.placement, mayRepeat: mayRepeat
                    ).capture(of: own)
                }
            },
            plan: { plans, time, context in
                try await plans.datasetPlan(time, moving: moving.value, context)
            }
        ).stream
        stream.node.onFreeze { program in
            let states = Pipe<(Key, StateValue)>.source(keeping.site)
            guard keeping.movesKeys else { return moving.set(nil) }
            moving.set(
                program.add {
                    states.partitionKernel(id: $0, keeping.site, placement: keeping.placement)
                })
        }
        return stream
    }
}

extension Pipe {
    /// One batch of `updateStateByKey` over one partition, key by key.
    @inlinable
    static func updating<Key: StreamKey, Value: Sendable, StateValue: Sendable>(
        _ site: OperatorSite,
        _ update: @escaping @Sendable (BatchTime, Key, [Value], StateValue?) throws -> StateValue?
    ) -> Pipe where Element == (Key, StateValue) {
        let join = StateJoin<Key, Value, StateValue>(site, mayRepeat: false)
        return Pipe { context, inputs, sink in
            let inputs = try StateInputs(inputs, site)
            let time = BatchTime(milliseconds: inputs.step.time)
            try join.forEach(context, inputs) { key, values, state in
                let updated: StateValue?
                do { updated = try update(time, key, values, state) } catch {
                    throw OperatorFailure.wrap(error, at: site)
                }
                if let updated { try sink((key, updated)) }
            }
        }
    }

    /// One batch of `updateStateByKey` over one partition as a whole.
    @inlinable
    static func updatingWhole<
        Key: StreamKey, Value: Sendable, StateValue: Sendable,
        Outputs: Sequence & SendableMetatype
    >(
        _ site: OperatorSite,
        _ update: @escaping @Sendable ([(Key, [Value], StateValue?)]) throws -> Outputs
    ) -> Pipe
    where
        Element == (Key, StateValue), Outputs.Element == (Key, StateValue),
        Outputs.Iterator: SendableMetatype
    {
        let join = StateJoin<Key, Value, StateValue>(site, mayRepeat: true)
        return Pipe { context, inputs, sink in
            var entries: [(Key, [Value], StateValue?)] = []
            try join.forEach(context, try StateInputs(inputs, site)) {
                entries.append(($0, $1, $2))
            }
            let outputs: Outputs
            do { outputs = try update(entries) } catch {
                throw OperatorFailure.wrap(error, at: site)
            }
            for output in outputs { try sink(output) }
        }
    }
}
