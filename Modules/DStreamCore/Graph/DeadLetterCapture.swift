internal import BatchEngine
internal import Synchronization

/// A part of a batch's input that one task reads: a file, or a range of offsets.
protocol InputPart: PartitionValues {
    /// What people call it.
    var name: String { get }

    /// What a task is given that reads it once it can be read again.
    func encodedForReplay() throws -> EncodedValues
}

extension InputPart {
    func encodedForReplay() throws -> EncodedValues { try encoded() }
}

/// What a batch holds of one stream, ready to be computed and encoded.
private struct StreamCapture: Sendable {
    let node: StreamNode
    /// nil: the stream has no RDD in the batch.
    let plan: Plan?

    /// - Throws: what computing throws, or ``StreamError`` `.codecMissing`.
    func elements(_ batch: BatchContext) async throws -> DeadLetter.Elements? {
        guard let plan else { return nil }
        return try await elements(of: plan, batch)
    }

    /// The elements of an input stream, and its parts that cannot be read.
    ///
    /// - Throws: as ``elements(_:)``, when it is not known which part is at fault.
    func input(
        _ batch: BatchContext
    ) async throws -> (elements: DeadLetter.Elements?, unread: [DeadLetter.UnreadPart]) {
        guard let plan else { return (nil, []) }
        do { return (try await elements(of: plan, batch), []) } catch {
            try refuseToGoOn(after: error)
            guard node.choosesParts, node.elementKernel.codec != nil,
                let parts = Self.parts(of: plan)
            else { throw error }
            return try await readable(parts, batch)
        }
    }

    /// Reads part by part, so that those that can be read are kept.
    private func readable(
        _ parts: [(part: any InputPart, plan: Plan)], _ batch: BatchContext
    ) async throws -> (elements: DeadLetter.Elements?, unread: [DeadLetter.UnreadPart]) {
        var found: DeadLetter.Elements?
        var unread: [DeadLetter.UnreadPart] = []
        for (part, plan) in parts {
            do {
                let elements = try await elements(of: plan, batch)
                found = DeadLetter.Elements(
                    shape: elements.shape,
                    partitions: (found?.partitions ?? []) + elements.partitions)
            } catch {
                try refuseToGoOn(after: error)
                unread.append(
                    DeadLetter.UnreadPart(
                        name: part.name, reason: "\(FailureCause(error).error)",
                        part: try part.encodedForReplay()))
            }
        }
        return (found, unread)
    }

    /// Throws when it was not the input that failed.
    private func refuseToGoOn(after error: any Error) throws {
        try Task.checkCancellation()
        if let error = error as? EngineError, error.code == .abandoned || error.code == .stopped {
            throw error
        }
    }

    /// The parts of an input's plan, and a plan of each; nil: it does not consist of such.
    private static func parts(of plan: Plan) -> [(part: any InputPart, plan: Plan)]? {
        switch plan {
        case .source(let partitions):
            var parts: [(part: any InputPart, plan: Plan)] = []
            for partition in partitions {
                guard partition.count == 1, case .values(let values) = partition[0],
                    let part = values as? any InputPart
                else { return nil }
                parts.append((part, .source([partition])))
            }
            return parts
        case .dataset(let dataset):
            guard let input = dataset.input else { return nil }
            return parts(of: input)?.map { part, plan in
                let single = Dataset(
                    kernel: dataset.kernel, input: plan, level: .memoryOnly, codec: dataset.codec,
                    cutsLineage: false)
                return (part, .dataset(single))
            }
        default: return nil
        }
    }

    private func elements(
        of plan: Plan, _ batch: BatchContext
    ) async throws -> DeadLetter.Elements {
        let (kernel, found) = node.elementKernel
        guard let codec = found else { throw node.deadLetterCodecMissing }
        let encoded = Locked<[Int: EncodedValues]>([:])
        try await batch.engine.run(batch.request(kernel, over: plan)) { partition, contents in
            let values = try codec.encode(contents)
            encoded.withLock { $0[partition] = values }
        }
        let partitions = encoded.withLock { $0.sorted { $0.key < $1.key }.map(\.value) }
        return DeadLetter.Elements(shape: codec.shape, partitions: partitions)
    }
}

