public import DStreamCore

/// Runs job sets in the order of their batches, and notifies listeners of how they go.
///
/// All outputs of a batch are run, also after one of them failed. A failed one is tried again, after
/// a wait on the clock, as often as it says. Then its batch is never done: it stays among
/// ``pendingBatches``, its error goes to the error sink, and under ``FailurePolicy/stop`` no later
/// batch starts. Under ``FailurePolicy/deadLetter`` it is done once the dead letter is written.
///
/// ## Ordering
/// Jobs start first in, first out: sets in the order of submission, jobs in declaration order, at most
/// `concurrentJobs` at once. Events of a batch come in Spark's order: submitted, started, each
/// operation started and completed, completed. A set without jobs has no events and is done at once.
///
/// ## Isolation
/// ``run()`` owns every job; leaving it means all have ended. The other methods may be called from any
/// task.
///
/// ## Cancellation
/// Cancelling the task of ``run()`` cancels the jobs; their batches stay pending.
public actor JobScheduler: JobQueue {
    /// How a scheduler works.
    public struct Configuration: Sendable, Hashable {
        /// How many jobs run at once, 1 or more.
        ///
        /// With more than 1, outputs of a batch, and batches, overlap.
        public var concurrentJobs: Int
        /// What follows the failures of output operations that do not say it themselves.
        public var failurePolicy: FailurePolicy

        /// Makes a configuration.
        public init(concurrentJobs: Int = 1, failurePolicy: FailurePolicy = .stop) {
            self.concurrentJobs = concurrentJobs
            self.failurePolicy = failurePolicy
        }
    }

    /// How many batches are where.
    public struct Statistics: Sendable, Hashable {
        /// Submitted, no job has started.
        public var queuedBatches: Int
        /// Some job has started, not all have ended.
        public var runningBatches: Int
        /// Done since the start, those without jobs included.
        public var completedBatches: Int
        /// Ended with a failed output since the start.
        public var failedBatches: Int
        /// Failures since the start of which a dead letter was written.
        public var deadLetters: Int

        /// Makes counts.
        public init(
            queuedBatches: Int = 0, runningBatches: Int = 0, completedBatches: Int = 0,
            failedBatches: Int = 0, deadLetters: Int = 0
        ) {
            self.deadLetters = deadLetters
            self.queuedBatches = queuedBatches
            self.runningBatches = runningBatches
            self.completedBatches = completedBatches
            self.failedBatches = failedBatches
        }
    }

    private enum Message: Sendable {
        case submit(JobSet, at: BatchTime, onEnd: @Sendable (JobSetOutcome) -> Void)
        case jobEnded(Job, JobRun.End)
        case setAside(BatchTime)
        case stop
    }

    private let jobRun: JobRun
    private let clock: any StreamClock
    private let listeners: ListenerBus
    private let errorSink: @Sendable (StreamError) -> Void
    private nonisolated let mailbox: Mailbox<Message>
    /// Jobs for which no task waits.
    private nonisolated let jobsToBegin = Mailbox<Job>(capacity: 1)
    private nonisolated let rates = Mailbox<Rate>(capacity: 1)

    private var machine: JobSchedulerMachine
    private var backPressure: BackPressure?
    private var onEnd: [BatchTime: @Sendable (JobSetOutcome) -> Void] = [:]
    private var wasRun = false
    private var takesMessages = false
    /// Where the tasks wait that have run a job and may run another.
    private var idle: [Mailbox<Job>] = []

    /// Makes a scheduler; nothing happens before ``run()``.
    ///
    /// - Parameters:
    ///   - backPressure: who turns batches into rates; nil: nobody.
    ///   - deadLetters: where dead letters go; nil: nowhere, ``FailurePolicy/stop`` takes their place.
    ///   - errorSink: takes the errors of failed outputs, from any thread.
    public init(
        _ configuration: Configuration = Configuration(), clock: any StreamClock,
        listeners: ListenerBus, backPressure: BackPressure? = nil,
        deadLetters: (any DeadLetterStore)? = nil,
        errorSink: @escaping @Sendable (StreamError) -> Void
    ) {
        self.init(
            configuration, clock: clock, listeners: listeners, backPressure: backPressure,
            deadLetters: deadLetters, mailboxCapacity: 16, errorSink: errorSink)
    }

    /// Makes a scheduler with a given room for submissions, 1 or more.
    package init(
        _ configuration: Configuration, clock: any StreamClock, listeners: ListenerBus,
        backPressure: BackPressure?, deadLetters: (any DeadLetterStore)? = nil,
        mailboxCapacity: Int, errorSink: @escaping @Sendable (StreamError) -> Void
    ) {
        self.clock = clock
        self.listeners = listeners
        self.errorSink = errorSink
        self.backPressure = backPressure
        mailbox = Mailbox(capacity: mailboxCapacity)
        jobRun = JobRun(
            clock: clock, listeners: listeners, deadLetters: deadLetters,
            policy: configuration.failurePolicy)
        machine = JobSchedulerMachine(concurrentJobs: configuration.concurrentJobs)
    }

    /// Runs jobs until the scheduler is stopped and its last job has ended, or the task is cancelled.
    ///
    /// - Precondition: it was not called before.
    public func run() async {
        precondition(!wasRun, "a JobScheduler runs once")
        wasRun = true
        await withDiscardingTaskGroup { group in
            if let backPressure {
                group.addTask { [self] in await publishRates(to: backPressure.controller) }
                for rate in backPressure.initialRates { publish(rate) }
            }
            group.addTask { [self] in await takeMessages() }
            while let job = await jobsToBegin.next() {
                group.addTask { [self] in await work(from: job) }
            }
        }
        // Jobs that ended nevertheless, after the loop was cancelled, count as what they are.
        perform(machine.handle(.stop, now: clock.now), error: nil)
        for message in mailbox.close() { take(message) }
        perform(machine.end(), error: nil)
    }

    /// Takes messages until the last job has ended, or the task is cancelled.
    private func takeMessages() async {
        takesMessages = true
        while machine.phase != .ended, await mailbox.hasNext() { takeWaiting() }
        takesMessages = false
        rates.finish()
        jobsToBegin.finish()
        for desk in idle { desk.finish() }
    }

    /// Takes what waits, in place of the loop: a message that is handled at once wakes no thread.
    private func takeWaiting() {
        guard takesMessages else { return }
        while machine.phase != .ended, let message = mailbox.takeNext() { take(message) }
        if machine.phase == .ended { mailbox.finish() }
    }

    /// Runs a job, and then others, one after the other.
    private nonisolated func work(from first: Job) async {
        let desk = Mailbox<Job>(capacity: 1)
        var job = first
        while let end = await jobRun(job) {
            mailbox.post(.jobEnded(job, end), quietly: true)
            await becomeIdle(at: desk)
            guard let next = await desk.next() else { return }
            job = next
        }
    }

    private func becomeIdle(at desk: Mailbox<Job>) {
        idle.append(desk)
        takeWaiting()
        if !takesMessages { desk.finish() }
    }

    private func begin(_ job: Job) {
        if let desk = idle.popLast() { desk.post(job) } else { jobsToBegin.post(job) }
    }

    /// Takes a set to be run; waits only while the mailbox is full.
    ///
    /// - Throws: `CancellationError`, or when ``run()`` has ended.
    public nonisolated func submit(
        _ jobSet: JobSet, onEnd: @escaping @Sendable (JobSetOutcome) -> Void
    ) async throws {
        try await mailbox.send(.submit(jobSet, at: clock.now, onEnd: onEnd), quietly: true)
        await takeWaiting()
    }

    /// No longer lists a failed batch as pending.
    public nonisolated func setAside(_ batch: BatchTime) async {
        mailbox.post(.setAside(batch))
    }

    /// Starts no further job; ``run()`` ends when those that run have ended.
    public nonisolated func stop() {
        mailbox.post(.stop)
    }

    /// Batches submitted and not done, ascending: waiting, running, failed or never run.
    public var pendingBatches: [BatchTime] { machine.pendingBatches }

    /// How many batches are where.
    public var statistics: Statistics { machine.statistics }

    /// Returns once the scheduler takes a call: a sign that it moves.
    package func pulse() {}

    private nonisolated func publish(_ rate: Rate) {
        rates.postCoalescing(rate, key: rate.stream.rawValue)
    }

    /// Hands rates on, so that a slow receiver never holds up jobs.
    private nonisolated func publishRates(to controller: any RateController) async {
        while let rate = await rates.next() {
            await controller.updateRate(rate.elementsPerSecond, of: rate.stream)
            listeners.post(
                .rateUpdated(stream: rate.stream, elementsPerSecond: rate.rounded))
        }
    }
}

