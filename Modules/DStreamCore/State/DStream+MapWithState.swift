public import BatchEngine
internal import Synchronization

extension DStream {
    /// Maps each record together with the state of its key, which the function may change.
    ///
    /// A batch costs what its records and the states that are due cost, however many keys have a
    /// state. A batch without RDD counts as empty. A batch that fails leaves the state as it was.
    /// Needs a checkpoint directory, as in Spark.
    @inlinable
    public func mapWithState<
        Key: StreamKey, Value: Sendable, StateValue: Sendable, Mapped: Sendable
    >(
        _ spec: StateSpec<Key, Value, StateValue, Mapped>, file: String = #fileID,
        line: UInt = #line
    ) -> MapWithStateDStream<Key, StateValue, Mapped> where Element == (Key, Value) {
        let site = OperatorSite("mapWithState", file: file, line: line)
        let timing = StateTiming(timeout: spec.idleTimeout, sweep: spec.sweep)
        let step = MapWithStateStep(site: site, function: spec.function, timing: timing)
        // States come with the time of their last update; that of initial ones is the first batch.
        let keeping = StateKeeping(
            site, spec.partitionCount, spec.placement,
            spec.initial.map { $0.map { ($0.0, ($0.1, Int64.min)) } })
        let (mapped, lineage) = stateful(
            keeping, stateShape: elementShape(of: (Key, StateValue).self), checkpointSlides: 10,
            pipe: { step.pipe },
            capture: { _, lineage in
                Codec<StateValue>.resolve().map { values in
                    TableCapture<Key, StateValue>(
                        lineage: lineage, site: site, hasTimers: timing.isOn, values: values
                    ).capture
                }
            },
            plan: { plans, time, context in try await plans.tablePlan(time, timing, context) })
        mapped.node.onFreeze { program in
            program.keepState(lineage.id, site) {
                StateCell(StateTable<Key, StateValue>(hasTimers: timing.isOn))
            }
        }
        graph.checkTimeout(spec.idleTimeout, site)
        return MapWithStateDStream(mapped, lineage, timing, site)
    }

    /// ``mapWithState(_:file:line:)-(StateSpec<_,_,_,_>,_,_)`` for chains: the mapped stream alone.
    @inlinable @_disfavoredOverload
    public func mapWithState<
        Key: StreamKey, Value: Sendable, StateValue: Sendable, Mapped: Sendable
    >(
        _ spec: StateSpec<Key, Value, StateValue, Mapped>, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<Mapped> where Element == (Key, Value) {
        let stream: MapWithStateDStream<Key, StateValue, Mapped> = mapWithState(
            spec, file: file, line: line)
        return stream.mapped
    }
}

/// When states time out.
@usableFromInline
struct StateTiming: Sendable {
    @usableFromInline let timeout: Duration?
    @usableFromInline let sweep: StateTimeoutSweep

    @usableFromInline
    init(timeout: Duration?, sweep: StateTimeoutSweep) {
        self.timeout = timeout
        self.sweep = sweep
    }

    @usableFromInline var isOn: Bool { timeout != nil }

    /// Keys last updated before this are due at `time`; nil: none is.
    func dueBefore(_ time: BatchTime, _ node: StreamNode) -> Int64? {
        guard let timeout else { return nil }
        if sweep == .atCheckpoints, !node.isCheckpointed(at: time) { return nil }
        return (time - timeout).milliseconds
    }
}

extension StreamNode {
    /// Whether a batch is one of those in which the stream is checkpointed.
    func isCheckpointed(at time: BatchTime) -> Bool {
        let (zeroTime, interval) = settings.withLock { ($0.zeroTime, $0.checkpointInterval) }
        guard let zeroTime, let interval else { return false }
        return (time - zeroTime).milliseconds % max(1, interval.milliseconds) == 0
    }
}

extension DStreamGraph {
    /// Records a time-out that cannot be.
    @usableFromInline
    func checkTimeout(_ timeout: Duration?, _ site: OperatorSite) {
        guard let timeout, timeout < .zero else { return }
        record(
            StreamError(
                .badDeclaration, "the time-out (\(timeout.milliseconds) ms) must not be negative",
                site: site))
    }
}

/// One batch of `mapWithState` over one partition.
@usableFromInline
struct MapWithStateStep<Key: StreamKey, Value: Sendable, StateValue: Sendable, Mapped: Sendable>:
    Sendable
{
    @usableFromInline typealias Spec = StateSpec<Key, Value, StateValue, Mapped>

    @usableFromInline let site: OperatorSite
    @usableFromInline let function: Spec.Function
    @usableFromInline let timing: StateTiming

    @inlinable
    init(site: OperatorSite, function: @escaping Spec.Function, timing: StateTiming) {
        self.site = site
        self.function = function
        self.timing = timing
    }

    /// Applies the batch to the table and gives what the function maps to.
    @inlinable
    var pipe: Pipe<Mapped> {
        let records = Pipe<(Key, Value)>.source(site)
        let earlier = Pipe<(Key, (StateValue, Int64))>.source(site)
        let (site, function, hasTimers) = (site, function, timing.isOn)
        return Pipe { context, inputs, sink in
            let inputs = try StateInputs(inputs, site)
            let step = inputs.step
            let time = BatchTime(milliseconds: step.time)
            let cell: StateCell<Key, StateValue> = try step.cell(
                context, site, hasTimers: hasTimers)
            try cell.withTable { table in
                try table.begin(
                    step.time, on: inputs.origin.version, keepingFrom: step.oldest)
                let state = State<StateValue>()
                do {
                    try earlier.push(context, inputs.earlier) { entry in
                        let (key, state) = entry
                        let time = state.1 == .min ? step.time : state.1
                        table.load(key, state.0, updatedAt: time)
                    }
                    func update(_ key: Key, _ hash: UInt64, _ value: Value) throws {
                        let place = table.find(key, hash: hash)
                        state.reset(to: table.value(at: place), isTimingOut: false)
                        let mapped: Mapped?
                        do { mapped = try function(time, key, value, state) } catch {
                            throw OperatorFailure.wrap(error, at: site)
                        }
                        switch state.outcome {
                        case .removed: table.remove(at: place)
                        case .updated:
                            if let value = state.value { table.set(key, at: place, to: value) }
                        case .untouched: if hasTimers, place.isFound { table.renew(at: place) }
                        }
                        if let mapped { try sink(mapped) }
                    }
                    var ahead = LookAhead<Key, Value>()
                    try records.push(context, inputs.records) {
                        try ahead.add($0.0, $0.1, to: table, update)
                    }
                    try ahead.finish(update)
                    if let due = step.dueBefore {
                        try table.removeDue(before: due) { key, value in
                            state.reset(to: value, isTimingOut: true)
                            let mapped: Mapped?
                            do { mapped = try function(time, key, nil, state) } catch {
                                throw OperatorFailure.wrap(error, at: site)
                            }
                            if let mapped { try sink(mapped) }
                        }
                    }
                    table.commit()
                } catch {
                    table.abort()
                    throw error
                }
            }
        }
    }
}
