/// A dataset in partitions: what a stream is at one batch, and what actions compute from.
///
/// An RDD is a value that says how to compute its elements; nothing runs before an action
/// (``collect()``, ``count()`` …). Narrow operators fuse into one pass over each partition.
public struct RDD<Element: Sendable>: Sendable {
    /// The engine and the settings that actions use.
    public let context: BatchContext
    /// Where the elements come from.
    public let plan: Plan
    /// The fused chain from the plan's partitions to the elements.
    public let pipe: Pipe<Element>

    /// Makes an RDD from its parts.
    @inlinable
    public init(context: BatchContext, plan: Plan, pipe: Pipe<Element>) {
        self.context = context
        self.plan = plan
        self.pipe = pipe
    }

    /// Makes an RDD whose plan nests as its pipe does: when that is too deep, the plan is let go
    /// and each action throws what the pipe throws.
    @inlinable
    init(bounding plan: Plan, context: BatchContext, pipe: Pipe<Element>) {
        self.init(
            context: context,
            plan: pipe.depth <= Pipe<Element>.depthMaximum ? plan : .source([[]]), pipe: pipe)
    }

    /// The number of partitions.
    public var partitionCount: Int { plan.partitionCount }
}

extension RDD {
    @inlinable
    func narrow<Output: Sendable>(_ pipe: Pipe<Output>) -> RDD<Output> {
        RDD<Output>(context: context, plan: plan, pipe: pipe)
    }

    /// An RDD whose actions throw: operators that make RDDs do not throw themselves.
    @inlinable
    func failing<Output: Sendable>(_ error: EngineError) -> RDD<Output> {
        RDD<Output>(context: context, plan: .source([[]]), pipe: .failing(error))
    }

    /// The partitions to make, by default the context's number.
    @inlinable
    func outputCount(_ partitions: Int?) -> Int { partitions ?? context.defaultParallelism }

    /// The elements that `pipe` makes of what `kernel` shuffles.
    @inlinable
    package func exchanged<Output: Sendable>(
        _ kernel: Kernel, _ partitions: Int, _ pipe: Pipe<Output>
    ) -> RDD<Output> {
        RDD<Output>(
            context: context, plan: plan.exchanged(by: kernel, into: partitions), pipe: pipe)
    }

    /// The elements shuffled so that equal keys of several RDDs meet in one partition.
    @inlinable
    func shuffled<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite, _ partitions: Int, _ placement: KeyPlacement<Key>
    ) -> Plan where Element == (Key, Value) {
        let kernel = pipe.partitionKernel(id: .nextDynamic(), site, placement: placement)
        return plan.exchanged(by: kernel, into: partitions)
    }
}

extension RDD {

