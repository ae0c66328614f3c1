internal import Synchronization

/// Runs plans in this process, on its own threads; partitions of a stage run in parallel.
///
/// Nothing is encoded unless a storage level asks for bytes. A stage with little input runs on
/// the calling engine thread without any hop.
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
        /// Partitions by default; nil: as many as slots, at least 2.
        public var defaultParallelism: Int?
        /// Stages with at most this many input elements run on one thread without hops.
        public var inlineElementMaximum = 4096

        /// Makes a configuration.
        public init(slots: Int? = nil, defaultParallelism: Int? = nil) {
            self.slots = slots
            self.defaultParallelism = defaultParallelism
        }
    }

    private struct Activity {
        var running: [UInt64: String] = [:]
        var pending: [UInt64: @Sendable (EngineError) -> Void] = [:]
        var next: UInt64 = 0
        var ended: EngineError?
    }

    /// Where blocks and kept datasets live.
    public let blockStore: any BlockStore
    /// Partitions by default.
    public let defaultParallelism: Int
    private let configuration: Configuration
    private let executor: SlotExecutor
    private let activity = Mutex(Activity())
    private let cancellation = CancellationFlag()

    /// Makes an engine; threads start when there is work.
    public init(
        _ configuration: Configuration = Configuration(),
        blockStore: any BlockStore = MemoryBlockStore()
    ) {
        let slots = max(1, configuration.slots ?? ResourceUsage.coreCount())
        self.configuration = configuration
        self.blockStore = blockStore
        // Spark's local default is the number of slots; its minimum of 2 is kept for one core.
        defaultParallelism = max(1, configuration.defaultParallelism ?? slots)
        executor = SlotExecutor(slots: slots)
    }

    /// Makes an engine with `slots` threads, Spark's `local[N]`.
    public convenience init(slots: Int) { self.init(Configuration(slots: slots)) }

    deinit { executor.close() }

    /// In memory, in this process.
    public var capabilities: EngineCapabilities {
        EngineCapabilities(leavesProcess: false, replicatesBlocks: false, slots: executor.slots)
    }

    /// Ends the threads once they are idle.
    public func shutdown() {
        activity.withLock { activity in
            if activity.ended == nil {
                activity.ended = EngineError(.stopped, "the engine was shut down")
            }
        }
        executor.close()
    }

    /// Gives up on what is running; see ``ExecutionEngine/abandon(reason:)``.
    @discardableResult
    public func abandon(reason: String) -> [String] {
        let (running, pending) = activity.withLock { activity in
            let running = activity.running.sorted { $0.key < $1.key }.map(\.value)
            let pending = activity.pending
            activity.pending = [:]
            activity.ended = EngineError(.abandoned, reason)
            return (running, pending)
        }
        cancellation.cancel()
        let what = running.isEmpty ? "" : "; still running: " + running.joined(separator: ", ")
        for (_, fail) in pending { fail(EngineError(.abandoned, reason + what)) }
        executor.close()
        return running
    }

    /// Runs a driver-side body on an engine thread; see ``ExecutionEngine/perform(_:_:)``.
    public func perform(
        _ label: String, _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        let outcome = AbandonableOutcome()
        let token = try register(label) { outcome.finish(.failure($0)) }
        defer { unregister(token) }
        // Unstructured on purpose: a body that never returns could not be left otherwise.
        let task = Task(executorPreference: executor) {
            do {
                try await body()
                outcome.finish(.success(()))
            } catch {
                outcome.finish(.failure(error))
            }
        }
        try await withTaskCancellationHandler {
            try await outcome.value()
        } onCancel: {
            task.cancel()
        }
    }

    /// Runs a stage and those before it; see ``ExecutionEngine/run(_:receive:)``.
    @concurrent
    public func run(
        _ request: StageRequest,
        receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        if let ended = activity.withLock({ $0.ended }) { throw ended }
        let job = StageJob(request: request, flag: CancellationFlag())
        try await withTaskCancellationHandler {
            try await withTaskExecutorPreference(executor) {
                let inputs = try await self.evaluate(request.plan, job)
                let range = request.partitions ?? 0..<inputs.count
                try await self.runTasks(
                    request.kernel, inputs, range, outputs: 1, job, receive: receive)
            }
        } onCancel: {
            job.flag.cancel()
        }
    }

    private func register(
        _ label: String, _ fail: @escaping @Sendable (EngineError) -> Void
    ) throws -> UInt64 {
        try activity.withLock { activity in
            if let ended = activity.ended { throw ended }
            activity.next += 1
            activity.pending[activity.next] = fail
            activity.running[activity.next] = label
            return activity.next
        }
    }

    private func unregister(_ token: UInt64) {
        activity.withLock { activity in
            activity.pending[token] = nil
            activity.running[token] = nil
        }
    }
}

