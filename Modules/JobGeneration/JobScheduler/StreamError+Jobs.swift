internal import DStreamCore

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
