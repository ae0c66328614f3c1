public import BatchEngine

extension DStream {
    /// Combines the values of each key over the last `window` by adding what enters and taking out
    /// what leaves.
    ///
    /// Per slide and key, `inverse(previous, leaving)` is called with the reduction of all leaving
    /// batches, then `combine` with that of all entering ones. The result equals that of the form
    /// without `inverse`, also when the slide is longer than the window. Without a filter a key
    /// stays once seen, as in Spark. Needs a checkpoint directory, as in Spark.
    ///
    /// - Parameters:
    ///   - isIncluded: keys that come out; a key that does not and has no values in the window is
    ///     forgotten. nil: all.
    /// - Complexity: O(keys) per slide, whatever the window's length.
    @inlinable
    public func reduceByKeyAndWindow<Key: StreamKey, Value: Sendable>(
        _ combine: @escaping @Sendable (Value, Value) throws -> Value,
        inverse: @escaping @Sendable (Value, Value) throws -> Value,
        window: Duration, slide: Duration? = nil, partitions: Int? = nil,
        filter isIncluded: (@Sendable ((Key, Value)) throws -> Bool)? = nil,
        file: String = #fileID, line: UInt = #line
    ) -> DStream where Element == (Key, Value) {
        let site = OperatorSite("reduceByKeyAndWindow", file: file, line: line)
        let panes = reduceByKey(site, partitions, .hash, combine)
        return panes.incremental(
            site, combine, inverse, checkedWindow(window, slide, site), partitions, .hash,
            isIncluded)
    }

    /// ``reduceByKeyAndWindow(_:inverse:window:slide:partitions:filter:file:line:)`` with the user's
    /// own placement of keys.
    @inlinable
    public func reduceByKeyAndWindow<Key: StreamKey, Value: Sendable>(
        _ combine: @escaping @Sendable (Value, Value) throws -> Value,
        inverse: @escaping @Sendable (Value, Value) throws -> Value,
        window: Duration, slide: Duration? = nil, partitioner: some Partitioner<Key>,
        filter isIncluded: (@Sendable ((Key, Value)) throws -> Bool)? = nil,
        file: String = #fileID, line: UInt = #line
    ) -> DStream where Element == (Key, Value) {
        let site = OperatorSite("reduceByKeyAndWindow", file: file, line: line)
        let count = partitioner.partitionCount
        let panes = reduceByKey(site, count, .custom(partitioner), combine)
        return panes.incremental(
            site, combine, inverse, checkedWindow(window, slide, site), count,
            .custom(partitioner), isIncluded)
    }

    @inlinable
    func incremental<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite, _ combine: @escaping @Sendable (Value, Value) throws -> Value,
        _ inverse: @escaping @Sendable (Value, Value) throws -> Value, _ span: WindowSpan,
        _ partitions: Int?, _ placement: KeyPlacement<Key>,
        _ isIncluded: (@Sendable ((Key, Value)) throws -> Bool)?
    ) -> DStream where Element == (Key, Value) {
        keepForWindow()
        let step = WindowStep(
            site: site, combine: combine, inverse: inverse, isIncluded: isIncluded)
        var traits = span.traits
        traits.mustCheckpoint = true
        traits.persistLevel = .memoryOnly
        traits.isIncremental = true
        // The previous window is found through the operator's own table.
        let aggregates = DStream<(Key, (Value, Int))>(
            graph, site, parents: [node], slide: span.slide, traits: traits,
            pipe: { step.pipe },
            compute: { [node] own, time, context in
                try await windowPlan(panes: node, own: own, span, time, partitions, context)
            }
        ).dealt(partitions, placement)
        return aggregates.derived(site) { [pipe = aggregates.pipe] in
            guard let isIncluded else { return pipe().map(site) { ($0.0, $0.1.0) } }
            return pipe().map(site) { ($0.0, $0.1.0) }.filter(site, isIncluded)
        }
    }
}

