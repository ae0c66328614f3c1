internal import BatchEngine
internal import Synchronization

extension DStreamGraph {
    /// What operations do about failures that do not say it themselves.
    struct FailureDefaults: Sendable {
        var policy = FailurePolicy.stop
        var hasDeadLetters = false
    }

    /// Sets what operations do about failures that do not say it themselves.
    ///
    /// - Parameter hasDeadLetters: whether there is a place for dead letters.
    package func setFailureDefaults(_ policy: FailurePolicy, hasDeadLetters: Bool) {
        state.withLock {
            $0.failures = FailureDefaults(policy: policy, hasDeadLetters: hasDeadLetters)
        }
    }

    /// Whether any operation may have dead letters, itself or by default.
    package func usesDeadLetters(by policy: FailurePolicy) -> Bool {
        state.withLock { state in
            state.outputs.contains { ($0.failure?.policy ?? policy) == .deadLetter }
        }
    }

    /// Changes an output operation, unless it is too late for that.
    func changeOutput(
        _ number: Int?, _ site: OperatorSite, _ change: (inout Output) -> Void
    ) {
        let problem: StreamError? = state.withLock { state in
            if state.phase != .declaring { return Self.lateProblem(state.phase, site) }
            if let number { change(&state.outputs[number]) }
            return nil
        }
        if let problem { record(problem) }
    }

    /// What is wrong with the dead letters of an operation.
    func deadLetterProblems(of output: Output, _ defaults: FailureDefaults) -> [StreamError] {
        guard output.handling(defaults).policy == .deadLetter else { return [] }
        if !defaults.hasDeadLetters {
            return [
                StreamError(
                    .deadLetterDirectoryMissing,
                    "\(output.site.name) is to keep dead letters and there is no directory for "
                        + "them: set deadLetterDirectory in the configuration, or call "
                        + "checkpoint(_:) on the StreamingContext", site: output.site)
            ]
        }
        let inputs = StreamNode.ancestors(of: [output.node]).filter(\.parents.isEmpty)
        return ([output.node] + inputs.sorted { $0.number < $1.number })
            .filter { $0.elementKernel.codec == nil }.map(\.deadLetterCodecMissing)
    }

    /// Names operations, each by its own name or by its place among those alike.
    static func operationIDs(_ outputs: [Output]) -> [String] {
        var counts: [String: Int] = [:]
        return outputs.map { output in
            if let name = output.name { return "\(output.site.name) \"\(name)\"" }
            let kind = "\(output.site.name) of \(output.node.shape)"
            defer { counts[kind, default: 0] += 1 }
            return "\(kind) #\(counts[kind, default: 0])"
        }
    }

    /// Operations of one name would replace each other's dead letters.
    static func operationNameProblems(_ outputs: [Output]) -> [StreamError] {
        var first: [String: OperatorSite] = [:]
        return zip(outputs, operationIDs(outputs)).compactMap { output, id in
            guard let other = first[id] else {
                first[id] = output.site
                return nil
            }
            return StreamError(
                .badConfiguration,
                "\(other) is \(id) already; give each operation a name of its own, by which its "
                    + "dead letters are found again", site: output.site)
        }
    }

    /// Makes the inputs of a batch that are not made, as dead letters keep them.
    static func makeInputs(
        of node: StreamNode, at time: BatchTime, _ context: GenerationContext
    ) async {
        for input in StreamNode.ancestors(of: [node]).filter(\.parents.isEmpty)
        where input.madePlan(at: time) == nil
            && !(input.choosesParts && input.hasFailedToMake(time))
        {
            // One that cannot be made is reported in the dead letter, or prevents it.
            _ = try? await input.plan(at: time, context)
        }
    }

    /// The jobs of a batch that could not be generated: each fails with the reason.
    ///
    /// - Returns: nil when no operation would keep a dead letter of it.
    public func failedJobs(
        at time: BatchTime, _ reason: any Error, _ context: GenerationContext
    ) async -> [OutputJob]? {
        let (outputs, defaults, inputs, ids) = state.withLock {
            ($0.outputs, $0.failures, $0.inputNodes, $0.operationIDs)
        }
        guard outputs.contains(where: { $0.handling(defaults).policy == .deadLetter }) else {
            for input in inputs { input.noteBegun(time, false) }
            return nil
        }
        var tagged = context
        tagged.batch.batchMilliseconds = time.milliseconds
        await turn.run {
            for output in outputs { await Self.makeInputs(of: output.node, at: time, tagged) }
        }
        let batch = tagged.batch
        return outputs.enumerated().map { number, output in
            // Another try would find the same plans.
            var job = OutputJob(
                outputOperation: number, site: output.site, operationID: ids[number],
                failure: FailureHandling(policy: output.handling(defaults).policy)
            ) { throw reason }
            let capture = DeadLetterCapture(output.node, nil, at: time, inputs: inputs, batch)
            job.deadLetterContents = { try await capture.contents() }
            return job
        }
    }
}

extension DStreamGraph.Output {
    /// What the operation does about failures.
    func handling(_ defaults: DStreamGraph.FailureDefaults) -> FailureHandling {
        FailureHandling(
            retry: failure?.retry ?? .none, policy: failure?.policy ?? defaults.policy)
    }

    /// The operation in a batch with an RDD.
    func job(
        _ number: Int, _ id: String, _ defaults: DStreamGraph.FailureDefaults, _ plan: Plan,
        at time: BatchTime, inputs: [StreamNode], _ context: GenerationContext
    ) throws -> OutputJob {
        let handling = handling(defaults)
        var job = OutputJob(
            outputOperation: number, site: site, operationID: id, failure: handling,
            run: try makeJob(time, plan, context))
        if handling.policy == .deadLetter {
            let capture = DeadLetterCapture(node, plan, at: time, inputs: inputs, context.batch)
            job.deadLetterContents = { try await capture.contents() }
        }
        return job
    }

    /// The operation in a batch that its state has passed: there is no way back, so it is kept as a
    /// dead letter; nil: that is not why there is no RDD.
    func passedJob(
        _ number: Int, _ id: String, at time: BatchTime, inputs: [StreamNode],
        _ context: GenerationContext
    ) async -> OutputJob? {
        let passing = StreamNode.ancestors(of: [node]).first { $0.isPassed(time) }
        guard let passing else { return nil }
        await DStreamGraph.makeInputs(of: node, at: time, context)
        var job = OutputJob(
            outputOperation: number, site: site, operationID: id,
            failure: FailureHandling(policy: .deadLetter)
        ) {
            throw StreamError(
                .statePassed,
                "the state has advanced beyond this batch, which failed before the restart: the "
                    + "operation cannot run again", site: passing.site, batchTime: time)
        }
        let capture = DeadLetterCapture(
            node, nil, at: time, inputs: inputs, context.batch, isForced: true)
        job.deadLetterContents = { try await capture.contents() }
        return job
    }
}