/// What the stages of one request share.
struct StageJob: Sendable {
    let request: StageRequest
    let flag: CancellationFlag
}

extension LocalEngine {
    /// Finds each partition's inputs, running the shuffles and datasets below.
    private func evaluate(_ plan: Plan, _ job: StageJob) async throws -> [[PartitionData]] {
        switch plan {
        case .source(let partitions): return partitions
        case .exchange(let exchange): return try await shuffle(exchange, job)
        case .dataset(let dataset): return try await stored(dataset, job)
        case .dynamic(let pipe, let plan):
            return try await evaluate(plan, job).map { [.dynamic(pipe, $0)] }
        case .union(let plans):
            var all: [[PartitionData]] = []
            for (index, plan) in plans.enumerated() {
                for inputs in try await evaluate(plan, job) { all.append([.branch(index, inputs)]) }
            }
            return all
        case .zip(let plans):
            var sides: [[[PartitionData]]] = []
            for plan in plans { sides.append(try await evaluate(plan, job)) }
            let count = sides.map(\.count).min() ?? 0
            return (0..<count).map { partition in
                sides.enumerated().map { .branch($0.offset, $0.element[partition]) }
            }
        case .coalesce(let plan, let count):
            let inputs = try await evaluate(plan, job)
            guard inputs.count > count else { return inputs }
            return (0..<count).map { group in
                let range = group * inputs.count / count..<(group + 1) * inputs.count / count
                return Array(inputs[range].joined())
            }
        }
    }

    private func shuffle(_ exchange: Exchange, _ job: StageJob) async throws -> [[PartitionData]] {
        try await exchange.output.value {
            let inputs = try await self.evaluate(exchange.input, job)
            let count = exchange.partitionCount
            let rows = Mutex([[PartitionData]](repeating: [], count: inputs.count))
            try await self.runTasks(
                exchange.kernel, inputs, 0..<inputs.count, outputs: count, job
            ) { index, buckets in
                rows.withLock { $0[index] = buckets }
            }
            let buckets = rows.withLock { $0 }
            // Kernels that reduce to one value make a single bucket whatever is asked.
            return (0..<count).map { partition in
                buckets.compactMap { partition < $0.count ? $0[partition] : nil }
            }
        }
    }

    private func stored(_ dataset: Dataset, _ job: StageJob) async throws -> [[PartitionData]] {
        let store = blockStore
        let ids = (0..<dataset.partitionCount).map { BlockID.dataset(dataset.id, partition: $0) }
        _ = try await dataset.computed.value {
            guard let plan = dataset.input else {
                throw EngineError(
                    .blockMissing, "\(dataset.id) was dropped and its lineage is cut",
                    site: dataset.kernel.site)
            }
            let inputs = try await self.evaluate(plan, job)
            do {
                try await self.runTasks(
                    dataset.kernel, inputs, 0..<inputs.count, outputs: 1, job
                ) { index, contents in
                    try store.put(
                        ids[index], contents, level: dataset.level, codec: dataset.codec)
                }
            } catch {
                for id in ids { store.remove(id) }
                throw error
            }
            dataset.markStored { for id in ids { store.remove(id) } }
            return true
        }
        return ids.map { [.block($0)] }
    }