extension JobScheduler {
    /// Decides and performs.
    private func take(_ message: Message) {
        switch message {
        case .submit(let jobSet, let time, let notify):
            onEnd[jobSet.time] = notify
            perform(machine.handle(.submitted(jobSet, at: time), now: clock.now), error: nil)
        case .jobEnded(let job, let end):
            var (failure, error): (JobFailure?, StreamError?)
            if case .failed(let reason, let thrown) = end {
                (failure, error) = (reason, thrown)
                error?.policy = reason.policy
            }
            let event = JobSchedulerMachine.Event.jobEnded(
                batch: job.batchTime, outputOperation: job.output.outputOperation,
                failure: failure)
            perform(machine.handle(event, now: clock.now), error: error)
        case .setAside(let batch):
            perform(machine.handle(.setAside(batch), now: clock.now), error: nil)
        case .stop:
            perform(machine.handle(.stop, now: clock.now), error: nil)
        }
    }

    private func perform(_ actions: [JobSchedulerMachine.Action], error: StreamError?) {
        for action in actions {
            switch action {
            case .post(let event): listeners.post(event)
            case .start(let job): begin(job)
            case .reportFailure:
                if let error { errorSink(error) }
            case .ended(let batch, let outcome, let info):
                if outcome == .completed, let info {
                    for rate in backPressure?.rates(after: info) ?? [] { publish(rate) }
                }
                onEnd.removeValue(forKey: batch)?(outcome)
            case .end: break
            }
        }
    }
}
