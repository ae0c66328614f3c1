public import BatchEngine

extension DStream {
    /// Applies `transform` to each element.
    @inlinable
    public func map<Output: Sendable>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Element) throws -> Output
    ) -> DStream<Output> {
        let site = OperatorSite("map", file: file, line: line)
        return derived(site) { [pipe] in pipe().map(site, transform) }
    }

    /// Keeps the elements for which `isIncluded` is true.
    @inlinable
    public func filter(
        file: String = #fileID, line: UInt = #line,
        @ClosureBody<Element, Bool>
        _ isIncluded: @escaping @Sendable (Element) throws -> Bool
    ) -> DStream {
        let site = OperatorSite("filter", file: file, line: line)
        return derived(site) { [pipe] in pipe().filter(site, isIncluded) }
    }

    /// Applies `transform` to each element and leaves out what becomes nil.
    ///
    /// A closure with a `return nil` before its result says what it returns, as on `Array`:
    /// `compactMap { line -> Int? in … }`.
    @inlinable
    public func compactMap<Output: Sendable>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Element) throws -> Output?
    ) -> DStream<Output> {
        let site = OperatorSite("compactMap", file: file, line: line)
        return derived(site) { [pipe] in pipe().compactMap(site, transform) }
    }

    /// Replaces each element by the elements of a sequence.
    ///
    /// A closure with a `return []` before its result says what it returns: an empty array alone does
    /// not. `flatMap { line -> [String] in … }`.
    @inlinable
    public func flatMap<Outputs: Sequence & SendableMetatype>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Element) throws -> Outputs
    ) -> DStream<Outputs.Element>
    where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        let site = OperatorSite("flatMap", file: file, line: line)
        return derived(site) { [pipe] in pipe().flatMap(site, transform) }
    }

    /// Replaces each element by the elements of a sequence that pushes them itself, such as
    /// `words()`.
    @inlinable
    public func flatMap<Outputs: PushSequence & SendableMetatype>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Element) throws -> Outputs
    ) -> DStream<Outputs.Element>
    where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        let site = OperatorSite("flatMap", file: file, line: line)
        return derived(site) { [pipe] in pipe().flatMap(site, transform) }
    }

    /// Hands each partition, as an array, to `transform`.
    @inlinable
    public func mapPartitions<Outputs: Sequence & SendableMetatype>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable ([Element]) throws -> Outputs
    ) -> DStream<Outputs.Element>
    where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        let site = OperatorSite("mapPartitions", file: file, line: line)
        return derived(site) { [pipe] in pipe().mapPartitions(site, transform) }
    }

    /// Each partition as one array.
    @inlinable
    public func glom(file: String = #fileID, line: UInt = #line) -> DStream<[Element]> {
        let site = OperatorSite("glom", file: file, line: line)
        return derived(site) { [pipe] in pipe().mapPartitions(site) { [$0] } }
    }

    /// Deals the elements of each batch out evenly over `partitions` partitions.
    ///
    /// A batch without RDD cannot be generated, as in Spark.
    ///
    /// - Parameter partitions: at least 1.
    @inlinable
    public func repartition(
        _ partitions: Int, file: String = #fileID, line: UInt = #line
    ) -> DStream {
        let site = OperatorSite("repartition", file: file, line: line)
        return exchanged(
            site, partitions: partitions, requiresParent: true,
            kernel: { [pipe] id in pipe().roundRobinKernel(id: id, site) },
            pipe: { .source(site) })
    }

    /// The elements of both streams, this one's first.
    ///
    /// The streams have the same slide; a batch in which one has no RDD cannot be generated.
    @inlinable
    public func union(
        _ other: DStream, file: String = #fileID, line: UInt = #line
    ) -> DStream {
        .union([self, other], OperatorSite("union", file: file, line: line)) ?? self
    }

    /// The elements of all `streams`, one stream after the other; nil when there is none.
    @inlinable
    package static func union(_ streams: [DStream], _ site: OperatorSite) -> DStream? {
        guard let first = streams.first else { return nil }
        first.checkSiblings(streams.map { ($0.graph, $0.node) }, site)
        let nodes = streams.map(\.node)
        let pipes = streams.map(\.pipe)
        return DStream(
            first.graph, site, parents: nodes, slide: first.slideDuration,
            pipe: { .union(pipes.map { $0() }, site) },
            compute: { _, time, context in
                .union(try await parentPlans(nodes, site, time, context))
            })
    }

    /// Records streams of another context or with another slide.
    @usableFromInline
    func checkSiblings(_ siblings: [(DStreamGraph, StreamNode)], _ site: OperatorSite) {
        if siblings.contains(where: { $0.0 !== graph }) {
            graph.record(
                StreamError(
                    .contextMismatch, "some of the streams belong to different contexts",
                    site: site))
        } else if siblings.contains(where: { $0.1.slideDuration != slideDuration }) {
            graph.record(
                StreamError(
                    .slideMismatch, "some of the streams have different slide durations",
                    site: site))
        }
    }
}