/// What a dead letter of one output operation keeps of one batch.
struct DeadLetterCapture: Sendable {
    private let output: StreamCapture?
    private let inputs: [(stream: StreamID, capture: StreamCapture, isMade: Bool)]
    private let batch: BatchContext
    private let isForced: Bool

    /// Notes the plans of a batch; they stay until the job has ended.
    ///
    /// - Parameters:
    ///   - plan: of the operation's stream; nil: it cannot be computed.
    ///   - isForced: whether the letter is written also without some of the inputs.
    init(
        _ node: StreamNode, _ plan: Plan?, at time: BatchTime, inputs: [StreamNode],
        _ batch: BatchContext, isForced: Bool = false
    ) {
        output = plan.map { StreamCapture(node: node, plan: $0) }
        let below = Set(StreamNode.ancestors(of: [node]).map(ObjectIdentifier.init))
        self.inputs = inputs.enumerated().filter { below.contains(ObjectIdentifier($0.element)) }
            .map { number, node in
                let known = node.madePlan(at: time)
                return (
                    StreamID(number), StreamCapture(node: node, plan: known ?? nil),
                    known != nil
                )
            }
        self.batch = batch
        self.isForced = isForced
    }

    /// The elements of the operation's stream, or of the inputs when those cannot be computed.
    ///
    /// - Throws: ``StreamError`` `.deadLetterIncomplete` when neither can be had.
    func contents() async throws -> DeadLetter.Contents {
        var cause: (any Error)?
        if let output {
            do {
                if let elements = try await output.elements(batch) { return .output(elements) }
            } catch {
                try Task.checkCancellation()
                cause = error
            }
        }
        var found: [DeadLetter.Input] = []
        for (stream, capture, isMade) in inputs {
            var input = DeadLetter.Input(
                stream: stream, name: capture.node.site.name, elements: nil)
            do {
                (input.elements, input.unread) = try await capture.input(batch)
                // A stream that chose nothing for this batch gives it to a later one.
                if !isMade, !capture.node.choosesParts {
                    input.problem = "what it gave was not known"
                }
            } catch {
                try Task.checkCancellation()
                input.problem = "\(error)"
            }
            found.append(input)
        }
        let problems = found.compactMap { input in
            input.problem.map { "input \(input.stream) (\(input.name)): \($0)" }
        }
        guard problems.isEmpty || isForced else {
            throw StreamError(
                .deadLetterIncomplete,
                "neither the operation's elements nor those of all inputs can be kept: "
                    + problems.joined(separator: "; "), underlying: cause)
        }
        return .inputs(found)
    }
}

extension StreamNode {
    /// Whether the stream chooses which files or offsets a batch reads.
    var choosesParts: Bool { traits.files != nil || traits.direct != nil }

    /// Notes that a batch is being generated, or given up before it has chosen what it reads.
    func noteBegun(_ time: BatchTime, _ isBegun: Bool = true) {
        guard choosesParts else { return }
        settings.withLock { settings in
            if isBegun { settings.begun.insert(time) } else { settings.begun.remove(time) }
        }
    }

    /// Whether a batch may choose what it reads, unless it has.
    ///
    /// One that failed, was skipped, or was over before a restart leaves it to the next batch: what a
    /// window chose for it would be in no other output operation.
    func mayChoose(for time: BatchTime) -> Bool {
        settings.withLock { $0.begun.contains(time) && !$0.failed.contains(time) }
    }

    /// The plan of a batch, if it was made; the inner nil: there is no RDD.
    func madePlan(at time: BatchTime) -> Plan?? {
        settings.withLock { settings in
            if let plan = settings.plans[time] { return .some(plan) }
            return settings.withoutRDD.contains(time) ? .some(nil) : nil
        }
    }

    /// The error of a stream whose elements cannot be kept.
    var deadLetterCodecMissing: StreamError {
        StreamError(
            .codecMissing,
            "a dead letter turns elements into bytes and \(shape) has no codec; declare the type "
                + "StreamCodable", site: site)
    }
}
