internal import BatchEngine
internal import Synchronization

/// A stream that keeps something of each batch, and the output operations that depend on it.
struct KeptStream: Sendable {
    let node: StreamNode
    /// Their numbers in declaration order.
    let outputs: [Int]
    /// The only streams that read its batches; nil: each batch counts.
    let readers: [StreamNode]?

    /// Whether a batch is to be computed.
    func keeps(_ time: BatchTime) -> Bool {
        readers?.contains { $0.reads(time, of: node) } ?? true
    }
}

extension DStreamGraph {
    /// The streams that keep something of their batches, in declaration order.
    ///
    /// - Parameters:
    ///   - isCheckpointed: whether what windows read is kept, too.
    ///   - remember: how long the user has all batches remembered.
    static func keptStreams(
        among nodes: [StreamNode], _ outputs: [Output], isCheckpointed: Bool, remember: Duration?
    ) -> [KeptStream] {
        var depending: [ObjectIdentifier: [Int]] = [:]
        for output in outputs {
            for node in StreamNode.ancestors(of: [output.node]) {
                depending[ObjectIdentifier(node), default: []].append(output.number)
            }
        }
        var children: [ObjectIdentifier: [StreamNode]] = [:]
        for node in nodes {
            for parent in node.parents {
                children[ObjectIdentifier(parent), default: []].append(node)
            }
        }
        return nodes.compactMap { node in
            guard let numbers = depending[ObjectIdentifier(node)] else { return nil }
            if node.traits.stateShape != nil || node.traits.isIncremental {
                return KeptStream(node: node, outputs: numbers, readers: nil)
            }
            guard isCheckpointed, node.isInCheckpoints else { return nil }
            // Slices may ask for any batch, and an output operation asks for each.
            let isReadAtWill =
                remember != nil || node.settings.withLock { $0.ownRemember > .zero }
                || outputs.contains { $0.node === node }
            return KeptStream(
                node: node, outputs: numbers,
                readers: isReadAtWill ? nil : children[ObjectIdentifier(node)])
        }
    }

    /// Lets a batch's jobs compute what streams keep of it, whatever the output operations look at.
    ///
    /// Each stream is the matter of the last operation that depends on it: when it cannot be computed,
    /// that operation has failed. A stream of which no operation has an RDD in this batch gets a hidden
    /// job.
    ///
    /// - Parameter operations: the numbers of the jobs' operations, ascending.
    func addAdvances(
        to jobs: inout [OutputJob], of operations: [Int], _ state: State, at time: BatchTime,
        _ context: GenerationContext
    ) async throws {
        var due: [Int: [Dataset]] = [:]
        var passed: Set<Int> = []
        for stream in state.kept where stream.keeps(time) {
            let operation = operations.last(where: stream.outputs.contains)
            guard let output = operation ?? stream.outputs.last else { continue }
            switch try await stream.node.plan(at: time, context) {
            case .dataset(let dataset)? where dataset.computed.current == nil:
                due[output, default: []].append(dataset)
            case nil where operation == nil && stream.node.isPassed(time): passed.insert(output)
            default: break
            }
        }
        let failures = BatchFailures()
        /// Lets the job of an operation compute what is due of its streams.
        func advance(_ job: inout OutputJob, _ output: Output) {
            let datasets = due.removeValue(forKey: output.number) ?? []
            let keepsLetters = job.failure?.policy == .deadLetter
            let inputs: DeadLetterCapture? =
                keepsLetters && !datasets.isEmpty
                ? DeadLetterCapture(
                    output.node, nil, at: time, inputs: state.inputNodes, context.batch)
                : nil
            job.advance(
                BatchAdvance(datasets: datasets, failures: failures, batch: context.batch), inputs)
        }
        if !due.isEmpty {
            for index in jobs.indices { advance(&jobs[index], state.outputs[operations[index]]) }
        }
        for number in passed.union(due.keys).sorted() {
            let (output, id) = (state.outputs[number], state.operationIDs[number])
            // What state has passed has to be in a letter, whatever else is due.
            var job =
                passed.contains(number)
                ? await output.passedJob(
                    jobs.count, id, at: time, inputs: state.inputNodes, context)
                : nil
            if job == nil {
                let handling = output.handling(state.failures)
                if handling.policy == .deadLetter {
                    await Self.makeInputs(of: output.node, at: time, context)
                }
                job = OutputJob(
                    outputOperation: jobs.count, site: output.site, operationID: id,
                    failure: handling, run: {})
            }
            guard var job else { continue }
            advance(&job, output)
            job.isHidden = true
            jobs.append(job)
        }
    }
}

