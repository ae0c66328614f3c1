internal import Synchronization

/// The tasks of one stage: a kernel and the inputs of the partitions it runs over.
public struct StageTasks: Sendable {
    /// What runs.
    public let kernel: Kernel
    /// The inputs of every partition of the plan.
    package let inputs: [[PartitionData]]
    /// The partitions to run.
    public let range: Range<Int>
    /// How many outputs each task makes.
    package let outputs: Int
    /// Takes what the tasks add to accumulators.
    let sums: AddedSums
}

/// One request on its way through an engine that runs in this process.
///
/// It knows what has to run, in which order, and what a task is, stores shuffles and datasets, and tries
/// tasks again; the engine says where tasks run. So ``ExecutionEngine/run(_:receive:)`` can be as
/// short as
///
/// ```
/// let run = PlanRun(request, store: blockStore, states: stateStore) { run, stage, receive in
///     for partition in stage.range {
///         try receive(partition, try await run.runTask(stage, partition))
///     }
/// }
/// try await withTaskCancellationHandler {
///     try await run.run(receive)
/// } onCancel: {
///     run.cancel()
/// }
/// ```
public final class PlanRun: Sendable {
    /// Takes a partition's outputs: from any thread, of several tasks at the same time.
    public typealias Receive = @Sendable (Int, [PartitionData]) throws -> Void
    /// Runs all tasks of a stage by ``runTask(_:_:)``, in any order and at the same time, hands on their
    /// outputs, and returns when all have ended.
    public typealias Schedule =
        @concurrent @Sendable (PlanRun, StageTasks, _ receive: @escaping Receive) async throws ->
        Void

    /// Does the work of one attempt; returns its outputs.
    package typealias Perform =
        @Sendable (PlanRun, StageTasks, TaskContext) async throws -> [PartitionData]

    private struct Kept {
        /// Looked through only when a block is lost.
        var datasets: [(id: DatasetID, dataset: Dataset)] = []
        var current: [DatasetID: DatasetID] = [:]
    }

    /// What was asked for.
    public let request: StageRequest
    /// Ends the request's tasks at their next look.
    package let flag = CancellationFlag()
    /// Where blocks are.
    package let store: any BlockStore
    /// Where operators keep state.
    package let states: any StateStore
    private let schedule: Schedule
    private let kept = Locked(Kept())

    /// Prepares a request.
    ///
    /// - Parameters:
    ///   - store: where blocks and kept datasets are.
    ///   - states: where operators keep state.
    ///   - schedule: runs the tasks of one stage; stages that do not depend on one another may be
    ///     scheduled at the same time.
    public init(
        _ request: StageRequest, store: any BlockStore, states: any StateStore,
        schedule: @escaping Schedule
    ) {
        self.request = request
        self.store = store
        self.states = states
        self.schedule = schedule
    }

    /// Ends the request's tasks at their next look.
    public func cancel() { flag.cancel() }

    /// Runs the request and everything it depends on.
    ///
    /// - Parameter receive: called with the outputs of the request's own stage, one call at a time.
    /// - Throws: what `schedule` and `receive` throw; ``EngineError`` for a plan that cannot be run.
    public func run(_ receive: @escaping Receive) async throws {
        let sums = AddedSums()
        let inputs = try await inputs(of: request.plan, sums)
        let range = (request.partitions ?? 0..<inputs.count).clamped(to: 0..<inputs.count)
        let stage = StageTasks(
            kernel: request.kernel, inputs: inputs, range: range, outputs: 1, sums: sums)
        // One call at a time, as the port promises.
        let turn = Locked(())
        try await schedule(self, stage) { index, contents in
            try turn.withLock { _ in try receive(index, contents) }
        }
        // An action of an output operation counts with the operation.
        if let operation = JobAttempt.current.sums {
            operation.add(sums.parts)
        } else {
            sums.count()
        }
    }

    /// Finds each partition's inputs, running the shuffles and datasets below.
    private func inputs(of plan: Plan, _ sums: AddedSums) async throws -> [[PartitionData]] {
        switch plan {
        case .source(let partitions): return partitions
        case .exchange(let exchange): return try await shuffled(exchange, sums)
        case .dataset(let dataset):
            let id = try await stored(dataset, sums)
            return (0..<dataset.partitionCount).map { [.block(.dataset(id, partition: $0))] }
        case .dynamic(let pipe, let plan):
            return try await inputs(of: plan, sums).map { [.dynamic(pipe, $0)] }
        case .union(let plans):
            var all: [[PartitionData]] = []
            for (index, plan) in plans.enumerated() {
                for inputs in try await inputs(of: plan, sums) {
                    all.append([.branch(index, inputs)])
                }
            }
            return all
        case .zip(let plans): return try await zipped(plans, sums)
        case .following(let following):
            // Known to have failed, and reported: not tried again for the sake of a later batch.
            if following.dataset.hasFailed, let otherwise = following.otherwise {
                return try await inputs(of: otherwise, sums)
            }
            _ = try await stored(following.dataset, sums)
            following.forgetOtherwise()
            return try await inputs(of: following.plan, sums)
        case .coalesce(let plan, let count):
            let inputs = try await inputs(of: plan, sums)
            let groups = min(inputs.count, count)
            return (0..<groups).map { group in
                let range = group * inputs.count / groups..<(group + 1) * inputs.count / groups
                return range.map { .branch($0, inputs[$0]) }
            }
        }
    }

