public import BatchEngine

extension DStream {
    /// Combines the values of each key over the last `window` by adding what enters and taking out
    /// what leaves.
    ///
    /// The result equals that of the form without `inverse`, also when the slide is longer than the
    /// window. Without a filter a key stays once seen, as in Spark. Needs a checkpoint directory, as
    /// in Spark.
    ///
    /// Where values are integers, texts, or tuples and collections of them, `inverse(previous,
    /// leaving)` is called per slide and key with the reduction of all leaving batches, then
    /// `combine` with that of all entering ones. A key without values in a window starts anew with
    /// its next ones.
    ///
    /// Values of any other type may hold floating-point numbers, which rounding, infinities and NaN
    /// keep from being taken out again. Their windows are folded as in the form without `inverse`,
    /// to the same bits. `inverse` is called for keys that have no values any more: they stay with
    /// `inverse(last, last)`.
    ///
    /// - Parameters:
    ///   - isIncluded: keys that come out; a key that does not and has no values in the window is
    ///     forgotten. nil: all.
    /// - Complexity: O(keys) per slide, whatever the window's length.
    @inlinable @_disfavoredOverload
    public func reduceByKeyAndWindow<Key: StreamKey, Value: Sendable>(
        @ClosureBody<(Value, Value), Value>
        _ combine: @escaping @Sendable (Value, Value) throws -> Value,
        @ClosureBody<(Value, Value), Value>
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
        @ClosureBody<(Value, Value), Value>
        _ combine: @escaping @Sendable (Value, Value) throws -> Value,
        @ClosureBody<(Value, Value), Value>
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
        let aggregates =
            hasExactArithmetic(Value.self)
            ? slid(step, span, partitions, placement)
            : refolded(step, span, partitions, placement)
        return aggregates.derived(site) { [pipe = aggregates.pipe] in
            guard let isIncluded else { return pipe().map(site) { ($0.0, $0.1.0) } }
            return pipe().map(site) { ($0.0, $0.1.0) }.filter(site, isIncluded)
        }
    }
}

extension DStream {
    /// The window before, plus what enters, minus what leaves.
    @inlinable
    func slid<Key: StreamKey, Value: Sendable>(
        _ step: WindowStep<Key, Value>, _ span: WindowSpan, _ partitions: Int?,
        _ placement: KeyPlacement<Key>
    ) -> DStream<(Key, (Value, Int))> where Element == (Key, Value) {
        var traits = span.incrementalTraits
        traits.slidWindow = span.window
        // The previous window is found through the operator's own table.
        return DStream<(Key, (Value, Int))>(
            graph, step.site, parents: [node], slide: span.slide, traits: traits,
            pipe: { step.pipe },
            compute: { [node] own, time, context in
                try await windowPlan(panes: node, own: own, span, time, partitions, context)
            }
        ).dealt(partitions, placement)
    }

    /// The window as the form without inverse folds it, and the keys that have no values any more.
    ///
    /// Why: Docs/Decisions/0017-inverse-windows-exact.md.
    @inlinable
    func refolded<Key: StreamKey, Value: Sendable>(
        _ step: WindowStep<Key, Value>, _ span: WindowSpan, _ partitions: Int?,
        _ placement: KeyPlacement<Key>
    ) -> DStream<(Key, (Value, Int))> where Element == (Key, Value) {
        let plain = aggregated(step.site, over: span, partitions, placement, step.combine)
        return DStream<(Key, (Value, Int))>(
            graph, step.site, parents: [node, plain.node], slide: span.slide,
            traits: span.incrementalTraits, pipe: { [pipe = plain.pipe] in step.keeping(pipe()) },
            compute: { [plain = plain.node] own, time, context in
                try await refoldedPlan(plain, own: own, time, partitions, context)
            }
        ).dealt(partitions, placement)
    }
}

extension WindowSpan {
    /// Of a stream that continues from its own batch before.
    @usableFromInline var incrementalTraits: StreamNode.Traits {
        var traits = traits
        traits.mustCheckpoint = true
        traits.persistLevel = .memoryOnly
        traits.isIncremental = true
        return traits
    }
}

/// The inputs of one slide: the window before, and the window as the plain form folds it.
@usableFromInline
func refoldedPlan(
    _ plain: StreamNode, own: StreamNode, _ time: BatchTime, _ partitions: Int?,
    _ context: GenerationContext
) async throws -> Plan {
    let previous = await own.newestGood(before: time, context)
    let count = partitions ?? context.batch.defaultParallelism
    let empty = alignedPanes([], count)
    return .zip([previous?.plan ?? empty, try await plain.plan(at: time, context) ?? empty])
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

extension WindowStep {
    /// Turns (previous, window) into the window's aggregates, with the keys that have left it.
    @inlinable
    func keeping(_ window: Pipe<(Key, Value)>) -> Pipe<(Key, (Value, Int))> {
        let aggregates = Pipe<(Key, (Value, Int))>.source(site)
        let hint = TableSizeHint()
        return Pipe<(Key, (Value, Int))>(around: window.depth, site) { context, inputs, sink in
            let table = AggregationTable<Key, Value>(minimumCapacity: hint.capacity)
            for case .branch(1, let inner) in inputs {
                try window.push(context, inner) { entry in
                    table.update(entry.0, default: entry.1) { _ in }
                }
            }
            hint.record(table.count)
            let parts = FloatingPointParts(of: Value.self)
            for case .branch(0, let inner) in inputs {
                try aggregates.push(context, inner) { entry in
                    if table.updateExisting(entry.0, { _ in }) { return }
                    var rest = entry.1.0
                    do {
                        if entry.1.1 > 0 { rest = try self.rest(of: rest, parts) }
                        if let isIncluded, try !isIncluded((entry.0, rest)) { return }
                    } catch {
                        throw OperatorFailure.wrap(error, at: site)
                    }
                    try sink((entry.0, (rest, 0)))
                }
            }
            try table.drain { try sink(($0, ($1, 1))) }
        }
    }

    /// What remains of a key's last value when all of it has left.
    @inlinable
    func rest(of last: Value, _ parts: FloatingPointParts<Value>) throws -> Value {
        let rest = try inverse(last, last)
        if parts.areFinite(in: rest) { return rest }
        // What is not finite, or cannot be divided by, is not taken out; what remains is the same
        // for every value.
        let ones = parts.settingToOne(in: last)
        return try inverse(ones, ones)
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
        // After a window without values nothing is left to add to.
        if batches == 0, leaving == nil { self.value = nil }
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
