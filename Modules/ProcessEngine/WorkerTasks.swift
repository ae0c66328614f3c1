internal import BatchEngine
internal import Synchronization

/// Runs the tasks that come to a worker, one at a time, by the kernels of its own graph.
final class WorkerTasks: Sendable {
    private let program: EngineProgram
    private let replicas = ReplicaStore()

    init(_ program: EngineProgram) { self.program = program }

    /// Runs a task; everything that goes wrong with it is an answer, too.
    ///
    /// - Throws: ``WorkerProtocolError`` for a message that is no task: nothing can be answered.
    func answer(_ message: Frames.Message) async throws -> Frames.Message {
        guard message.kind == .task else {
            throw WorkerProtocolError("a \(message.kind) came where a task was due")
        }
        let (task, inputs): (TaskMessage, [PartitionData])
        do { (task, inputs) = try TaskMessage.read(message.payload) } catch {
            throw WorkerProtocolError("a task cannot be read: \(error)")
        }
        do {
            let outcome = Frames.Message(.outcome, try await run(task, inputs))
            // One that is too long is answered by the error that it is.
            _ = try FramedMessage(outcome)
            return outcome
        } catch {
            return Frames.Message(.failure, FailureMessage(error, of: task.number).payload)
        }
    }

    private func run(_ task: TaskMessage, _ inputs: [PartitionData]) async throws -> [UInt8] {
        guard let kernel = program.kernels[.graph(task.kernel)] else {
            throw EngineError(.invalidPlan, "there is no kernel \(task.kernel) in a worker's graph")
        }
        for load in task.loads { replicas.expect(load) }
        let context = TaskContext(
            batchMilliseconds: task.batchMilliseconds, stage: kernel.id,
            partition: task.partition, attempt: task.attempt, stateStore: replicas)
        do {
            let outputs = try await kernel.run(context, inputs, outputs: task.outputs)
            let changes = try task.changes.map { change in
                try replicas.cell(at: change.place).changes(
                    in: change.version, since: change.base)
            }
            let amounts = try context.amounts(of: program.accumulators)
            return try OutcomeMessage(
                task: task.number, outputs: outputs, changes: changes, amounts: amounts
            ).payload(context)
        } catch let error as EngineError where error.site == nil {
            throw EngineError(
                error.code, error.message, site: kernel.site, underlying: error.underlying)
        }
    }
}

/// The tables of a worker: replicas of the driver's, made when a task first asks for them.
private final class ReplicaStore: StateStore {
    private struct State {
        var cells: [StatePlace: any AnyStateCell] = [:]
        var loads: [StatePlace: TaskMessage.Load] = [:]
    }

    private let state = Locked(State())

    /// Takes a table that the next task asks for.
    func expect(_ load: TaskMessage.Load) { state.withLock { $0.loads[load.place] = load } }

    /// A table that a task has asked for.
    func cell(at place: StatePlace) throws -> any ReplicatedState {
        guard let cell = state.withLock({ $0.cells[place] }) as? any ReplicatedState else {
            throw EngineError(
                .invalidPlan, "a task did not use \(place.id), which it was to change",
                partition: place.partition)
        }
        return cell
    }

    func cell(
        of id: StateID, partition: Int, make: () -> any AnyStateCell
    ) throws -> any AnyStateCell {
        let place = StatePlace(id, partition)
        let (known, load) = state.withLock { state in
            (state.cells[place], state.loads.removeValue(forKey: place))
        }
        let cell = known ?? make()
        if known == nil { state.withLock { $0.cells[place] = cell } }
        if let load {
            guard let cell = cell as? any ReplicatedState else {
                throw EngineError(.invalidPlan, "\(id) holds \(type(of: cell))")
            }
            try cell.replace(with: load.values, version: load.version)
        }
        return cell
    }

    func release(_ id: StateID) {
        let released = state.withLock { state in
            let released = state.cells.filter { $0.key.id == id }
            for place in released.keys { state.cells[place] = nil }
            return released
        }
        withExtendedLifetime(released) {}
    }

    var usage: StateUsage {
        let cells = state.withLock { Array($0.cells.values) }
        return cells.reduce(StateUsage()) { $0 + $1.usage }
    }
}
