public import BatchEngine
package import Synchronization

/// Runs plans in worker processes of this machine, which run the same program.
///
/// The driver owns everything that has to last: blocks, kept datasets, outputs of shuffles and the
/// tables of state. Workers run tasks and can be lost at any moment: a task whose worker ends is
/// tried again on a fresh one, as often as tasks may fail. What is made in a body of the user's
/// (`transform`, `foreachRDD`) runs in the driver; see `Docs/Guides/WorkerProcesses.md`. So does what is
/// made of RDDs without a context: a worker knows the closures of a graph alone.
///
/// ## Isolation
/// All methods are callable from any task.
///
/// ## Cancellation
/// A cancelled request ends at once: a worker in the middle of its task is killed.
public final class ProcessEngine: ExecutionEngine {
    /// How a process engine is set up.
    public struct Configuration: Sendable, Hashable {
        /// How many workers there are, at least 1; each runs one task at a time.
        public var workers: Int
        /// How long a task may take before its worker is killed and the try counts as failed; nil:
        /// for ever.
        public var taskLimit: Duration?
        /// How long a worker may take to start and say who it is.
        public var startLimit = Duration.seconds(30)
        /// Whether stages that were made in a body of the user's, and so would run in the driver,
        /// are refused; so are all before the engine was prepared.
        public var isStrict = false
        /// Partitions by default; nil: as many as workers.
        public var defaultParallelism: Int?
        /// Whether the workers are no processes but parts of this one, for tests.
        package var isLoopback = false

        /// Makes a configuration; what cannot work is reported when the engine is started.
        public init(workers: Int) { self.workers = workers }

        /// What cannot work, in words.
        var problem: String? {
            if workers < 1 { return "workers is \(workers); it must be at least 1" }
            if let limit = taskLimit, limit <= .zero {
                return "taskLimit is \(limit); it must be more than 0"
            }
            if startLimit <= .zero { return "startLimit is \(startLimit); it must be more than 0" }
            if let count = defaultParallelism, count < 1 {
                return "defaultParallelism is \(count); it must be at least 1"
            }
            return nil
        }
    }

    /// A program and its workers.
    private struct Prepared: Sendable {
        let program: EngineProgram
        let source: any WorkerSource
        let slots: [WorkerSlot]
    }

    private struct State {
        var prepared: Prepared?
        /// Bodies' operators that listeners have heard of.
        var reported: Set<OperatorSite> = []
        var isShutDown = false
    }

    /// How the engine is set up.
    public let configuration: Configuration
    let driver: LocalEngine
    private let state = Locked(State())
    /// For tests: where workers come from instead; nil: from where they usually do.
    package let sources = Locked<(@Sendable (EngineProgram) -> any WorkerSource)?>(nil)
    /// For tests: after how many microseconds the worker of an exchange is killed, by the exchange's
    /// number; nil: it is not.
    package let killing = Locked<(@Sendable (Int) -> UInt32?)?>(nil)
    let services = Locked<[Int: any ServiceLink]>([:])
    private let exchanges = Atomic<Int>(0)

    /// Makes an engine; workers start with the graph.
    public init(
        _ configuration: Configuration, blockStore: any BlockStore = MemoryBlockStore()
    ) {
        self.configuration = configuration
        driver = LocalEngine(
            LocalEngine.Configuration(
                slots: configuration.workers,
                defaultParallelism: configuration.defaultParallelism ?? configuration.workers),
            blockStore: blockStore)
    }

    deinit { endWorkers() }

    /// Out of the process, one task per worker; the driver has the blocks that workers receive.
    public var capabilities: EngineCapabilities {
        EngineCapabilities(
            leavesProcess: true, replicatesBlocks: true, slots: configuration.workers)
    }

    /// Partitions by default.
    public var defaultParallelism: Int { driver.defaultParallelism }
    /// Where blocks and kept datasets live: in the driver.
    public var blockStore: any BlockStore { driver.blockStore }
    /// Where operators keep state: in the driver, with replicas in workers.
    public var stateStore: any StateStore { driver.stateStore }

