internal import BatchEngine
internal import Synchronization

/// What a batch holds of one stream, ready to be computed and encoded.
private struct StreamCapture: Sendable {
    let node: StreamNode
    /// nil: the stream has no RDD in the batch.
    let plan: Plan?

    /// - Throws: what computing throws, or ``StreamError`` `.codecMissing`.
    func elements(_ batch: BatchContext) async throws -> DeadLetter.Elements? {
        guard let plan else { return nil }
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
                input.elements = try await capture.elements(batch)
                if !isMade { input.problem = "what it gave was not known" }
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
