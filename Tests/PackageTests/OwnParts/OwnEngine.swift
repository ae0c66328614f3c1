import BatchEngine
import DStreamTestKit

/// An engine of one's own: tasks are children of the request's task, on threads that others share.
nonisolated final class OwnEngine: ExecutionEngine {
    let blockStore: any BlockStore = OwnBlockStore()
    let stateStore: any StateStore = MemoryStateStore()
    let defaultParallelism = 2
    private let activity = EngineActivity()

    var capabilities: EngineCapabilities {
        EngineCapabilities(leavesProcess: false, replicatesBlocks: false, slots: 2)
    }

    func run(
        _ request: StageRequest,
        receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        let run = PlanRun(request, store: blockStore, states: stateStore) {
            [activity] run, stage, receive in
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for partition in stage.range {
                    tasks.addTask {
                        let token = try activity.enter(
                            EngineActivity.Entry(site: stage.kernel.site, partition: partition))
                        defer { activity.leave(token) }
                        try receive(partition, try await run.runTask(stage, partition))
                    }
                }
                try await tasks.waitForAll()
            }
        }
        let token = try activity.enter(EngineActivity.Entry(label: nil)) { _ in run.cancel() }
        defer { activity.leave(token) }
        try await withTaskCancellationHandler {
            try await run.run(receive)
        } onCancel: {
            run.cancel()
        }
    }

    func perform(
        _ label: String, _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        let token = try activity.enter(EngineActivity.Entry(label: label))
        defer { activity.leave(token) }
        try await body()
    }

    @discardableResult
    func abandon(reason: String) -> [String] { activity.abandon(reason) }

    func shutdown() { activity.end(EngineError(.stopped, "the engine was shut down")) }
}
