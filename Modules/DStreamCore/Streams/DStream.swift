public import BatchEngine
internal import Synchronization

/// A discretized stream: the template from which every batch makes an RDD.
///
/// A stream is a value that describes an operator; nothing runs before the context is started.
/// Operators do not throw: what cannot work is recorded with its place and thrown by `start()`.
public struct DStream<Element: Sendable>: Sendable {
    /// The graph the stream belongs to.
    public let graph: DStreamGraph
    /// The operator in the graph.
    public let node: StreamNode
    @usableFromInline let upstream: @Sendable () -> Pipe<Element>

    /// Adds an operator to the graph.
    ///
    /// - Parameters:
    ///   - graph: that of the streams it is made from.
    ///   - site: the operator's name, and where the user called it.
    ///   - parents: the streams it is made from.
    ///   - slide: the time between its RDDs, a multiple of its parents'.
    ///   - traits: what it demands of itself and of its parents.
    ///   - pipe: makes the fused chain up to this operator; called when the graph is frozen.
    ///   - compute: the plan of one batch, or nil when the stream has no RDD then. An operator that
    ///     works on elements one by one gives its parent's plan, and its pipe does the work.
    @inlinable
    public init(
        _ graph: DStreamGraph, _ site: OperatorSite, parents: [StreamNode], slide: Duration,
        traits: StreamNode.Traits = StreamNode.Traits(),
        pipe: @escaping @Sendable () -> Pipe<Element>, compute: @escaping StreamNode.Compute
    ) {
        self.graph = graph
        let chain = FrozenPipe(pipe)
        upstream = { chain.value }
        node = graph.addNode(
            site, parents: parents, slide: slide, shape: elementShape(of: Element.self),
            traits: traits, compute: compute, freezePipe: { chain.freeze() },
            materialize: { id in
                (
                    chain.value.materializeKernel(id: id, site),
                    Codec<Element>.resolve().map { ErasedCodec($0) }
                )
            })
    }

    /// What a child builds on: this operator's chain, or the start of a stage when it is kept.
    ///
    /// Called when the graph is frozen.
    @inlinable
    public var pipe: @Sendable () -> Pipe<Element> {
        { [node, upstream] in node.isBoundary ? .source(node.site) : upstream() }
    }

    /// The time between the stream's RDDs.
    public var slideDuration: Duration { node.slideDuration }

    /// The streams this one is made from.
    public var dependencies: [StreamNode] { node.parents }

    /// The RDD at `time`, or nil when the stream has none then.
    @inlinable
    package func rdd(at time: BatchTime, _ context: GenerationContext) async throws -> RDD<Element>?
    {
        guard let plan = try await node.plan(at: time, context) else { return nil }
        return RDD(context: context.batch, plan: plan, pipe: pipe())
    }
}

/// The codec shape of a type, or its plain name when it has no codec.
@usableFromInline
package func elementShape<Element>(of type: Element.Type) -> String {
    Codec<Element>.resolve()?.shape ?? "?\(type)"
}

extension DStream {
    /// A narrow operator on this stream.
    @inlinable
    func derived<Output: Sendable>(
        _ site: OperatorSite, _ pipe: @escaping @Sendable () -> Pipe<Output>
    ) -> DStream<Output> {
        DStream<Output>(graph, site, parents: [node], slide: slideDuration, pipe: pipe) {
            [node] _, time, context in try await node.plan(at: time, context)
        }
    }

    /// A shuffle of this stream.
    ///
    /// - Parameter requiresParent: whether a batch without RDD is an error rather than skipped.
    @inlinable
    func exchanged<Output: Sendable>(
        _ site: OperatorSite, partitions: Int?, requiresParent: Bool = false,
        kernel: @escaping @Sendable (KernelID) -> Kernel,
        pipe: @escaping @Sendable () -> Pipe<Output>
    ) -> DStream<Output> {
        graph.checkPartitions(partitions, site)
        let cell = Frozen<Kernel>()
        let stream = DStream<Output>(
            graph, site, parents: [node], slide: slideDuration, pipe: pipe
        ) { [node] _, time, context in
            guard let plan = try await node.plan(at: time, context) else {
                if requiresParent { throw noParentRDD(site, time) }
                return nil
            }
            return plan.exchanged(
                by: cell.value, into: partitions ?? context.batch.defaultParallelism)
        }
        stream.node.onFreeze { program in cell.set(program.add(kernel)) }
        return stream
    }
}