/// The inputs of one slide: the window before, the batches that leave, those that enter.
@usableFromInline
func windowPlan(
    panes: StreamNode, own: StreamNode, _ span: WindowSpan, _ time: BatchTime, _ partitions: Int?,
    _ context: GenerationContext
) async throws -> Plan {
    let count = partitions ?? context.batch.defaultParallelism
    let start = span.start(of: time)
    // Usually the window before; an older one when that failed, so that a failure ends with the
    // batches that caused it.
    let previous = await own.newestGood(before: time, context)
    var leaving: [Plan] = []
    var firstNew = start
    if let previous {
        leaving = try await panes.plans(
            from: span.start(of: previous.time), through: min(previous.time, start - span.unit),
            context
        ).map(\.plan)
        firstNew = max(start, previous.time + span.unit)
    }
    // Without a previous window everything in this one is new.
    let entering = try await panes.plans(from: firstNew, through: time, context).map(\.plan)
    return .zip([
        previous?.plan ?? alignedPanes([], count), alignedPanes(leaving, count),
        alignedPanes(entering, count),
    ])
}

/// One slide of an incremental window over one partition.
///
/// An aggregate carries how many batches of the window hold its key, so that a hidden key is
/// forgotten only when none does.
@usableFromInline
struct WindowStep<Key: StreamKey, Value: Sendable>: Sendable {
    @usableFromInline let site: OperatorSite
    @usableFromInline let combine: @Sendable (Value, Value) throws -> Value
    @usableFromInline let inverse: @Sendable (Value, Value) throws -> Value
    @usableFromInline let isIncluded: (@Sendable ((Key, Value)) throws -> Bool)?

    @inlinable
    init(
        site: OperatorSite, combine: @escaping @Sendable (Value, Value) throws -> Value,
        inverse: @escaping @Sendable (Value, Value) throws -> Value,
        isIncluded: (@Sendable ((Key, Value)) throws -> Bool)?
    ) {
        self.site = site
        self.combine = combine
        self.inverse = inverse
        self.isIncluded = isIncluded
    }

    /// Turns (previous, leaving, entering) into the window's aggregates.
    @inlinable
    var pipe: Pipe<(Key, (Value, Int))> {
        let aggregates = Pipe<(Key, (Value, Int))>.source(site)
        let values = Pipe<(Key, Value)>.source(site)
        let hint = TableSizeHint()
        return Pipe { context, inputs, sink in
            let table = AggregationTable<Key, WindowAggregate<Value>>(
                minimumCapacity: hint.capacity)
            do {
                for case .branch(let role, let inner) in inputs {
                    switch role {
                    case 0:
                        try aggregates.push(context, inner) { entry in
                            table.update(entry.0, default: WindowAggregate()) {
                                $0 = WindowAggregate(value: entry.1.0, batches: entry.1.1)
                            }
                        }
                    case 1:
                        try values.push(context, inner) { entry in
                            try table.update(entry.0, default: WindowAggregate()) {
                                try $0.leave(entry.1, combine)
                            }
                        }
                    default:
                        try values.push(context, inner) { entry in
                            try table.update(entry.0, default: WindowAggregate()) {
                                try $0.enter(entry.1, combine)
                            }
                        }
                    }
                }
                hint.record(table.count)
                try table.drain { key, aggregate in
                    let entry = try aggregate.settled(combine, inverse)
                    if entry.1 == 0, let isIncluded, try !isIncluded((key, entry.0)) { return }
                    try sink((key, entry))
                }
            } catch {
                throw OperatorFailure.wrap(error, at: site)
            }
        }
    }
}

/// What is known of a key while a window slides.
@usableFromInline
struct WindowAggregate<Value: Sendable>: Sendable {
    @usableFromInline var value: Value?
    @usableFromInline var batches: Int
    @usableFromInline var leaving: Value?
    @usableFromInline var entering: Value?

    @inlinable
    init(value: Value? = nil, batches: Int = 0) {
        self.value = value
        self.batches = batches
    }

    @inlinable
    mutating func leave(_ value: Value, _ combine: (Value, Value) throws -> Value) rethrows {
        leaving = try leaving.map { try combine($0, value) } ?? value
        batches &-= 1
    }

    @inlinable
    mutating func enter(_ value: Value, _ combine: (Value, Value) throws -> Value) rethrows {
        entering = try entering.map { try combine($0, value) } ?? value
        batches &+= 1
    }

    /// The aggregate after the slide, in the order Spark applies the functions.
    @inlinable
    func settled(
        _ combine: (Value, Value) throws -> Value, _ inverse: (Value, Value) throws -> Value
    ) throws -> (Value, Int) {
        guard var result = value else {
            guard let entering else {
                throw StreamError(
                    .outputFailed, "a key of the window has neither an aggregate nor new values")
            }
            return (entering, batches)
        }
        if let leaving { result = try inverse(result, leaving) }
        if let entering { result = try combine(result, entering) }
        return (result, batches)
    }
}
