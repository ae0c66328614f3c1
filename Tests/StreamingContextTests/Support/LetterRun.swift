import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization

/// What an external system does to those who write to it.
struct SinkDown: Error, CustomStringConvertible {
    let description = "the sink is down"
}

/// A sink that is down for some batches, and keeps what it is given.
final class ScriptedSink: Sendable {
    private struct State {
        var down: Set<BatchTime>
        var rows: [String] = []
        var tries: [BatchTime] = []
    }
    private let state: Locked<State>

    init(down: Set<BatchTime> = []) { state = Locked(State(down: down)) }

    /// Takes the rows of a batch.
    func insert(_ rows: [String], at time: BatchTime) throws {
        try state.withLock { state in
            state.tries.append(time)
            if state.down.contains(time) { throw SinkDown() }
            state.rows += rows.map { "\(time.milliseconds / 1000):\($0)" }
        }
    }

    /// Lets batches fail from now on.
    func setDown(_ batches: Set<BatchTime>) { state.withLock { $0.down = batches } }

    /// What it has, in the order in which it came.
    var rows: [String] { state.withLock { $0.rows } }

    /// The batches that were tried.
    var tries: [BatchTime] { state.withLock { $0.tries } }
}

/// Harnesses whose dead letters go to a simulated medium.
enum LetterRun {
    static let directory = "/letters"

    static func harness(
        _ medium: SimulatedStorageMedium, policy: FailurePolicy = .stop, concurrentJobs: Int = 1,
        startTime: BatchTime = .zero, checkpoints: (any CheckpointStore)? = nil
    ) -> StreamHarness {
        var configuration = StreamingContext.Configuration()
        configuration.failurePolicy = policy
        configuration.concurrentJobs = concurrentJobs
        configuration.maxTaskFailures = 1
        var components = StreamHarness.quietComponents
        components.deadLetterStore = FileDeadLetterStore(directory, on: medium)
        components.checkpointStore = checkpoints
        return StreamHarness(
            startTime: startTime, configuration: configuration, components: components)
    }

    static func entries(_ medium: SimulatedStorageMedium) async throws -> [DeadLetter.Entry] {
        try await FileDeadLetterStore(directory, on: medium).list().entries
    }

    /// The texts of the only letter.
    static func letter(_ medium: SimulatedStorageMedium) async throws -> DeadLetter? {
        let store = FileDeadLetterStore(directory, on: medium)
        guard let entry = try await store.list().entries.first else { return nil }
        return try await store.read(entry.id)
    }
}

extension StreamHarness {
    /// Moves on by one batch and waits for its end, whatever was reported.
    func advanceAndSettle() async throws {
        let next = clock.now + ssc.batchInterval
        clock.advance(by: ssc.batchInterval)
        try await listener.batchSettled(next)
    }
}