    /// Starts the workers; those of an earlier program end.
    ///
    /// - Throws: ``EngineError`` `.workersUnusable` for a graph that no `StreamingApplication` built,
    ///   for a configuration that cannot work, and when a worker cannot be started or is another
    ///   program; `.stopped` after
    ///   ``shutdown()``.
    public func prepare(_ program: EngineProgram) async throws {
        if let problem = configuration.problem { throw EngineError(.workersUnusable, problem) }
        guard program.application != nil || configuration.isLoopback else {
            throw EngineError(
                .workersUnusable,
                "worker processes build the graph themselves, and this one was not built by a "
                    + "StreamingApplication: declare the streams in its build(_:), or use "
                    + "engine: .local()")
        }
        try await driver.prepare(program)
        do {
            let prepared = Prepared(
                program: program, source: try source(of: program),
                slots: (0..<configuration.workers).map { WorkerSlot(number: $0) })
            try replaceWorkers(by: prepared)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for slot in prepared.slots {
                    group.addTask { try await slot.withWorker(from: prepared.source) { _ in } }
                }
                try await group.waitForAll()
            }
        } catch let error where !(error is EngineError || error is CancellationError) {
            throw EngineError(.workersUnusable, "\(error)", underlying: error)
        }
    }

    private func source(of program: EngineProgram) throws -> any WorkerSource {
        if let make = sources.withLock({ $0 }) { return make(program) }
        if configuration.isLoopback { return LoopbackSource(program) }
        return try WorkerLauncher(configuration, fingerprint: program.fingerprint)
    }

    private func replaceWorkers(by prepared: Prepared) throws {
        let (earlier, isShutDown) = state.withLock { state in
            if state.isShutDown { return (nil as Prepared?, true) }
            defer {
                state.prepared = prepared
                state.reported = []
            }
            return (state.prepared, false)
        }
        if isShutDown { throw EngineError(.stopped, "the engine was shut down") }
        for slot in earlier?.slots ?? [] { slot.close() }
    }

    /// Runs a stage and those before it; see ``ExecutionEngine/run(_:receive:)``.
    public func run(
        _ request: StageRequest,
        receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        let offload = StageOffload(
            takes: { [self] in try takes($0, request.batchMilliseconds) },
            perform: { [self] in try await perform($0, $1, $2) })
        try await driver.run(request, offload: offload, receive: receive)
    }

    /// Runs a driver-side body; see ``ExecutionEngine/perform(_:_:)``.
    public func perform(
        _ label: String, _ body: @escaping @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await driver.perform(label, body)
    }

    /// Gives up on what is running, and kills the workers; see ``ExecutionEngine/abandon(reason:)``.
    @discardableResult
    public func abandon(reason: String) -> [String] {
        let running = driver.abandon(reason: reason)
        endWorkers()
        return running
    }

    /// Ends workers and threads.
    public func shutdown() {
        driver.shutdown()
        endWorkers()
    }

    private func endWorkers() {
        let earlier = state.withLock { state in
            defer { state.prepared = nil }
            state.isShutDown = true
            return state.prepared
        }
        for slot in earlier?.slots ?? [] { slot.close() }
        for link in services.withLock({ $0 }).values { link.kill() }
    }

    /// Where workers come from; nil: the engine was not prepared, or has ended.
    var workerSource: (any WorkerSource)? { state.withLock { $0.prepared?.source } }

    /// Whether workers have the kernel of a stage; the others run in the driver, and listeners hear
    /// of those that a body of the user's made.
    private func takes(_ stage: StageTasks, _ batch: Int64?) throws -> Bool {
        let prepared = state.withLock { $0.prepared }
        if prepared?.program.kernels[stage.kernel.id] != nil { return true }
        if prepared == nil, configuration.isStrict, !stage.kernel.isReading {
            throw EngineError(
                .refused,
                "the engine has no workers, as no context has prepared it; the stage would run in the "
                    + "driver, which the engine's strict mode refuses. Workers run the operators of "
                    + "streams: declare them in a StreamingApplication", site: stage.kernel.site)
        }
        if DriverBody.site != nil, !stage.kernel.isReading {
            try noteDriverStage(stage.kernel.site, batch)
        }
        return false
    }

    private func noteDriverStage(_ site: OperatorSite, _ batch: Int64?) throws {
        if configuration.isStrict {
            throw EngineError(
                .refused,
                "a stage made in the body of transform or foreachRDD would run in the driver, which "
                    + "the engine's strict mode refuses; use foreachPartition or mapPartitions on "
                    + "the stream, or a variant that is handed the batch time", site: site)
        }
        let report = state.withLock { state in
            state.reported.insert(site).inserted ? state.prepared?.program.onDriverStage : nil
        }
        report?(batch, site)
    }

    /// Does the work of one attempt in a worker.
    private func perform(
        _ run: PlanRun, _ stage: StageTasks, _ context: TaskContext
    ) async throws -> [PartitionData] {
        guard let prepared = state.withLock({ $0.prepared }) else {
            throw EngineError(.stopped, "the engine was shut down")
        }
        let inputs = StateInputs.withoutAwaited(stage.inputs[context.partition])
        for pipe in PartitionData.pipes(in: inputs) where !pipe.isPlain {
            if let body = pipe.site { try noteDriverStage(body, context.batchMilliseconds) }
        }
        let placement = RemoteTask.placement(of: inputs, context, prepared.program)
        let slot = prepared.slots[placement % prepared.slots.count]
        return try await slot.withWorker(from: prepared.source, unless: run.flag) {
            [self] worker in
            // Not before: what waits for a worker keeps no blocks in memory.
            let task = try RemoteTask(
                stage, context, try run.resolved(inputs), prepared.program, stateStore)
            killIfTold(worker)
            return try await task.run(in: slot, worker, limit: configuration.taskLimit)
        }
    }

    private func killIfTold(_ worker: any WorkerLink) {
        let number = exchanges.wrappingAdd(1, ordering: .relaxed).oldValue
        guard let delay = killing.withLock({ $0 })?(number) else { return }
        try? SystemThread.start(name: "killer") {
            SystemThread.pause(microseconds: delay)
            worker.kill()
        }
    }

    /// The numbers of the worker processes, and how many were started.
    package var workers: (ids: [Int32], startCount: Int) {
        let slots = state.withLock { $0.prepared }?.slots ?? []
        return (slots.compactMap(\.processID), slots.reduce(0) { $0 + $1.startCount })
    }
}