extension StreamNode {
    /// Whether checkpoints keep batches of the stream.
    var isInCheckpoints: Bool {
        settings.withLock { $0.boundary != nil && $0.capture != nil }
    }
}

/// Whether an output operation of a batch has failed for good.
///
/// What is kept of the batch then need not fail another one.
private final class BatchFailures: Sendable {
    private let hasFailed = Locked(false)

    func note() { hasFailed.withLock { $0 = true } }

    var isNoted: Bool { hasFailed.withLock { $0 } }
}

/// What streams keep of one batch, to be computed by one of its jobs.
private struct BatchAdvance: Sendable {
    let datasets: [Dataset]
    let failures: BatchFailures
    let batch: BatchContext

    /// Computes what is not computed, unless its failure is another operation's already.
    func run() async throws {
        for dataset in datasets {
            // Later batches are built without it already: it must not come true any more.
            guard dataset.hasFailed else {
                try await batch.compute(dataset)
                continue
            }
            if failures.isNoted { continue }
            let site = dataset.kernel.site
            throw StreamError(
                .outputFailed,
                "what \(site.name) keeps of the batch could not be computed; the reason was thrown "
                    + "to the body, slice or later batch that needed it first", site: site)
        }
    }

    /// Settles what is not computed: it is in the state now, or known to have failed.
    func settle() async {
        for dataset in datasets where !dataset.hasFailed { try? await batch.compute(dataset) }
    }
}

extension OutputJob {
    /// Computes what streams keep of the batch once the operation has succeeded.
    ///
    /// - Parameter inputs: what a dead letter keeps when that fails; nil: it cannot, or there is to be
    ///   no letter.
    fileprivate mutating func advance(_ advance: BatchAdvance, _ inputs: DeadLetterCapture?) {
        let operation = run
        // What the operation has added to accumulators; nil: it has not succeeded.
        let added = Locked<AddedSums?>(nil)
        run = {
            do {
                // A retry for the sake of what is kept does not run the operation again.
                if added.withLock({ $0 == nil }) {
                    let sums = try await JobAttempt.current.collectingSums(operation)
                    added.withLock { $0 = sums }
                }
                try await advance.run()
                await added.withLock { $0 }?.settle()
            } catch {
                guard !JobAttempt.current.isProvisional, !Task.isCancelled else { throw error }
                advance.failures.note()
                await advance.settle()
                throw error
            }
        }
        let ofInputs = inputs.map { inputs in { @Sendable in try await inputs.contents() } }
        guard let contents = deadLetterContents ?? ofInputs else { return }
        deadLetterContents = {
            advance.failures.note()
            guard let ofInputs, added.withLock({ $0 != nil }) else {
                let contents = try await contents()
                await advance.settle()
                return contents
            }
            // The batch is dead-lettered without being in any state.
            for dataset in advance.datasets where dataset.computed.current == nil {
                dataset.markFailed()
            }
            return try await ofInputs()
        }
    }
}

extension BatchContext {
    /// Has the engine compute a dataset, if it is not.
    func compute(_ dataset: Dataset) async throws {
        guard dataset.computed.current == nil else { return }
        let kernel = Kernel(id: .nextDynamic(), site: dataset.kernel.site) { _, _, _ in [] }
        try await engine.run(request(kernel, over: .dataset(dataset))) { _, _ in }
    }
}
