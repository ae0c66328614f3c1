internal import Synchronization

/// Runs plans in this process, on its own threads; partitions of a stage run in parallel.
///
/// Nothing is encoded unless a storage level asks for bytes. Stages run on N threads. Driver bodies
/// (``perform(_:_:)``) have threads of their own, one each, so that a body that blocks takes none
/// from a stage; a stage with little input runs right there, without any hop.
///
/// ## Isolation
/// All methods are callable from any task.
///
/// ## Cancellation
/// A cancelled request ends at its tasks' next look, every few thousand elements.
public final class LocalEngine: ExecutionEngine {
    /// How a local engine is set up.
    public struct Configuration: Sendable, Hashable {
        /// Tasks that run at once, Spark's `local[N]`; nil: one per core.
        public var slots: Int?
        /// Partitions by default; nil: as many as slots.
        public var defaultParallelism: Int?
        /// Stages with at most this many input elements run on one thread without hops.
        public var inlineElementMaximum = 4096

        /// Makes a configuration.
        public init(slots: Int? = nil, defaultParallelism: Int? = nil) {
            self.slots = slots
            self.defaultParallelism = defaultParallelism
        }
    }

    /// Where blocks and kept datasets live.
    public let blockStore: any BlockStore
    /// Where operators keep state between batches.
    public let stateStore: any StateStore = MemoryStateStore()
    /// Partitions by default.
    public let defaultParallelism: Int
    let inlineElementMaximum: Int
    let slots: Int
    let taskThreads: SlotExecutor
    let bodyThreads: SlotExecutor
    let activity = EngineActivity()

    /// Makes an engine; threads start when there is work.
    public convenience init(
        _ configuration: Configuration = Configuration(),
        blockStore: any BlockStore = MemoryBlockStore()
    ) {
        self.init(configuration, blockStore: blockStore, startThread: SlotExecutor.start)
    }

    /// Makes an engine whose threads are started by `startThread`.
    package init(
        _ configuration: Configuration, blockStore: any BlockStore,
        startThread: @escaping SlotExecutor.Start
    ) {
        slots = max(1, configuration.slots ?? ResourceUsage.coreCount())
        inlineElementMaximum = configuration.inlineElementMaximum
        self.blockStore = blockStore
        defaultParallelism = max(1, configuration.defaultParallelism ?? slots)
        taskThreads = SlotExecutor(
            name: "dstream-task", limit: slots, idleMaximum: slots, start: startThread)
        // Bodies raise the limit while they run; one thread is for what comes after.
        bodyThreads = SlotExecutor(
            name: "dstream-body", limit: 1, idleMaximum: 2, start: startThread)
    }

    /// Makes an engine with `slots` threads, Spark's `local[N]`.
    public convenience init(slots: Int) { self.init(Configuration(slots: slots)) }

    deinit {
        taskThreads.close()
        bodyThreads.close()
    }

    /// In memory, in this process.
    public var capabilities: EngineCapabilities {
        EngineCapabilities(leavesProcess: false, replicatesBlocks: false, slots: slots)
    }

    /// Sees to the first threads.
    ///
    /// - Throws: ``EngineError`` `.noThreads` when the system starts none.
    public func prepare(_ program: EngineProgram) async throws {
        try Self.prepare(taskThreads)
        try Self.prepare(bodyThreads)
    }

    /// Sees to a first thread, so that work fails in words where there is none.
    static func prepare(_ threads: SlotExecutor) throws(EngineError) {
        do { try threads.prepare() } catch {
            throw EngineError(.noThreads, "\(error)", underlying: error)
        }
    }

    /// Ends the threads once they are idle.
    public func shutdown() {
        activity.end(EngineError(.stopped, "the engine was shut down"))
        taskThreads.close()
        bodyThreads.close()
    }

    /// Gives up on what is running; see ``ExecutionEngine/abandon(reason:)``.
    @discardableResult
    public func abandon(reason: String) -> [String] {
        let running = activity.abandon(reason)
        for threads in [taskThreads, bodyThreads] {
            // What waits for a thread finds out that it is to end, even if no thread comes back.
            threads.replaceThreads()
            threads.close()
        }
        return running
    }

    /// Runs a driver-side body on an engine thread; see ``ExecutionEngine/perform(_:_:)``.
    public func perform(
        _ label: String, _ body: @escaping @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await leaveable(EngineActivity.Entry(label: label), body)
    }

    /// Runs a stage and those before it; see ``ExecutionEngine/run(_:receive:)``.
    @concurrent
    public func run(
        _ request: StageRequest,
        receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        try await run(request, offload: nil, receive: receive)
    }

    /// Runs a request of which some stages' tasks are done elsewhere.
    @concurrent
    package func run(
        _ request: StageRequest, offload: StageOffload?,
        receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        // Whoever runs on engine threads already can be left together with its body.
        if isOnEngineThread { return try await runHere(request, offload, receive) }
        try await leaveable(EngineActivity.Entry(label: nil)) {
            try await self.runHere(request, offload, receive)
        }
    }

    /// Runs `body` on a thread for bodies, in a way that its caller can be freed from.
    private func leaveable(
        _ entry: EngineActivity.Entry, _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        try Self.prepare(bodyThreads)
        let outcome = AbandonableOutcome(body)
        let token = try activity.enter(entry) { outcome.finish(.failure($0)) }
        defer { activity.leave(token) }
        bodyThreads.raiseLimit()
        // Unstructured on purpose: a body that never returns could not be left otherwise.
        let task = Task(executorPreference: bodyThreads) {
            await outcome.run()
            self.bodyThreads.lowerLimit()
        }
        // After a normal end this does nothing; a body that was left behind is told to end.
        defer { task.cancel() }
        try await withTaskCancellationHandler {
            try await outcome.value()
        } onCancel: {
            task.cancel()
        }
    }

    private var isOnEngineThread: Bool {
        withUnsafeCurrentTask { task in
            guard let executor = task?.unownedTaskExecutor else { return false }
            return executor == bodyThreads.asUnownedTaskExecutor()
                || executor == taskThreads.asUnownedTaskExecutor()
        }
    }
}
