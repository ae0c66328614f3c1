internal import BatchEngine
internal import DStreamCore
internal import JobGeneration

/// The graph of a context, whose jobs know that they belong to it.
struct MarkedGraph: JobSource {
    let graph: DStreamGraph
    let contextID: ObjectIdentifier
    let deadLetters: (any DeadLetterStore)?
    /// Batches up to this time may have run before a restart, whatever the checkpoint knows; nil:
    /// this run is the first.
    let restart: BatchTime?

    var fingerprint: String { graph.fingerprint }
    var statefulOperators: [StatefulOperator] { graph.statefulOperators }
    var inputRememberDuration: Duration { graph.inputRememberDuration }
    var paneReach: Duration? { graph.paneReach }

    func generateJobs(
        at time: BatchTime, _ context: GenerationContext
    ) async throws -> [OutputJob] {
        let jobs = try await StreamingContext.$within.withValue(contextID) {
            try await graph.generateJobs(at: time, context)
        }
        return try await marked(jobs, time, context)
    }

    func failedJobs(
        at time: BatchTime, _ reason: any Error, _ context: GenerationContext
    ) async -> [OutputJob]? {
        let jobs = await StreamingContext.$within.withValue(contextID) {
            await graph.failedJobs(at: time, reason, context)
        }
        guard let jobs else { return nil }
        return try? await marked(jobs, time, context)
    }

    private func marked(
        _ jobs: [OutputJob], _ time: BatchTime, _ context: GenerationContext
    ) async throws -> [OutputJob] {
        var marked: [OutputJob] = []
        for var job in jobs {
            let id = DeadLetter.ID(batchTime: time, operationID: job.operationID)
            if let restart, time <= restart, let deadLetters, try await deadLetters.isKnown(id) {
                // Settled before the restart, though no checkpoint says so. What it computes is
                // still to be part of the state.
                let contents = job.deadLetterContents
                job.failure = FailureHandling(policy: .continue)
                job.run = { _ = try? await contents?() }
            }
            let run = job.run
            job.run = {
                try await StreamingContext.$within.withValue(contextID) { try await run() }
            }
            marked.append(job)
        }
        return marked
    }

    func clearMetadata(_ time: BatchTime) { graph.clearMetadata(time) }

    func captureState(
        through time: BatchTime, since: BatchTime?, _ context: GenerationContext
    ) async throws -> (pieces: [OperatorState], oldest: BatchTime) {
        try await graph.captureState(through: time, since: since, context)
    }
}
