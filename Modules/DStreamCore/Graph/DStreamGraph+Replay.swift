internal import BatchEngine
internal import Synchronization

extension DStreamGraph {
    /// Freezes the graph for running dead letters again: it makes no batches of its own.
    ///
    /// - Throws: ``StreamError``: every bad declaration together.
    package func startReplaying() throws {
        let (nodes, outputs) = state.withLock { ($0.nodes, $0.outputs) }
        let inputs = nodes.filter(\.parents.isEmpty)
        for node in inputs { node.settings.withLock { $0.isReplaying = true } }
        // A stage begins where elements are kept: so it can take them from a letter.
        for node in inputs + outputs.map(\.node) {
            node.settings.withLock { $0.persistLevel = $0.persistLevel ?? .memoryOnly }
        }
        try start(zeroTime: .zero)
    }

    /// The job that runs the operation of a dead letter again.
    ///
    /// - Throws: ``StreamError`` `.deadLetterNotReplayable`.
    package func replayJob(
        of letter: DeadLetter, _ context: GenerationContext
    ) async throws -> OutputJob {
        let id = letter.entry.id
        let (outputs, ids) = state.withLock { ($0.outputs, $0.operationIDs) }
        guard let number = ids.firstIndex(of: id.operationID) else {
            throw notReplayable(
                letter,
                "this program has no such output operation; name operations with "
                    + "named(_:), and keep those names")
        }
        let output = outputs[number]
        var tagged = context
        tagged.batch.batchMilliseconds = id.batchTime.milliseconds
        let plan: Plan?
        switch letter.contents {
        case .output(let elements):
            plan = try source(of: elements, for: output.node, letter)
        case .inputs(let inputs):
            if inputs.allSatisfy(\.isEmpty) {
                // Later batches took what this one was to read.
                return OutputJob(
                    outputOperation: number, site: output.site, operationID: id.operationID
                ) {}
            }
            plan = try await self.plan(of: output.node, from: inputs, letter, tagged)
        }
        guard let plan else {
            throw notReplayable(letter, "the stream has no RDD of these inputs")
        }
        return OutputJob(
            outputOperation: number, site: output.site, operationID: id.operationID,
            run: try output.makeJob(id.batchTime, plan, tagged))
    }

    /// The plan of a batch, with nothing but the inputs of a letter.
    private func plan(
        of node: StreamNode, from inputs: [DeadLetter.Input], _ letter: DeadLetter,
        _ context: GenerationContext
    ) async throws -> Plan? {
        let path = StreamNode.ancestors(of: [node]).sorted { $0.number < $1.number }
        if let between = path.first(where: { $0.reachesBeyondItsBatch(batchInterval) }) {
            throw notReplayable(
                letter,
                "the elements are those of the batch's inputs, and \(between.site) needs other "
                    + "batches, too; read the elements with deadLetters() and deadLetter(_:), or "
                    + "the files and offsets that it names, and feed them to the program again")
        }
        let sources = state.withLock { $0.inputNodes }
        for node in path { node.resetForReplay(of: letter.entry.id.batchTime) }
        for input in inputs {
            guard input.problem == nil else {
                throw notReplayable(
                    letter,
                    "elements of input \(input.stream) (\(input.name)) are missing: "
                        + (input.problem ?? ""))
            }
            guard sources.indices.contains(input.stream.rawValue),
                sources[input.stream.rawValue].site.name == input.name
            else {
                throw notReplayable(
                    letter, "input \(input.stream) is not a \(input.name) in this program")
            }
            let source = sources[input.stream.rawValue]
            var plans: [Plan] = []
            if let elements = input.elements {
                plans.append(try self.source(of: elements, for: source, letter))
            }
            if !input.unread.isEmpty { plans.append(try reading(input.unread, by: source, letter)) }
            guard let first = plans.first else { continue }
            let plan = plans.count == 1 ? first : .union(plans)
            source.settings.withLock { $0.plans[letter.entry.id.batchTime] = plan }
        }
        return try await node.plan(at: letter.entry.id.batchTime, context)
    }

    /// The plan of encoded elements, where a stage of `node` takes them.
    private func source(
        of elements: DeadLetter.Elements, for node: StreamNode, _ letter: DeadLetter
    ) throws -> Plan {
        let shape = node.elementKernel.codec?.shape
        guard shape == elements.shape else {
            throw notReplayable(
                letter,
                "the elements were written as \(elements.shape), and \(node.site) has "
                    + "\(shape ?? "elements without a codec")")
        }
        return .source(elements.partitions.map { [.encoded($0)] })
    }

    /// The plan of files or offsets that could not be read, to be read now.
    private func reading(
        _ parts: [DeadLetter.UnreadPart], by node: StreamNode, _ letter: DeadLetter
    ) throws -> Plan {
        guard node.choosesParts, let boundary = node.settings.withLock({ $0.boundary }) else {
            throw notReplayable(
                letter, "\(parts[0].name) was not read, and \(node.site) cannot read it")
        }
        return .dataset(
            Dataset(
                kernel: boundary.kernel, input: .source(parts.map { [.encoded($0.part)] }),
                level: .memoryOnly, codec: boundary.codec, cutsLineage: false))
    }

    private func notReplayable(_ letter: DeadLetter, _ reason: String) -> StreamError {
        StreamError(
            .deadLetterNotReplayable,
            "\(letter.entry.id.operationID) cannot be replayed: \(reason)",
            batchTime: letter.entry.id.batchTime)
    }
}

extension DeadLetter.Input {
    /// Whether the stream gave nothing to the batch.
    fileprivate var isEmpty: Bool { elements == nil && problem == nil && unread.isEmpty }
}

extension StreamNode {
    /// Whether a batch of the stream is made from more than that batch of its parents.
    func reachesBeyondItsBatch(_ interval: Duration) -> Bool {
        traits.stateShape != nil || traits.mustCheckpoint || traits.parentRemember > .zero
            || slideDuration != interval
    }

    /// Forgets all batches, and lets the one at `time` be made.
    func resetForReplay(of time: BatchTime) {
        settings.withLock { settings in
            settings.plans = [:]
            settings.failed = []
            settings.withoutRDD = []
            settings.oldestPlan = nil
            settings.zeroTime = time - slideDuration
        }
    }
}
