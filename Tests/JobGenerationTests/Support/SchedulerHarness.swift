import DStreamCore
import DStreamTestKit
import JobGeneration

extension JobSetOutcome {
    /// The outcome in traces.
    var text: String {
        switch self {
        case .completed: "completed"
        case .failed: "failed"
        case .notRun: "notRun"
        }
    }
}

/// A scheduler on a manual clock, with its listeners and error sink.
struct SchedulerHarness: Sendable {
    let clock = ManualClock()
    let trace = Trace()
    let events = EventLog()
    let errors = ErrorLog()
    let scheduler: JobScheduler

    init(
        concurrentJobs: Int = 1, policy: FailurePolicy = .stop,
        backPressure: BackPressure? = nil, deadLetters: (any DeadLetterStore)? = nil,
        mailboxCapacity: Int = 1
    ) {
        let listeners = ListenerBus()
        listeners.add(events)
        let errors = errors
        scheduler = JobScheduler(
            JobScheduler.Configuration(concurrentJobs: concurrentJobs, failurePolicy: policy),
            clock: clock, listeners: listeners, backPressure: backPressure,
            deadLetters: deadLetters, mailboxCapacity: mailboxCapacity,
            errorSink: { errors.add($0) })
    }

    /// Submits a batch; its end is noted as `1000 completed`.
    func submit(
        _ second: Int64, _ outputs: [OutputJob], records: [StreamID: Int] = [:]
    ) async throws {
        let time = BatchTime.seconds(second)
        let inputInfo = records.map { stream, count in
            (stream, StreamInputInfo(inputStreamID: stream, recordCount: count))
        }
        try await scheduler.submit(
            JobSet(
                time: time, outputs: outputs,
                inputInfo: Dictionary(uniqueKeysWithValues: inputInfo))
        ) { [trace] outcome in trace.note("\(time.text) \(outcome.text)") }
    }

    /// An output operation that notes its start and end and passes a gate in between.
    func output(
        _ number: Int, of second: Int64, gate: Gate? = nil, error: Boom? = nil
    ) -> OutputJob {
        .scripted(number) { [trace] in
            trace.note("start \(second)000/\(number)")
            try await gate?.pass()
            trace.note("end \(second)000/\(number)")
            if let error { throw error }
        }
    }

    /// Runs the scheduler beside a body, and ends it with the body.
    func run(_ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await scheduler.run() }
            try await body()
            group.cancelAll()
        }
    }
}
