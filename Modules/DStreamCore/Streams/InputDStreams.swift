public import BatchEngine

extension DStreamGraph {
    /// An input stream whose batches are computed in the driver, as Spark's `InputDStream.compute`.
    ///
    /// - Parameter compute: the RDD of a batch, or nil for none; called at most once per batch, on an
    ///   engine thread, which it may block.
    @inlinable
    public func inputStream<Element: Sendable>(
        _ name: String = "inputStream", file: String = #fileID, line: UInt = #line,
        _ compute:
            @escaping @Sendable (BatchTime, GenerationContext) async throws -> RDD<Element>?
    ) -> DStream<Element> {
        let site = OperatorSite(name, file: file, line: line)
        return quickInputStream(site) { time, context in
            let result = Frozen<RDD<Element>?>()
            try await context.batch.engine.perform("\(site), batch \(time)") {
                result.set(try await compute(time, context))
            }
            return result.value
        }
    }

    /// An input stream whose batches are computed right there: without a line of the user's.
    @inlinable
    package func quickInputStream<Element: Sendable>(
        _ site: OperatorSite,
        _ compute:
            @escaping @Sendable (BatchTime, GenerationContext) async throws -> RDD<Element>?
    ) -> DStream<Element> {
        _ = addInput()
        return DStream<Element>(
            self, site, parents: [], slide: batchInterval, pipe: { .source(site) },
            compute: { _, time, context in
                guard let rdd = try await compute(time, context) else { return nil }
                return .dynamic(PipeBox(rdd.pipe), rdd.plan)
            })
    }

    /// The stream of what a receiver stores: one partition per block.
    @inlinable
    package func receiverStream<Element: Sendable>(
        _ type: Element.Type, _ site: OperatorSite
    ) -> (id: StreamID, stream: DStream<Element>) {
        let id = addInput()
        var traits = StreamNode.Traits()
        traits.isSource = true
        let stream = DStream<Element>(
            self, site, parents: [], slide: batchInterval, traits: traits,
            pipe: { .source(site) },
            compute: { _, time, context in
                let blocks = await context.allocator.blocks(allocatedTo: time, stream: id)
                context.inputInfo.report(
                    StreamInputInfo(
                        inputStreamID: id,
                        recordCount: blocks.reduce(0) { $0 + $1.recordCount }), at: time)
                return .source(blocks.map { [.block($0.id)] })
            })
        return (id, stream)
    }
}