extension DStreamGraph {
    /// Records a number of partitions that cannot be.
    @usableFromInline
    func checkPartitions(_ partitions: Int?, _ site: OperatorSite) {
        let most = BatchContext.partitionMaximum
        guard let partitions, partitions < 1 || partitions > most else { return }
        record(
            StreamError(
                .badDeclaration,
                "the number of partitions (\(partitions)) must be at least 1 and at most \(most)",
                site: site))
    }
}

/// The error of an operator that cannot do without its parent's RDD.
@usableFromInline
func noParentRDD(_ site: OperatorSite, _ time: BatchTime) -> StreamError {
    StreamError(
        .noParentRDD,
        "couldn't generate an RDD at time \(time): a parent stream has none for this batch",
        site: site, batchTime: time)
}

extension DStream {
    /// Keeps each RDD once computed, for several outputs or operators that use it.
    ///
    /// - Parameter level: objects in memory by default. Levels that need bytes need a codec:
    ///   `start()` refuses them for element types without one.
    @discardableResult
    public func persist(
        _ level: StorageLevel = .memoryOnly, file: String = #fileID, line: UInt = #line
    ) -> DStream {
        configure(
            OperatorSite("persist", file: file, line: line),
            "the storage level cannot be changed after the context was started"
        ) { $0.persistLevel = level }
        return self
    }

    /// ``persist(_:file:line:)`` as objects in memory.
    @discardableResult
    public func cache(file: String = #fileID, line: UInt = #line) -> DStream {
        persist(.memoryOnly, file: file, line: line)
    }

    /// Sets how often the stream is checkpointed: a multiple of its slide.
    @discardableResult
    public func checkpoint(
        _ interval: Duration, file: String = #fileID, line: UInt = #line
    ) -> DStream {
        configure(
            OperatorSite("checkpoint", file: file, line: line),
            "cannot change the checkpoint interval of a stream after the context was started"
        ) { $0.checkpointInterval = interval }
        return self
    }

    /// Changes how the operator works, or records that it is too late for that.
    private func configure(
        _ site: OperatorSite, _ refusal: String, _ change: (inout StreamNode.Settings) -> Void
    ) {
        let isLate = node.settings.withLock { settings in
            if !settings.isFrozen { change(&settings) }
            return settings.isFrozen
        }
        if isLate { graph.record(StreamError(.alreadyStarted, refusal, site: site)) }
    }

    /// Remembers the stream's RDDs for at least `duration`; a shorter duration than before
    /// changes nothing.
    @discardableResult
    public func remember(
        _ duration: Duration, file: String = #fileID, line: UInt = #line
    ) -> DStream {
        let site = OperatorSite("remember", file: file, line: line)
        if let problem = DStreamGraph.rememberProblem(duration, site) {
            graph.record(problem)
        } else if node.settings.withLock({ $0.isFrozen }) {
            graph.record(
                StreamError(
                    .alreadyStarted,
                    "what a stream remembers cannot be changed after the context was started",
                    site: site))
        } else {
            node.remember(duration)
            node.settings.withLock { $0.ownRemember = max($0.ownRemember, duration) }
        }
        return self
    }

    /// Names the operator, so that its state is found again after the program was changed.
    ///
    /// - Parameter formerly: the name that it had, or the ``StatefulOperator/id`` when it had none;
    ///   only needed until a checkpoint was written under the new name.
    @discardableResult
    public func named(
        _ name: String, formerly: String? = nil, file: String = #fileID, line: UInt = #line
    ) -> DStream {
        configure(
            OperatorSite("named", file: file, line: line),
            "the name of a stream cannot be changed after the context was started"
        ) { settings in
            settings.name = name
            settings.formerName = formerly
        }
        return self
    }
}
