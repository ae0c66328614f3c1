internal import BatchEngine

/// One attempt of a task on its way to a worker and back.
struct RemoteTask: Sendable {
    private struct Table: Sendable {
        let step: StateStep
        let origin: StateOrigin?
        let earlier: [PartitionData]
        let cell: any ReplicatedState

        var place: StatePlace { StatePlace(step) }
        /// The version that the task begins with; nil: none.
        var needed: Int64? { origin.map(\.version) ?? step.time }
    }

    private let kernel: Kernel
    private let outputs: Int
    private let context: TaskContext
    private let inputs: [PartitionData]
    private let program: EngineProgram
    private let tables: [Table]

    /// Prepares an attempt.
    ///
    /// - Parameter inputs: what the task looks at, without blocks.
    init(
        _ stage: StageTasks, _ context: TaskContext, _ inputs: [PartitionData],
        _ program: EngineProgram, _ store: any StateStore
    ) throws {
        kernel = stage.kernel
        outputs = stage.outputs
        self.context = context
        self.inputs = inputs
        self.program = program
        tables = try StateInputs.steps(in: inputs).compactMap { step, origin, earlier in
            try program.cell(of: step.id, partition: step.partition, in: store).map {
                Table(step: step, origin: origin, earlier: earlier, cell: $0)
            }
        }
    }

    /// Tasks with the same number run in the same worker: where their tables are.
    static func placement(
        of inputs: [PartitionData], _ context: TaskContext, _ program: EngineProgram
    ) -> Int {
        let first = StateInputs.steps(in: inputs).first { program.keepsTables(of: $0.step.id) }
        return first?.step.partition ?? context.partition
    }

    /// What a worker said about a task.
    private enum Answer {
        case outcome(OutcomeMessage)
        case failure(FailureMessage)
    }

    /// Has a worker do the work; the driver's tables and sums change when it has succeeded.
    ///
    /// - Throws: what the task throws; ``WorkerLost`` for a worker that ended, or that was killed
    ///   because its answer is none: whatever it says later may be about another task.
    func run(
        in slot: WorkerSlot, _ worker: any WorkerLink, limit: Duration?
    ) async throws -> [PartitionData] {
        let number = slot.nextTask()
        let payload = try message(number, for: slot).payload(inputs, context)
        // What the worker has is not known until it has answered.
        for table in tables { slot.note(table.place, nil) }
        let answer = try await worker.exchange(Frames.Message(.task, payload), limit: limit)
        let failure: FailureMessage
        do {
            switch try Self.read(answer, to: number) {
            case .outcome(let outcome): return try apply(outcome, slot)
            case .failure(let message): failure = message
            }
        } catch  where error is CodecError || error is WorkerProtocolError {
            worker.kill()
            throw WorkerLost(
                description: "worker \(slot.number) was killed: \(error), in the answer to a task")
        }
        if failure.isOfClosure {
            for table in tables { slot.note(table.place, table.needed) }
        }
        throw failure.error(in: program)
    }

    private static func read(_ message: Frames.Message, to number: UInt64) throws -> Answer {
        let (answer, task): (Answer, UInt64)
        switch message.kind {
        case .outcome:
            let outcome = try OutcomeMessage.read(message.payload)
            (answer, task) = (.outcome(outcome), outcome.task)
        case .failure:
            let failure = try FailureMessage(payload: message.payload)
            (answer, task) = (.failure(failure), failure.task)
        default: throw WorkerProtocolError("a \(message.kind) came")
        }
        guard task == number else {
            throw WorkerProtocolError("it is about task \(task), not \(number)")
        }
        return answer
    }

    private func message(_ number: UInt64, for slot: WorkerSlot) throws -> TaskMessage {
        var task = TaskMessage(
            number: number, kernel: kernel.id.graphNumber,
            batchMilliseconds: context.batchMilliseconds,
            partition: context.partition, attempt: context.attempt, outputs: outputs)
        for table in tables {
            if let version = table.needed, slot.version(of: table.place) != version {
                task.loads.append(
                    TaskMessage.Load(
                        place: table.place, version: version,
                        values: try table.cell.whole(at: version)))
            }
            if let origin = table.origin {
                task.changes.append(
                    TaskMessage.Change(
                        place: table.place, version: table.step.time, base: origin.version))
            }
        }
        return task
    }

    private func apply(
        _ outcome: OutcomeMessage, _ slot: WorkerSlot
    ) throws -> [PartitionData] {
        let changed = tables.filter { $0.origin != nil }
        guard outcome.changes.count == changed.count else {
            throw WorkerProtocolError(
                "a task came back with \(outcome.changes.count) tables instead of \(changed.count)")
        }
        let updates = try outcome.amounts.map { number, amount in
            guard program.accumulators.indices.contains(number) else {
                throw WorkerProtocolError("a task came back with an unknown accumulator")
            }
            return try program.accumulators[number].update(from: amount)
        }
        for (table, changes) in zip(changed, outcome.changes) {
            try table.cell.apply(
                changes, of: table.step, on: table.origin?.version, from: table.earlier)
        }
        for update in updates { context.add(update) }
        for table in tables { slot.note(table.place, table.step.time) }
        return outcome.outputs
    }
}

extension PartitionData {
    /// The pipes made in per-batch bodies that are among the inputs of a task.
    static func pipes(in inputs: [PartitionData]) -> [any ErasedPipe] {
        inputs.flatMap { piece -> [any ErasedPipe] in
            switch piece {
            case .dynamic(let pipe, let inner):
                return [pipe as? any ErasedPipe].compactMap { $0 } + pipes(in: inner)
            case .branch(_, let inner): return pipes(in: inner)
            case .values, .lines, .encoded, .block: return []
            }
        }
    }
}
