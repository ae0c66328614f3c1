import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import Testing

/// An engine that only stores blocks.
struct StoringEngine: ExecutionEngine {
    let blockStore: any BlockStore = MemoryBlockStore()
    var defaultParallelism: Int { 2 }
    var capabilities: EngineCapabilities {
        EngineCapabilities(leavesProcess: false, replicatesBlocks: false, slots: 1)
    }

    func run(
        _ request: StageRequest, receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        throw EngineError(.stopped, "runs nothing")
    }

    func perform(
        _ label: String, _ body: @escaping @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await body()
    }

    func abandon(reason: String) -> [String] { [] }
    func shutdown() {}
}

/// A log in memory that can fail, and outlives the trackers that write it.
final class MemoryLog: WriteAheadLog {
    private struct State: Sendable {
        var records: [(time: BatchTime, bytes: [UInt8])] = []
        var failures = 0
        var isHeld = false
        var begun = 0
    }
    private let state = AsyncMonitor(State())

    struct Full: Error {}

    func failNext() { state.update { $0.failures += 1 } }
    func hold(_ isHeld: Bool) { state.update { $0.isHeld = isHeld } }
    func begun(atLeast count: Int) async throws {
        try await state.wait(for: { $0.begun >= count })
    }
    var count: Int { state.read { $0.records.count } }

    func write(_ record: [UInt8], time: BatchTime) async throws -> LogRecordHandle {
        state.update { $0.begun += 1 }
        try await state.wait(for: { !$0.isHeld })
        let isWritten = state.update { state in
            guard state.failures == 0 else {
                state.failures -= 1
                return false
            }
            state.records.append((time, record))
            return true
        }
        if !isWritten { throw Full() }
        return LogRecordHandle(place: "\(count - 1)")
    }

    func read(_ handle: LogRecordHandle) async throws -> [UInt8] {
        guard let number = Int(handle.place) else { throw Full() }
        return state.read { $0.records[number].bytes }
    }
    func readAll() async throws -> [[UInt8]] { state.read { $0.records.map(\.bytes) } }
    /// Whole segments only: this log has one.
    func clean(before threshold: BatchTime) async throws {}
    func close() async {}
}

/// Everything around the receivers of a test.
struct Rig {
    let clock = ManualClock()
    let events = RecordingEventListener()
    let handler = ScriptedBlockHandler()
    let engine = StoringEngine()
    var configuration = ReceiverConfiguration(batchInterval: .seconds(1))
    var usesEngineStore = false
    var log: MemoryLog?
    /// Where the receivers run; nil: here.
    var services: MemoryServices?
    /// Who hears of an event before `events` does.
    var listeners: [any StreamingListener] = []

    init(_ change: (inout ReceiverConfiguration) -> Void = { _ in }) {
        change(&configuration)
    }

    /// A tracker of receivers for the streams 0 and up.
    func tracker(_ receivers: [ReceiverRegistration]) throws -> ReceiverTracker {
        let bus = ListenerBus()
        for listener in listeners { bus.add(listener) }
        bus.add(events)
        let handler = handler
        let makeHandler: ReceiverRegistration.MakeHandler = { _, _, _ in handler }
        let receivers = services?.place(receivers, configuration, clock) ?? receivers
        return try ReceiverTracker(
            receivers: receivers, configuration: configuration, engine: engine, clock: clock,
            bus: bus, log: log, makeHandler: usesEngineStore ? nil : makeHandler)
    }

    /// Runs a receiver for stream 0 while a test looks on, then stops it and checks that all is
    /// over.
    func run<Source: Receiver>(
        _ receiver: Source, graceful: Bool = true,
        _ body: (ReceiverTracker) async throws -> Void
    ) async throws {
        let tracker = try tracker([ReceiverRegistration(receiver, streamID: StreamID(0))])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await tracker.run() }
            _ = try await events.events(atLeast: 1)
            try await body(tracker)
            await tracker.stop(graceful: graceful)
            try await group.waitForAll()
        }
        clock.finish()
    }
}

struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

extension [ReceivedBlock] {
    func elements<Datum: Sendable>(of type: Datum.Type) -> [[Datum]] {
        map { $0.elements(of: type) }
    }
}
