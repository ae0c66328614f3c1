internal import BatchEngine
internal import DStreamCore

/// What is at the bottom of an error thrown by generating or running a batch.
struct FailureCause {
    /// The innermost operator named on the way.
    private(set) var site: OperatorSite?
    /// The failed task in words, when it was one.
    private(set) var task: String?
    /// What the user's closure or the system threw.
    private(set) var error: any Error

    /// Takes off the wrappers of operators and of the engine.
    init(_ thrown: any Error) {
        error = thrown
        while true {
            if let failure = error as? OperatorFailure {
                site = failure.site
                error = failure.underlying
            } else if let failure = error as? EngineError, let underlying = failure.underlying {
                site = failure.site ?? site
                if let partition = failure.partition {
                    task = "partition \(partition), tried \(failure.attempts) times"
                }
                error = underlying
            } else {
                break
            }
        }
        if let failure = error as? EngineError { site = failure.site ?? site }
        if let failure = error as? StreamError { site = failure.site ?? site }
    }

    /// Operator, task and error in one line, for events.
    var text: String {
        let place = [site.map { "\($0)" }, task].compactMap { $0 }.joined(separator: ", ")
        return place.isEmpty ? "\(error)" : "\(place): \(error)"
    }
}

extension StreamError {
    /// The error of a batch that could not be generated.
    static func generation(of batch: BatchTime, _ thrown: any Error) -> StreamError {
        let cause = FailureCause(thrown)
        return StreamError(
            .generationFailed, "the batch could not be generated and stays pending",
            site: cause.site, batchTime: batch, underlying: cause.error)
    }

    /// The error of a failed output operation.
    ///
    /// - Parameter deadLetterProblem: why it has no dead letter, though it was to have one.
    static func output(
        of job: Job, _ thrown: any Error, attempts: Int = 1, deadLetterProblem: (any Error)? = nil
    ) -> StreamError {
        let cause = FailureCause(thrown)
        let task = cause.task.map { " (\($0))" } ?? ""
        let tries = attempts > 1 ? " in each of \(attempts) attempts" : ""
        let letter =
            deadLetterProblem.map { "; its dead letter could not be written (\($0))" } ?? ""
        return StreamError(
            .outputFailed,
            "\(job.output.site) failed\(tries)\(task)\(letter); the batch stays pending",
            site: cause.site ?? job.output.site, batchTime: job.batchTime,
            outputOperation: job.output.outputOperation, underlying: cause.error)
    }
}
