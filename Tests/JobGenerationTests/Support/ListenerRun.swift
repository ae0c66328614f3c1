import BatchEngine
import DStreamCore
import DStreamTestKit
import JobGeneration
import Synchronization

/// A generator and a scheduler running one recorded case under `.continue`.
final class ListenerRun: Sendable {
    let generator: JobGenerator
    private let scenario: ListenerEventsTests.Case
    private let clock = ManualClock()
    private let log = EventLog()
    private let errors = ErrorLog()
    private let trace = Trace()
    private let scheduler: JobScheduler
    private let seen = Locked((events: 0, errors: 0))

    init(_ scenario: ListenerEventsTests.Case) {
        self.scenario = scenario
        let listeners = ListenerBus()
        listeners.add(log)
        let errors = errors
        scheduler = JobScheduler(
            JobScheduler.Configuration(failurePolicy: .continue), clock: clock,
            listeners: listeners, errorSink: { errors.add($0) })
        let source = ScriptedSource(trace) { time, _ in
            let isSecond = time == .seconds(2)
            if scenario.failsGeneration, isSecond { throw Boom("gen") }
            guard time.milliseconds % (scenario.slide * 1000) == 0 else { return [] }
            return (0..<scenario.outputCount).map { number in
                .scripted(number) {
                    if scenario.failing == number, isSecond { throw Boom("boom at 2000") }
                }
            }
        }
        generator = JobGenerator(
            JobGenerator.Configuration(appName: "test", failurePolicy: .continue),
            source: source, queue: NotingQueue(scheduler, trace),
            allocator: RecordingAllocator(trace), inputInfo: InputInfoTracker(),
            batch: BatchContext(engine: IdleEngine()),
            checkpointStore: RecordingStore(trace), clock: clock, listeners: listeners,
            standardOutput: { _ in }, errorSink: { errors.add($0) })
    }

    /// Advances batch by batch, each finished before the next.
    func perform(_ check: (BatchTime) async throws -> Void) async throws {
        let grid = try BatchAlignment(period: .seconds(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in await scheduler.run() }
            group.addTask { [self] in await generator.run(on: grid, from: .seconds(1)) }
            for second in 1...scenario.batchCount {
                clock.set(to: .seconds(second))
                await trace.wait(for: lastFact(of: second))
                try await check(.seconds(second))
            }
            try await generator.drain()
            group.cancelAll()
        }
    }

    /// The events since the last call.
    func takeEvents() -> [String] {
        let all = log.all.compactMap(\.short)
        return seen.withLock { seen in
            defer { seen.events = all.count }
            return Array(all[seen.events...])
        }
    }

    /// How many errors were reported since the last call.
    func takeErrorCount() -> Int {
        let count = errors.all.count
        return seen.withLock { seen in
            defer { seen.errors = count }
            return count - seen.errors
        }
    }

    /// What happens last in a batch.
    private func lastFact(of second: Int64) -> String {
        if second == 2, scenario.failsGeneration { return "checkpoint 2000 pending [\"2000\"]" }
        if second == 2, scenario.failing != nil { return "ended 2000 failed" }
        return "clear \(second)000"
    }
}

/// A scheduler that notes how its batches end.
private struct NotingQueue: JobQueue {
    let scheduler: JobScheduler
    let trace: Trace

    init(_ scheduler: JobScheduler, _ trace: Trace) {
        self.scheduler = scheduler
        self.trace = trace
    }

    func submit(
        _ jobSet: JobSet, onEnd: @escaping @Sendable (JobSetOutcome) -> Void
    ) async throws {
        try await scheduler.submit(jobSet) { outcome in
            onEnd(outcome)
            trace.note("ended \(jobSet.time.text) \(outcome.text)")
        }
    }

    func setAside(_ batch: BatchTime) async { await scheduler.setAside(batch) }
}
