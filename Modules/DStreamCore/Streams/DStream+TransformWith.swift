public import BatchEngine

extension DStream {
    /// Makes each batch's RDD from this stream's and another's by `body`, which runs once per batch.
    ///
    /// The streams have the same slide; a batch in which one has no RDD cannot be generated. The
    /// body runs on an engine thread while the batch is generated.
    @inlinable
    public func transformWith<Other: Sendable, Output: Sendable>(
        _ other: DStream<Other>, file: String = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable (RDD<Element>, RDD<Other>) async throws -> RDD<Output>
    ) -> DStream<Output> {
        transformWith(other, file: file, line: line) { rdd, other, _ in
            try await body(rdd, other)
        }
    }

    /// ``transformWith(_:file:line:_:)`` with the batch time.
    @inlinable
    public func transformWith<Other: Sendable, Output: Sendable>(
        _ other: DStream<Other>, file: String = #fileID, line: UInt = #line,
        _ body:
            @escaping @Sendable (RDD<Element>, RDD<Other>, BatchTime) async throws -> RDD<Output>
    ) -> DStream<Output> {
        let site = OperatorSite("transformWith", file: file, line: line)
        checkSiblings([(graph, node), (other.graph, other.node)], site)
        let (first, second) = (DriverInput<Element>(site), DriverInput<Other>(site))
        let stream = DStream<Output>(
            graph, site, parents: [node, other.node], slide: slideDuration,
            pipe: { .source(site) },
            compute: { [node] _, time, context in
                let plans = try await parentPlans([node, other.node], site, time, context)
                let rdd = first.rdd(plans[0], context.batch)
                let other = second.rdd(plans[1], context.batch)
                return try await transformed(site, time, context) {
                    try await body(rdd, other, time)
                }
            })
        stream.node.onFreeze { [pipe] program in
            first.freeze(pipe(), &program)
            second.freeze(other.pipe(), &program)
        }
        return stream
    }

    /// Makes each batch's RDD from those of several streams, in the order given; nil when there is
    /// no stream.
    @inlinable
    package static func transform<Input: Sendable>(
        _ streams: [DStream<Input>], _ site: OperatorSite,
        _ body: @escaping @Sendable ([RDD<Input>], BatchTime) async throws -> RDD<Element>
    ) -> DStream? {
        guard let first = streams.first else { return nil }
        first.checkSiblings(streams.map { ($0.graph, $0.node) }, site)
        let nodes = streams.map(\.node)
        let inputs = streams.map { _ in DriverInput<Input>(site) }
        let stream = DStream(
            first.graph, site, parents: nodes, slide: first.slideDuration,
            pipe: { .source(site) },
            compute: { _, time, context in
                let plans = try await parentPlans(nodes, site, time, context)
                let rdds = zip(plans, inputs).map { $1.rdd($0, context.batch) }
                return try await transformed(site, time, context) { try await body(rdds, time) }
            })
        stream.node.onFreeze { program in
            for (stream, input) in zip(streams, inputs) { input.freeze(stream.pipe(), &program) }
        }
        return stream
    }
}

/// The plans of all parents at `time`.
///
/// - Throws: ``StreamError`` `.noParentRDD` when one has none.
@usableFromInline
func parentPlans(
    _ parents: [StreamNode], _ site: OperatorSite, _ time: BatchTime, _ context: GenerationContext
) async throws -> [Plan] {
    var plans: [Plan] = []
    for parent in parents {
        guard let plan = try await parent.plan(at: time, context) else {
            throw noParentRDD(site, time)
        }
        plans.append(plan)
    }
    return plans
}

/// Runs a body that makes a batch's RDD on an engine thread.
@inlinable
func transformed<Output: Sendable>(
    _ site: OperatorSite, _ time: BatchTime, _ context: GenerationContext,
    _ body: @escaping @Sendable () async throws -> RDD<Output>
) async throws -> Plan {
    let result = Frozen<RDD<Output>>()
    try await context.batch.engine.perform("\(site), batch \(time)") {
        do { result.set(try await DriverBody.run(of: site) { try await body() }) } catch {
            throw OperatorFailure.wrap(error, at: site)
        }
    }
    return .dynamic(PipeBox(result.value.pipe, madeBy: site), result.value.plan)
}
