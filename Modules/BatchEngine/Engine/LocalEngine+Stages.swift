internal import Synchronization

/// An engine's way to have the tasks of some stages done elsewhere.
package struct StageOffload: Sendable {
    /// Whether a stage's tasks are done elsewhere; asked once for each stage.
    package let takes: @Sendable (StageTasks) throws -> Bool
    /// Does the work of one attempt.
    package let perform: PlanRun.Perform

    package init(
        takes: @escaping @Sendable (StageTasks) throws -> Bool,
        perform: @escaping PlanRun.Perform
    ) {
        self.takes = takes
        self.perform = perform
    }
}

extension LocalEngine {
    /// Runs a request from the thread of a body.
    func runHere(
        _ request: StageRequest, _ offload: StageOffload?,
        _ receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        let run = PlanRun(request, store: blockStore, states: stateStore) { run, stage, receive in
            if let offload, try offload.takes(stage) {
                return try await self.runApart(run, stage, offload.perform, receive)
            }
            try await self.runStage(run, stage, receive)
        }
        let token = try activity.enter(EngineActivity.Entry(label: nil)) { _ in run.flag.cancel() }
        defer { activity.leave(token) }
        try await withTaskCancellationHandler {
            try await run.run(receive)
        } onCancel: {
            run.flag.cancel()
        }
    }

    /// Runs a stage right here when it is small, else on as many threads as pay off.
    private func runStage(
        _ run: PlanRun, _ stage: StageTasks, _ receive: @escaping PlanRun.Receive
    ) async throws {
        guard isInline(stage) else { return try await runInParallel(run, stage, receive) }
        for partition in stage.range {
            try receive(partition, try await runTask(run, stage, partition))
        }
    }

    private func runInParallel(
        _ run: PlanRun, _ stage: StageTasks, _ receive: @escaping PlanRun.Receive
    ) async throws {
        try Self.prepare(taskThreads)
        let next = Atomic<Int>(stage.range.lowerBound)
        let failure = Locked<(any Error)?>(nil)
        let work: @concurrent @Sendable () async throws -> Void = {
            do {
                while true {
                    let partition = next.wrappingAdd(1, ordering: .relaxed).oldValue
                    guard partition < stage.range.upperBound else { return }
                    try receive(partition, try await self.runTask(run, stage, partition))
                }
            } catch {
                // The others end because of this one: theirs is not the reason.
                failure.withLock { $0 = $0 ?? error }
                run.flag.cancel()
                throw error
            }
        }
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<min(slots, stage.range.count) {
                    group.addTask(executorPreference: taskThreads, operation: work)
                }
                while try await group.next() != nil {}
            }
        } catch {
            throw failure.withLock { $0 } ?? error
        }
    }

    /// Starts all tasks of a stage at once: they mostly wait, and others say how many run.
    ///
    /// After a failure those under way may end; the first failure is the stage's.
    private func runApart(
        _ run: PlanRun, _ stage: StageTasks, _ perform: @escaping PlanRun.Perform,
        _ receive: @escaping PlanRun.Receive
    ) async throws {
        try Self.prepare(taskThreads)
        let failure = Locked<(any Error)?>(nil)
        let work: @concurrent @Sendable (Int) async -> Void = { partition in
            do {
                try receive(partition, try await self.runTask(run, stage, partition, perform))
            } catch {
                failure.withLock { $0 = $0 ?? error }
                run.flag.cancel()
            }
        }
        await withTaskGroup(of: Void.self) { group in
            for partition in stage.range {
                group.addTask(executorPreference: taskThreads) { await work(partition) }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    private func runTask(
        _ run: PlanRun, _ stage: StageTasks, _ partition: Int,
        _ perform: PlanRun.Perform = { try await $0.performHere($1, $2) }
    ) async throws -> [PartitionData] {
        let token = try activity.enter(
            EngineActivity.Entry(site: stage.kernel.site, partition: partition))
        defer { activity.leave(token) }
        return try await run.runTask(stage, partition, perform)
    }

    /// Whether a stage has so little to do that threads would cost more than they bring.
    ///
    /// Tasks that wait for something outside are worth a thread each, however small.
    private func isInline(_ stage: StageTasks) -> Bool {
        if case .effect = stage.kernel.work, stage.range.count > 1 { return false }
        var room = inlineElementMaximum
        for partition in stage.range {
            for piece in stage.inputs[partition] {
                guard let count = elementCount(piece), count <= room else { return false }
                room -= count
            }
        }
        return true
    }

    /// How many elements a piece holds, or nil when only reading it would tell.
    private func elementCount(_ piece: PartitionData) -> Int? {
        switch piece {
        case .values, .lines, .encoded: return piece.count
        case .block(let id): return blockStore.elementCount(of: id)
        case .branch(_, let inner), .dynamic(_, let inner):
            var sum = 0
            for piece in inner {
                guard let count = elementCount(piece) else { return nil }
                sum += count
            }
            return sum
        }
    }
}
