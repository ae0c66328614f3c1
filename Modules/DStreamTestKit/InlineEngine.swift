public import BatchEngine
internal import Synchronization

/// An engine that runs everything on its caller, one partition after the other, for tests.
///
/// It does what `LocalEngine` does in an order that is always the same, and starts no threads.
///
/// ## Isolation
/// User code runs in the caller's task, off its actor. A body that does not return cannot be left: after
/// ``abandon(reason:)`` its caller gets the error when the body ends.
public final class InlineEngine: ExecutionEngine {
    /// Where blocks and kept datasets live.
    public let blockStore: any BlockStore
    /// Where operators keep state between batches.
    public let stateStore: any StateStore = MemoryStateStore()
    /// Partitions by default.
    public let defaultParallelism: Int
    private let activity = EngineActivity()

    /// Makes an engine.
    public init(
        defaultParallelism: Int = 2, blockStore: any BlockStore = InMemoryBlockStore()
    ) {
        self.defaultParallelism = max(1, defaultParallelism)
        self.blockStore = blockStore
    }

    /// One task at a time, in this process.
    public var capabilities: EngineCapabilities {
        EngineCapabilities(leavesProcess: false, replicatesBlocks: false, slots: 1)
    }

    /// Runs a stage and those before it; see `ExecutionEngine`.
    public func run(
        _ request: StageRequest,
        receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        let run = PlanRun(request, store: blockStore, states: stateStore) {
            [activity] run, stage, receive in
            for partition in stage.range {
                let token = try activity.enter(
                    EngineActivity.Entry(site: stage.kernel.site, partition: partition))
                defer { activity.leave(token) }
                try receive(partition, try await run.runTask(stage, partition))
            }
        }
        try await track(EngineActivity.Entry(label: nil), onEnd: run.cancel) {
            try await withTaskCancellationHandler {
                try await run.run(receive)
            } onCancel: {
                run.cancel()
            }
        }
    }

    /// Runs a driver-side body; see `ExecutionEngine`.
    public func perform(
        _ label: String, _ body: @escaping @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await track(EngineActivity.Entry(label: label), onEnd: {}, body)
    }

    /// Refuses further work and ends what runs at its next look; see `ExecutionEngine`.
    @discardableResult
    public func abandon(reason: String) -> [String] { activity.abandon(reason) }

    /// Refuses further work.
    public func shutdown() {
        activity.end(EngineError(.stopped, "the engine was shut down"))
    }

    private func track(
        _ entry: EngineActivity.Entry, onEnd: @escaping @Sendable () -> Void,
        _ body: () async throws -> Void
    ) async throws {
        let abandoned = Locked<EngineError?>(nil)
        let token = try activity.enter(entry) { error in
            abandoned.withLock { $0 = error }
            onEnd()
        }
        defer { activity.leave(token) }
        do { try await body() } catch {
            throw abandoned.withLock { $0 } ?? error
        }
        if let error = abandoned.withLock({ $0 }) { throw error }
    }
}
