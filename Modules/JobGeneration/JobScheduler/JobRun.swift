internal import BatchEngine
internal import DStreamCore

/// Runs one job to its end: tries, waits, and the dead letter when there is to be one.
struct JobRun: Sendable {
    /// How a job ended.
    enum End: Sendable {
        case succeeded
        /// For good; the error says it to those who wait for the end.
        case failed(JobFailure, StreamError)
    }

    let clock: any StreamClock
    let listeners: ListenerBus
    let deadLetters: (any DeadLetterStore)?
    /// What follows the failures of jobs that do not say it.
    let policy: FailurePolicy

    /// Runs a job.
    ///
    /// - Returns: nil when it was cut short by cancellation: it did not fail, and its batch is pending
    ///   all the same.
    func callAsFunction(_ job: Job) async -> End? {
        let handling = job.output.failure ?? FailureHandling(policy: policy)
        let attempts = max(1, handling.retry.maxAttempts)
        var attempt = 1
        while true {
            // A dead letter has its own try at computing the elements, and that one is the last.
            let isLast = attempt == attempts && handling.policy != .deadLetter
            do {
                try await JobAttempt.run(attempt - 1, isProvisional: !isLast) {
                    try await job.run()
                }
                return .succeeded
            } catch {
                if Task.isCancelled { return nil }
                if attempt == attempts || !error.allowsRetry {
                    return await settle(job, error, attempt, handling.policy)
                }
                guard await wait(for: job, attempt, handling.retry, error) else { return nil }
                attempt += 1
            }
        }
    }

    /// Waits before a job runs again; false when cancelled.
    private func wait(
        for job: Job, _ attempt: Int, _ retry: RetryPolicy, _ error: any Error
    ) async -> Bool {
        var seed = StableHasher()
        seed.combine(job.batchTime.milliseconds)
        seed.combine(job.output.operationID)
        let delay = retry.backoff(afterAttempt: attempt, seed: seed.finish())
        listeners.post(
            .outputOperationRetrying(
                job.info(), failedAttempts: attempt, after: delay,
                reason: FailureCause(error).text))
        // The only error is cancellation.
        return (try? await clock.sleep(for: delay)) != nil && !Task.isCancelled
    }

    private func settle(
        _ job: Job, _ error: any Error, _ attempts: Int, _ policy: FailurePolicy
    ) async -> End? {
        let reason = FailureCause(error).text
        if policy != .deadLetter {
            return .failed(
                JobFailure(reason: reason, policy: policy),
                .output(of: job, error, attempts: attempts))
        }
        do {
            let number = JobAttempt(number: attempts, isProvisional: false, sums: AddedSums())
            let count = try await JobAttempt.$current.withValue(number) {
                try await keep(job, reason, attempts)
            }
            return .failed(
                JobFailure(reason: reason, policy: .deadLetter, elementCount: count),
                .output(of: job, error, attempts: attempts))
        } catch let problem {
            if Task.isCancelled { return nil }
            return .failed(
                JobFailure(
                    reason: "\(reason); the dead letter could not be written: \(problem)",
                    policy: .stop),
                .output(of: job, error, attempts: attempts, deadLetterProblem: problem))
        }
    }

    /// Writes the dead letter of a job; returns the number of its elements.
    private func keep(_ job: Job, _ reason: String, _ attempts: Int) async throws -> Int {
        guard let deadLetters, let contents = job.output.deadLetterContents else {
            throw StreamError(
                .deadLetterDirectoryMissing, "there is no place for dead letters",
                site: job.output.site)
        }
        let letter = DeadLetter(
            id: DeadLetter.ID(batchTime: job.batchTime, operationID: job.output.operationID),
            site: "\(job.output.site)", reason: reason, attempts: attempts,
            contents: try await contents())
        try await deadLetters.write(letter)
        return letter.entry.elementCount
    }
}

extension Error {
    /// Whether there is something left to try it with.
    fileprivate var allowsRetry: Bool {
        guard let error = self as? EngineError else { return true }
        return error.code != .abandoned && error.code != .stopped
    }
}