    private func zipped(
        _ plans: [Plan], _ sums: AddedSums
    ) async throws -> [[PartitionData]] {
        var sides: [[[PartitionData]]] = []
        for plan in plans { sides.append(try await inputs(of: plan, sums)) }
        let count = sides.first?.count ?? 0
        guard sides.allSatisfy({ $0.count == count }) else {
            throw EngineError(
                .invalidPlan,
                "partitions cannot be put side by side: the inputs have \(sides.map(\.count))",
                site: request.kernel.site)
        }
        return (0..<count).map { partition in
            sides.enumerated().map { .branch($0.offset, $0.element[partition]) }
        }
    }

    private func shuffled(
        _ exchange: Exchange, _ sums: AddedSums
    ) async throws -> [[PartitionData]] {
        // Whoever uses the output counts what went into it, if nobody has.
        defer { sums.add(exchange.added.withLock { $0 }) }
        return try await exchange.output.value {
            guard let plan = exchange.input else {
                throw EngineError(
                    .invalidPlan, "a shuffle's input was dropped before it ran",
                    site: exchange.kernel.site)
            }
            let count = exchange.partitionCount
            let site = exchange.kernel.site
            if let error = BatchContext.problem(ofPartitions: count, site) { throw error }
            let added = AddedSums()
            let inputs = try await self.inputs(of: plan, added)
            let rows = Locked([[PartitionData]](repeating: [], count: inputs.count))
            let stage = StageTasks(
                kernel: exchange.kernel, inputs: inputs, range: 0..<inputs.count, outputs: count,
                sums: added)
            try await self.schedule(self, stage) { index, buckets in
                rows.withLock { $0[index] = buckets }
            }
            exchange.added.withLock { $0 = added.parts }
            exchange.forgetInput()
            var pieces = [[PartitionData]](repeating: [], count: count)
            for row in rows.withLock({ $0 }) {
                // Kernels that reduce to one value make a single bucket whatever is asked.
                for (partition, piece) in row.prefix(count).enumerated() where !piece.isEmpty {
                    pieces[partition].append(piece)
                }
            }
            return pieces
        }
    }

    /// Has a dataset's partitions in the store and returns the identity of the blocks.
    private func stored(_ dataset: Dataset, _ sums: AddedSums) async throws -> DatasetID {
        defer { sums.add(dataset.added.withLock { $0 }) }
        let id = try await dataset.computed.value {
            guard let plan = dataset.input else {
                throw EngineError(
                    .blockMissing, "\(dataset.id) was dropped and its lineage is cut",
                    site: dataset.kernel.site)
            }
            if dataset.level.needsCodec, dataset.codec == nil {
                throw EngineError(
                    .codecMissing,
                    "level \(dataset.level) turns elements into bytes and the element type has no "
                        + "codec; declare the type StreamCodable or use StorageLevel.memoryOnly",
                    site: dataset.kernel.site)
            }
            do {
                let added = AddedSums()
                let inputs = try await self.inputs(of: plan, added)
                return try await self.store(dataset, inputs, added)
            } catch {
                if !(error is CancellationError), !JobAttempt.current.isProvisional {
                    dataset.markFailed()
                }
                throw error
            }
        }
        kept.withLock { $0.datasets.append((id, dataset)) }
        return id
    }

    private func store(
        _ dataset: Dataset, _ inputs: [[PartitionData]], _ added: AddedSums
    ) async throws -> DatasetID {
        // A fresh identity each time: what drops the old blocks must not touch the new ones.
        let isFirst = dataset.isFirstComputation()
        let id = isFirst ? dataset.id : DatasetID.next()
        let store = store
        let remove: @Sendable () -> Void = { [count = dataset.partitionCount] in
            for partition in 0..<count { store.remove(.dataset(id, partition: partition)) }
        }
        let stage = StageTasks(
            kernel: dataset.kernel, inputs: inputs, range: 0..<inputs.count, outputs: 1,
            sums: added)
        do {
            try await schedule(self, stage) { index, contents in
                try store.put(
                    .dataset(id, partition: index), contents, level: dataset.level,
                    codec: dataset.codec)
            }
        } catch {
            remove()
            throw error
        }
        // What was lost and computed again has been counted, or is to be, already.
        if dataset.markStored(release: remove) { dataset.added.withLock { $0 = added.parts } }
        return id
    }

