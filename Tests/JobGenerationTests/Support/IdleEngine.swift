import BatchEngine
import DStreamCore

/// An engine for tests whose batches run nothing on it.
struct IdleEngine: ExecutionEngine {
    let capabilities = EngineCapabilities(leavesProcess: false, replicatesBlocks: false, slots: 1)
    let defaultParallelism = 1
    let blockStore: any BlockStore = MemoryBlockStore()

    func run(
        _ request: StageRequest,
        receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        throw EngineError(.stopped, "an idle engine runs no stage")
    }

    func perform(
        _ label: String, _ body: @escaping @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await body()
    }

    func abandon(reason: String) -> [String] { [] }

    func shutdown() {}
}