extension DStream {
    /// The number of elements of each batch, as one element.
    ///
    /// A batch without RDD cannot be generated, as in Spark.
    @inlinable
    public func count(file: String = #fileID, line: UInt = #line) -> DStream<Int> {
        count(OperatorSite("count", file: file, line: line), requiresParent: true)
    }

    @inlinable
    func count(_ site: OperatorSite, requiresParent: Bool) -> DStream<Int> {
        exchanged(
            site, partitions: 1, requiresParent: requiresParent,
            kernel: { [pipe] id in pipe().countKernel(id: id, site) },
            pipe: { .summed(site) })
    }

    /// The reduction of each batch: one element, or none when the batch is empty.
    ///
    /// - Parameter combine: associative; applied within partitions, then in partition order.
    @inlinable
    public func reduce(
        file: String = #fileID, line: UInt = #line,
        @ClosureBody<(Element, Element), Element>
        _ combine: @escaping @Sendable (Element, Element) throws -> Element
    ) -> DStream {
        reduce(OperatorSite("reduce", file: file, line: line), combine)
    }

    @inlinable
    func reduce(
        _ site: OperatorSite, _ combine: @escaping @Sendable (Element, Element) throws -> Element
    ) -> DStream {
        exchanged(
            site, partitions: 1,
            kernel: { [pipe] id in pipe().foldKernel(id: id, site, combine) },
            pipe: { .folded(site, combine) })
    }

    /// How often each element occurs in a batch.
    @inlinable
    public func countByValue(
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line
    ) -> DStream<(Element, Int)> where Element: StreamKey {
        countByValue(OperatorSite("countByValue", file: file, line: line), partitions)
    }

    @inlinable
    func countByValue(
        _ site: OperatorSite, _ partitions: Int?
    ) -> DStream<(Element, Int)> where Element: StreamKey {
        exchanged(
            site, partitions: partitions,
            kernel: { [pipe] id in
                pipe().map(site) { ($0, 1) }.reduceKernel(id: id, site, placement: .hash) {
                    $0 + $1
                }
            },
            pipe: { .merged(site) { $0 + $1 } }
        ).dealt(partitions, .hash)
    }

    /// Makes each batch's RDD from this stream's by `body`, which runs once per batch.
    ///
    /// A batch without RDD cannot be generated, as in Spark. The body runs on an engine thread
    /// while the batch is generated.
    @inlinable
    public func transform<Output: Sendable>(
        file: String = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable (RDD<Element>) async throws -> RDD<Output>
    ) -> DStream<Output> {
        transform(file: file, line: line) { rdd, _ in try await body(rdd) }
    }

    /// ``transform(file:line:_:)`` with the batch time.
    @inlinable
    public func transform<Output: Sendable>(
        file: String = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable (RDD<Element>, BatchTime) async throws -> RDD<Output>
    ) -> DStream<Output> {
        let site = OperatorSite("transform", file: file, line: line)
        let input = DriverInput<Element>(site)
        let stream = DStream<Output>(
            graph, site, parents: [node], slide: slideDuration, pipe: { .source(site) }
        ) { [node] _, time, context in
            let plans = try await parentPlans([node], site, time, context)
            let rdd = input.rdd(plans[0], context.batch)
            return try await transformed(site, time, context) { try await body(rdd, time) }
        }
        stream.node.onFreeze { [pipe] program in input.freeze(pipe(), &program) }
        return stream
    }
}