    /// Applies `transform` to each element.
    @inlinable
    public func map<Output: Sendable>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Element) throws -> Output
    ) -> RDD<Output> {
        narrow(pipe.map(OperatorSite("map", file: file, line: line), transform))
    }

    /// Keeps the elements for which `isIncluded` is true.
    @inlinable
    public func filter(
        file: String = #fileID, line: UInt = #line,
        @ClosureBody<Element, Bool>
        _ isIncluded: @escaping @Sendable (Element) throws -> Bool
    ) -> RDD {
        narrow(pipe.filter(OperatorSite("filter", file: file, line: line), isIncluded))
    }

    /// Applies `transform` to each element and leaves out what becomes nil.
    @inlinable
    public func compactMap<Output: Sendable>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Element) throws -> Output?
    ) -> RDD<Output> {
        narrow(pipe.compactMap(OperatorSite("compactMap", file: file, line: line), transform))
    }

    /// Replaces each element by the elements of a sequence.
    @inlinable
    public func flatMap<Outputs: Sequence & SendableMetatype>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Element) throws -> Outputs
    ) -> RDD<Outputs.Element> where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        narrow(pipe.flatMap(OperatorSite("flatMap", file: file, line: line), transform))
    }

    /// Replaces each element by the elements of a sequence that pushes them itself.
    @inlinable
    public func flatMap<Outputs: PushSequence & SendableMetatype>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Element) throws -> Outputs
    ) -> RDD<Outputs.Element> where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        narrow(pipe.flatMap(OperatorSite("flatMap", file: file, line: line), transform))
    }

    /// Hands each partition, as an array, to `transform`.
    @inlinable
    public func mapPartitions<Outputs: Sequence & SendableMetatype>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable ([Element]) throws -> Outputs
    ) -> RDD<Outputs.Element> where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        narrow(pipe.mapPartitions(OperatorSite("mapPartitions", file: file, line: line), transform))
    }

    /// Each partition as one array.
    @inlinable
    public func glom(file: String = #fileID, line: UInt = #line) -> RDD<[Element]> {
        narrow(pipe.mapPartitions(OperatorSite("glom", file: file, line: line)) { [$0] })
    }

    /// The elements of this RDD, then those of `other`; duplicates stay.
    @inlinable
    public func union(_ other: RDD, file: String = #fileID, line: UInt = #line) -> RDD {
        context.union([self, other], file: file, line: line)
    }

    /// Pairs each element with its index: partition by partition, in order.
    ///
    /// - Throws: what running the count job throws.
    /// - Complexity: one extra pass that counts, when there is more than one partition.
    @inlinable
    public func zipWithIndex(
        file: String = #fileID, line: UInt = #line
    ) async throws -> RDD<(Element, Int)> {
        let site = OperatorSite("zipWithIndex", file: file, line: line)
        let run = pipe.run
        var starts = [Int](repeating: 0, count: partitionCount)
        if partitionCount > 1 {
            let counts = try await partitionCounts(site)
            for index in starts.indices.dropFirst() {
                starts[index] = starts[index - 1] + counts[index - 1]
            }
        }
        let indexed = Pipe<(Element, Int)>(around: pipe.depth, site) { context, inputs, sink in
            var (index, inner) = try inputs.splitNumber(site)
            try run(context, inner) { element in
                try sink((element, index))
                index += 1
            }
        }
        return RDD<(Element, Int)>(
            bounding: plan.numbered(starts), context: context, pipe: indexed)
    }

    /// Deals the elements out evenly over `partitions` partitions, by a shuffle.
    ///
    /// - Parameter partitions: at least 1; smaller values count as 1.
    @inlinable
    public func repartition(
        _ partitions: Int, file: String = #fileID, line: UInt = #line
    ) -> RDD {
        let site = OperatorSite("repartition", file: file, line: line)
        let kernel = pipe.roundRobinKernel(id: .nextDynamic(), site)
        return exchanged(kernel, partitions, .source(site))
    }

    /// At most `partitions` partitions, joining neighbours without a shuffle.
    @inlinable
    public func coalesce(
        _ partitions: Int, file: String = #fileID, line: UInt = #line
    ) -> RDD {
        RDD(
            bounding: .coalesce(plan, Swift.max(1, partitions)), context: context,
            pipe: pipe.joined(OperatorSite("coalesce", file: file, line: line)))
    }
}

extension RDD {
    /// Keeps the elements once computed; use the returned RDD.
    ///
    /// - Parameter level: objects in memory by default. Other levels need a codec for the element
    ///   type: an action throws ``EngineError`` with `.codecMissing` when there is none.
    @inlinable
    public func persist(
        _ level: StorageLevel = .memoryOnly, file: String = #fileID, line: UInt = #line
    ) -> RDD {
        let site = OperatorSite("persist", file: file, line: line)
        let dataset = Dataset(
            kernel: pipe.materializeKernel(id: .nextDynamic(), site), input: plan, level: level,
            codec: level.needsCodec ? Codec<Element>.resolve().map { ErasedCodec($0) } : nil,
            cutsLineage: false)
        return RDD(context: context, plan: .dataset(dataset), pipe: .source(site))
    }

    /// ``persist(_:file:line:)`` as objects in memory.
    @inlinable
    public func cache(file: String = #fileID, line: UInt = #line) -> RDD {
        persist(.memoryOnly, file: file, line: line)
    }

    /// Drops what ``persist(_:file:line:)`` kept; a later action computes it again.
    public func unpersist() {
        if case .dataset(let dataset) = plan { dataset.unpersist() }
    }
}