    /// A block of a kept dataset was not there: it was unpersisted meanwhile or evicted.
    ///
    /// - Returns: whether it has been computed again.
    private func recompute(_ block: BlockID) async throws -> Bool {
        guard case .dataset(let id, _) = block else { return false }
        let dataset = kept.withLock { $0.datasets.first { $0.id == id }?.dataset }
        guard let dataset, dataset.input != nil else { return false }
        dataset.computed.reset { $0 == id }
        let fresh = try await stored(dataset, AddedSums())
        kept.withLock { $0.current[id] = fresh }
        return true
    }

    /// Replaces blocks by their contents.
    private func resolve(_ piece: PartitionData) throws -> PartitionData {
        switch piece {
        case .block(let id):
            let contents = try contents(of: id)
            return contents.count == 1 ? contents[0] : .branch(0, contents)
        case .branch(let index, let inner):
            if inner.count == 1, case .block(let id) = inner[0] {
                return .branch(index, try contents(of: id))
            }
            return .branch(index, try inner.map { try resolve($0) })
        case .dynamic(let pipe, let inner):
            return .dynamic(pipe, try inner.map { try resolve($0) })
        case .values, .lines, .encoded: return piece
        }
    }

    private func contents(of block: BlockID) throws -> [PartitionData] {
        let id = current(block)
        guard let contents = try store.get(id) else { throw BlockMissing(id: id) }
        return contents
    }

    private func current(_ block: BlockID) -> BlockID {
        guard case .dataset(var id, let partition) = block else { return block }
        kept.withLock { kept in
            while let fresh = kept.current[id] { id = fresh }
        }
        return .dataset(id, partition: partition)
    }
}

/// A block that a task needs is not in the store.
private struct BlockMissing: Error {
    let id: BlockID
}

extension PlanRun {
    /// How often a task has lost blocks computed again before it gives up.
    private static let recoveryMaximum = 3

    /// Runs one task where the caller runs, as often as it may fail.
    ///
    /// - Throws: ``EngineError`` naming operator and partition; `CancellationError` when the
    ///   request was cancelled.
    public func runTask(_ stage: StageTasks, _ partition: Int) async throws -> [PartitionData] {
        try await runTask(stage, partition) { try await $0.performHere($1, $2) }
    }

    /// Runs one task, as often as it may fail; `perform` does the work of an attempt.
    package func runTask(
        _ stage: StageTasks, _ partition: Int, _ perform: Perform
    ) async throws -> [PartitionData] {
        var attempt = 0
        var recoveries = 0
        while true {
            try Task.checkCancellation()
            if flag.isCancelled { throw CancellationError() }
            let context = TaskContext(
                batchMilliseconds: request.batchMilliseconds, stage: stage.kernel.id,
                partition: partition, attempt: request.firstAttempt + attempt,
                cancellation: flag, stateStore: states)
            do {
                let contents = try await perform(self, stage, context)
                stage.sums.add(context.takeUpdates())
                return contents
            } catch let missing as BlockMissing {
                guard recoveries < Self.recoveryMaximum, try await recompute(missing.id) else {
                    throw EngineError(
                        .blockMissing, "block \(missing.id) is not stored any more",
                        site: stage.kernel.site, partition: partition, attempts: attempt + 1)
                }
                recoveries += 1
            } catch {
                attempt += 1
                if let final = verdict(error, stage.kernel, partition, attempt) { throw final }
            }
        }
    }

    /// A task's inputs, with what blocks hold in their place.
    package func resolved(_ inputs: [PartitionData]) throws -> [PartitionData] {
        var inputs = inputs
        for index in inputs.indices where inputs[index].holdsBlock {
            inputs[index] = try resolve(inputs[index])
        }
        return inputs
    }

    /// Does the work of an attempt in this process.
    package func performHere(
        _ stage: StageTasks, _ context: TaskContext
    ) async throws -> [PartitionData] {
        let inputs = try resolved(stage.inputs[context.partition])
        return try await stage.kernel.run(context, inputs, outputs: stage.outputs)
    }

    /// The error to give up with, or nil when the task is to be tried again.
    private func verdict(
        _ error: any Error, _ kernel: Kernel, _ partition: Int, _ attempts: Int
    ) -> (any Error)? {
        // One that a closure made up by itself is a failure like any other.
        if error is CancellationError, flag.isCancelled || Task.isCancelled { return error }
        if let error = error as? EngineError, error.code != .taskFailed {
            return EngineError(
                error.code, error.message, site: error.site ?? kernel.site,
                partition: error.partition ?? partition, attempts: max(error.attempts, attempts),
                underlying: error.underlying)
        }
        guard attempts >= request.maxTaskFailures else { return nil }
        let failure = error as? OperatorFailure
        return EngineError(
            .taskFailed, "the task failed", site: failure?.site ?? kernel.site,
            partition: partition, attempts: attempts, underlying: failure?.underlying ?? error)
    }
}
