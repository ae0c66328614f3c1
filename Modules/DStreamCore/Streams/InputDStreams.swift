public import BatchEngine
internal import Synchronization

extension DStreamGraph {
    /// An input stream whose batches are computed in the driver, as Spark's `InputDStream.compute`.
    ///
    /// - Parameters:
    ///   - isReplayable: whether a batch that runs again, also in another run of the program, is
    ///     given the same elements. Otherwise a restart that would run a batch again is refused,
    ///     also one that was given none: `compute` may take elements and end in an error.
    ///   - compute: the RDD of a batch, or nil for none; called at most once per batch, on an
    ///     engine thread, which it may block.
    @inlinable
    public func inputStream<Element: Sendable>(
        _ name: String = "inputStream", isReplayable: Bool = false, file: String = #fileID,
        line: UInt = #line,
        _ compute:
            @escaping @Sendable (BatchTime, GenerationContext) async throws -> RDD<Element>?
    ) -> DStream<Element> {
        let site = OperatorSite(name, file: file, line: line)
        return computedStream(site, givesOnce: !isReplayable) { id, time, context in
            // First: what `compute` takes is gone, whether it returns or not.
            if !isReplayable { try await context.noteTaken(from: id, for: time) }
            let made = Frozen<RDD<Element>?>()
            try await context.batch.engine.perform("\(site), batch \(time)") {
                made.set(try await compute(time, context))
            }
            return made.value
        }
    }

    /// An input stream whose batches are computed right there, without a line of the user's.
    ///
    /// - Parameters:
    ///   - givesOnce: whether elements that a batch took cannot be had again; `compute` calls
    ///     ``GenerationContext/noteTaken(from:for:)`` before it takes any.
    @inlinable
    package func computedStream<Element: Sendable>(
        _ site: OperatorSite, givesOnce: Bool,
        _ compute:
            @escaping @Sendable (StreamID, BatchTime, GenerationContext) async throws ->
            RDD<Element>?
    ) -> DStream<Element> {
        let id = addInput()
        var traits = StreamNode.Traits()
        traits.givesOnce = givesOnce
        return DStream<Element>(
            self, site, parents: [], slide: batchInterval, traits: traits,
            pipe: { .source(site) },
            compute: { _, time, context in
                guard let rdd = try await compute(id, time, context) else { return nil }
                return .dynamic(PipeBox(rdd.pipe), rdd.plan)
            })
    }

    /// The places of input streams that outputs use and that cannot give a batch again, by number.
    package var inputsGivenOnce: [StreamID: OperatorSite] {
        let (inputs, outputs) = state.withLock { ($0.inputNodes, $0.outputs) }
        let used = Set(StreamNode.ancestors(of: outputs.map(\.node)).map(ObjectIdentifier.init))
        var sites: [StreamID: OperatorSite] = [:]
        for (number, node) in inputs.enumerated()
        where node.traits.givesOnce && used.contains(ObjectIdentifier(node)) {
            sites[StreamID(number)] = node.site
        }
        return sites
    }

    /// Which operators the input streams are, by number, for the records of checkpoints.
    package var inputIdentities: [String: String] {
        var counts: [String: Int] = [:]
        var identities: [String: String] = [:]
        for (number, node) in state.withLock({ $0.inputNodes }).enumerated() {
            var this = StatefulOperator(
                kind: node.site.name, name: node.name, shape: node.shape)
            let kind = "\(this.kind) of \(this.shape)"
            if this.name == nil {
                this.number = counts[kind, default: 0]
                counts[kind] = this.number + 1
            }
            identities[Self.inputKey(number)] = this.id
            identities[Self.inputKey(number) + ".kind"] = kind
        }
        return identities
    }

    private static func inputKey(_ number: Int) -> String { "input.\(number)" }

    /// Refuses that a stream takes what another one had received or chosen: logs know streams by
    /// their numbers.
    ///
    /// - Parameter streams: those that have something left.
    /// - Throws: ``StreamError`` `.checkpointMismatch`.
    package func refuseMovedInputs(_ streams: Set<StreamID>, since record: CheckpointRecord) throws
    {
        let (then, now) = (record.configuration, inputIdentities)
        for stream in streams.sorted() {
            let key = Self.inputKey(stream.rawValue)
            guard let old = then[key], let new = now[key], old != new else { continue }
            // A stream that has got a name is the same one.
            let isRenamed =
                then[key + ".kind"] == now[key + ".kind"] && !now.values.contains(old)
                && !then.values.contains(new)
            if isRenamed { continue }
            throw StreamError(
                .checkpointMismatch,
                "input stream \(stream) was \(old) and is \(new) now, and batches that run again "
                    + "have records or files of the former. Declare inputs in the order they had, new "
                    + "ones behind, until these batches have completed", site: site(of: stream))
        }
    }

    /// The place of an input stream; nil: there is no such stream.
    package func site(of input: StreamID) -> OperatorSite? { inputNode(input)?.site }

    func inputNode(_ input: StreamID) -> StreamNode? {
        state.withLock { state in
            state.inputNodes.indices.contains(input.rawValue)
                ? state.inputNodes[input.rawValue] : nil
        }
    }

    /// The stream of what a receiver stores: one partition per block.
    ///
    /// - Parameter isLogged: whether a restart finds the blocks of earlier batches.
    @inlinable
    package func receiverStream<Element: Sendable>(
        _ type: Element.Type, _ site: OperatorSite, isLogged: Bool
    ) -> (id: StreamID, stream: DStream<Element>) {
        let id = addInput()
        var traits = StreamNode.Traits()
        traits.isSource = true
        traits.isLogged = isLogged
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
