public import DStreamCore

/// One output operation of one batch, ready to run.
public struct Job: Sendable {
    /// The batch it belongs to.
    public let batchTime: BatchTime
    /// The output operation.
    public let output: OutputJob

    /// Makes a job.
    public init(batchTime: BatchTime, output: OutputJob) {
        self.batchTime = batchTime
        self.output = output
    }

    /// Runs the operation once.
    public func run() async throws {
        try await output.run()
    }
}

/// All jobs of one batch, with what is known of its input.
public struct JobSet: Sendable {
    /// The batch.
    public let time: BatchTime
    /// The jobs in declaration order; none when no output operation has an RDD.
    public let jobs: [Job]
    /// What each input stream gave.
    public let inputInfo: [StreamID: StreamInputInfo]

    /// Makes a set of one batch's output operations.
    public init(
        time: BatchTime, outputs: [OutputJob], inputInfo: [StreamID: StreamInputInfo] = [:]
    ) {
        self.time = time
        self.jobs = outputs.map { Job(batchTime: time, output: $0) }
        self.inputInfo = inputInfo
    }
}

/// How a job set ended.
public enum JobSetOutcome: Sendable, Hashable {
    /// Every job succeeded or has a dead letter, or there was none: the batch is done.
    case completed
    /// All jobs have ended and some failed: the batch is pending, and what follows is `.stop` or
    /// `.continue`.
    case failed(FailurePolicy)
    /// Not all jobs were run, and they will not be: the batch is pending, and so is any later one.
    case notRun
}

/// Takes job sets and runs them: what the generator needs to know of the scheduler.
///
/// ## Ordering
/// Sets run in the order in which they are submitted.
///
/// ## Back-pressure
/// Whoever submits bounds the number of sets that have not ended.
public protocol JobQueue: Sendable {
    /// Takes a set to be run; returns without waiting for its jobs.
    ///
    /// - Parameter onEnd: called exactly once when the set has ended, from any thread, also before
    ///   this returns; it must not block.
    /// - Throws: when the set was not taken; `onEnd` is not called then.
    func submit(
        _ jobSet: JobSet, onEnd: @escaping @Sendable (JobSetOutcome) -> Void
    ) async throws

    /// No longer lists a failed batch as pending: it is given up for good.
    func setAside(_ batch: BatchTime) async
}