    /// Runs a kernel over some partitions, on as many threads as pay off.
    private func runTasks(
        _ kernel: Kernel, _ inputs: [[PartitionData]], _ range: Range<Int>, outputs: Int,
        _ job: StageJob, receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        let workers = min(executor.slots, range.count)
        if workers <= 1 || isSmall(inputs[range]) {
            for index in range {
                let contents = try await runTask(kernel, index, inputs[index], outputs, job)
                try receive(index, contents)
            }
            return
        }
        let next = Atomic<Int>(range.lowerBound)
        let gate = Mutex(())
        let loop: @Sendable () async throws -> Void = {
            while !job.flag.isCancelled {
                let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                guard index < range.upperBound else { return }
                let contents = try await self.runTask(kernel, index, inputs[index], outputs, job)
                try gate.withLock { _ in try receive(index, contents) }
            }
            throw CancellationError()
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 1..<workers {
                group.addTask(executorPreference: self.executor) { try await loop() }
            }
            try await loop()
            try await group.waitForAll()
        }
    }

    private func isSmall(_ inputs: ArraySlice<[PartitionData]>) -> Bool {
        var elements = 0
        for input in inputs {
            for piece in input {
                elements += piece.hasStoredPart ? configuration.inlineElementMaximum / 8 : piece.count
                if elements > configuration.inlineElementMaximum { return false }
            }
        }
        return true
    }

    /// Runs one task, as often as it may fail.
    private func runTask(
        _ kernel: Kernel, _ partition: Int, _ inputs: [PartitionData], _ outputs: Int,
        _ job: StageJob
    ) async throws -> [PartitionData] {
        let token = try register("\(kernel.site), partition \(partition)") { _ in }
        defer { unregister(token) }
        var attempt = 0
        while true {
            try Task.checkCancellation()
            if cancellation.isCancelled { throw CancellationError() }
            let context = TaskContext(
                batchMilliseconds: job.request.batchMilliseconds, stage: kernel.id,
                partition: partition, attempt: attempt, cancellation: job.flag)
            do {
                let resolved = try inputs.map { try resolve($0) }
                let contents: [PartitionData]
                switch kernel.work {
                case .pure(let run):
                    contents = try TaskContext.$current.withValue(context) {
                        try run(context, resolved, outputs)
                    }
                case .effect(let run):
                    try await TaskContext.$current.withValue(context) {
                        try await run(context, resolved)
                    }
                    contents = []
                }
                context.commitUpdates()
                return contents
            } catch {
                attempt += 1
                if let final = verdict(error, kernel, partition, attempt, job) { throw final }
            }
        }
    }

    /// The error to give up with, or nil when the task is to be tried again.
    private func verdict(
        _ error: any Error, _ kernel: Kernel, _ partition: Int, _ attempts: Int, _ job: StageJob
    ) -> (any Error)? {
        if error is CancellationError { return error }
        if let error = error as? EngineError, error.code != .taskFailed { return error }
        guard attempts >= job.request.maxTaskFailures else { return nil }
        if let failure = error as? OperatorFailure {
            return EngineError(
                .taskFailed, "the task failed", site: failure.site, partition: partition,
                attempts: attempts, underlying: failure.underlying)
        }
        return EngineError(
            .taskFailed, "the task failed", site: kernel.site, partition: partition,
            attempts: attempts, underlying: error)
    }

    private func resolve(_ piece: PartitionData) throws -> PartitionData {
        switch piece {
        case .block(let id):
            guard let contents = try blockStore.get(id) else {
                throw EngineError(.blockMissing, "block \(id) is not stored any more")
            }
            return contents.count == 1 ? contents[0] : .branch(0, contents)
        case .branch(let index, let inner): return .branch(index, try inner.map { try resolve($0) })
        case .dynamic(let pipe, let inner):
            return .dynamic(pipe, try inner.map { try resolve($0) })
        case .values, .lines, .encoded: return piece
        }
    }
}

extension PartitionData {
    /// Whether some part is in a block store, of a size not known here.
    var hasStoredPart: Bool {
        switch self {
        case .block: true
        case .branch(_, let inner), .dynamic(_, let inner): inner.contains { $0.hasStoredPart }
        case .values, .lines, .encoded: false
        }
    }
}
