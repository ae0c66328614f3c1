import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext

/// Runs of one program, one after the other, on one checkpoint directory.
struct DurableRun {
    static let directory = "/checkpoints"
    var medium = SimulatedStorageMedium()
    var policy = FailurePolicy.stop
    var lateBatches = LateBatches.generate
    var lettersDirectory: String?
    var engine = StreamHarness.usualEngine
    let warnings = Notes<String>()

    /// Parts on the run's medium.
    var quietComponents: StreamingContext.Components {
        var components = StreamHarness.quietComponents
        components.storageMedium = medium
        return components
    }

    /// A context that goes on from what the runs before have left; not started.
    func harness(
        from start: BatchTime, store: (any CheckpointStore)? = nil,
        _ declare: (StreamHarness) -> Void
    ) async throws -> StreamHarness {
        var configuration = StreamingContext.Configuration()
        configuration.failurePolicy = policy
        configuration.lateBatches = lateBatches
        configuration.deadLetterDirectory = lettersDirectory
        configuration.maxTaskFailures = 1
        var components = quietComponents
        components.checkpointStore = store
        components.logger = NotingLogger(notes: warnings)
        let harness = StreamHarness(
            startTime: start, engine: engine, configuration: configuration,
            components: components)
        declare(harness)
        _ = try await StreamingContext.getOrCreate(checkpointDirectory: Self.directory) {
            harness.ssc
        }
        return harness
    }

    /// Starts such a context.
    func start(
        from start: BatchTime, _ declare: (StreamHarness) -> Void
    ) async throws -> StreamHarness {
        let harness = try await harness(from: start, declare)
        try await harness.ssc.start()
        return harness
    }

    /// The error with which such a context refuses to start.
    func refusal(
        from start: BatchTime, _ declare: (StreamHarness) -> Void
    ) async throws -> StreamError? {
        let harness = try await harness(from: start, declare)
        do { try await harness.ssc.start() } catch let error as StreamError { return error }
        await harness.ssc.stop()
        return nil
    }

    /// What batches read that a restart runs again.
    func pendingInputs() async throws -> [PendingInputs.Input] {
        try await PendingInputs.read(from: Self.directory, on: medium).inputs
    }

    func forget(_ parts: [String]? = nil, of stream: Int = 0, for batch: BatchTime) async throws {
        try await PendingInputs.forget(
            parts, of: StreamID(stream), for: batch, in: Self.directory, on: medium)
    }

    /// The letters that wait.
    func letters() async throws -> [DeadLetter] {
        let store = FileDeadLetterStore(Self.directory + "/dead-letters", on: medium)
        var letters: [DeadLetter] = []
        for entry in try await store.list().entries {
            letters.append(try await store.read(entry.id))
        }
        return letters
    }
}

extension DeadLetter {
    /// What it keeps of inputs.
    var inputs: [Input] {
        if case .inputs(let inputs) = contents { inputs } else { [] }
    }
}

extension StreamHarness {
    /// The input that was skipped, with the reasons.
    var skipped: [String] {
        listener.events.compactMap { event in
            if case .inputSkipped(let time, let stream, let reason) = event {
                "\(time.milliseconds) \(stream) \(reason)"
            } else {
                nil
            }
        }
    }
}
