import BatchEngine
import DStreamCore
import DStreamTestKit
import JobGeneration

/// A generator between doubles, on a manual clock, with batches of one second from zero.
struct GeneratorHarness: Sendable {
    let clock = ManualClock()
    let trace = Trace()
    let events = EventLog()
    let errors = ErrorLog()
    let inputInfo = InputInfoTracker()
    let allocator: RecordingAllocator
    let queue: ScriptedQueue
    let source: ScriptedSource
    let store: RecordingStore?
    let generator: JobGenerator

    init(
        _ configuration: JobGenerator.Configuration = JobGenerator.Configuration(appName: "test"),
        hasStore: Bool = true, gate: Gate? = nil, immediateOutcome: JobSetOutcome? = nil,
        make:
            @escaping @Sendable (BatchTime, GenerationContext) async throws -> [OutputJob] = {
                _, _ in [.scripted(0)]
            }
    ) {
        allocator = RecordingAllocator(trace)
        queue = ScriptedQueue(trace, immediateOutcome: immediateOutcome)
        source = ScriptedSource(trace, make: make)
        store = hasStore ? RecordingStore(trace, gate: gate) : nil
        let listeners = ListenerBus()
        listeners.add(events)
        let errors = errors
        generator = JobGenerator(
            configuration, source: source, queue: queue, allocator: allocator,
            inputInfo: inputInfo, batch: BatchContext(engine: IdleEngine()),
            checkpointStore: store, clock: clock, listeners: listeners,
            standardOutput: { _ in }, errorSink: { errors.add($0) })
    }

    /// Runs the generator beside a body, and ends it with the body.
    func run(
        from firstBatch: BatchTime = .seconds(1), rerun: [BatchTime] = [],
        _ body: () async throws -> Void
    ) async throws {
        let grid = try BatchAlignment(period: .seconds(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await generator.run(on: grid, from: firstBatch, rerun: rerun) }
            try await body()
            group.cancelAll()
        }
        // Nobody is left behind: the timer was the only sleeper.
        clock.finish()
    }
}
