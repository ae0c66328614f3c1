package import BatchEngine
internal import Synchronization

/// The place of one worker: whoever runs a task there has it alone.
///
/// A worker that is gone is replaced when the next task comes.
package final class WorkerSlot: Sendable {
    private struct State {
        var taskCount: UInt64 = 0
        var link: (any WorkerLink)?
        /// The version of each table that the worker has.
        var held: [StatePlace: Int64] = [:]
        var startCount = 0
        var isClosed = false
    }

    let number: Int
    private let turns = Turns()
    private let state = Locked(State())

    package init(number: Int) { self.number = number }

    /// How often a worker was started here.
    var startCount: Int { state.withLock { $0.startCount } }

    /// The number of the worker's process; nil: there is none.
    var processID: Int32? { state.withLock { $0.link }?.processID }

    /// The number of the next task here: of all workers that were, so that none answers for another.
    func nextTask() -> UInt64 {
        state.withLock { state in
            state.taskCount += 1
            return state.taskCount
        }
    }

    /// The version of a table that the worker has; nil: none that counts.
    func version(of place: StatePlace) -> Int64? { state.withLock { $0.held[place] } }

    /// Notes what the worker has, or with nil that it is not known.
    func note(_ place: StatePlace, _ version: Int64?) {
        state.withLock { $0.held[place] = version }
    }

    /// Waits for the turn and runs `body` with a worker that lives, as far as is known.
    ///
    /// ## Cancellation
    /// Waiting ends at once; a worker whose task was cancelled is killed.
    ///
    /// - Parameter flag: ends what waits, once it has its turn.
    /// - Throws: what `body` and `source` throw; ``EngineError`` `.stopped` when closed.
    package func withWorker<Result: Sendable>(
        from source: any WorkerSource, unless flag: CancellationFlag? = nil,
        _ body: @Sendable (any WorkerLink) async throws -> Result
    ) async throws -> Result {
        try await turns.take()
        defer { turns.pass() }
        try Task.checkCancellation()
        if flag?.isCancelled == true { throw CancellationError() }
        do {
            let link = try await worker(from: source)
            return try await withTaskCancellationHandler {
                try await body(link)
            } onCancel: {
                link.kill()
            }
        } catch let error as WorkerLost {
            // Killed because of that.
            try Task.checkCancellation()
            throw error
        }
    }

    private func worker(from source: any WorkerSource) async throws -> any WorkerLink {
        let (known, isClosed) = state.withLock { ($0.link, $0.isClosed) }
        if isClosed { throw Self.closed }
        if let known, !known.hasEnded { return known }
        state.withLock { state in
            state.link = nil
            state.held = [:]
        }
        let link = try await source.start(number: number)
        let isOpen = state.withLock { state in
            guard !state.isClosed else { return false }
            state.link = link
            state.startCount += 1
            return true
        }
        guard isOpen else {
            link.kill()
            throw Self.closed
        }
        return link
    }

    private static var closed: EngineError {
        EngineError(.stopped, "the engine was shut down")
    }

    /// Ends the worker for good.
    package func close() {
        let link = state.withLock { state in
            defer { state.link = nil }
            state.isClosed = true
            return state.link
        }
        link?.kill()
    }
}
