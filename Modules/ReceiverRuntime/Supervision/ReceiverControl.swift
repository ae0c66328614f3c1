internal import BatchEngine
internal import Synchronization

/// What was asked of one run of a receiver, by itself or by its supervisor.
final class ReceiverControl: Sendable {
    /// What ends a run.
    enum Request: Sendable {
        case restart(message: String, error: (any Error)?, delay: Duration?)
        case stop(message: String)
        case stopByDriver
    }

    /// How the run that is under way can be ended.
    struct Run: Sendable {
        /// Has it end by itself.
        let cancel: @Sendable () -> Void
        /// Has nobody wait for it any more.
        let leave: @Sendable () -> Void
    }

    private struct State {
        var run: Run?
        var isAbandoned = false
    }

    private let request = AsyncMonitor<Request?>(nil)
    private let state = Locked(State())

    /// What was asked first; nil: nothing.
    var current: Request? { request.read { $0 } }

    /// Asks, and cancels the run; the first request counts, but the driver's comes before all.
    func ask(_ new: Request) {
        request.update { request in
            if case .stopByDriver = new {
                request = new
            } else {
                request = request ?? new
            }
        }
        state.withLock { $0.run }?.cancel()
    }

    /// Gives up on a run that does not end although it was cancelled.
    func abandon() {
        let run = state.withLock { state in
            state.isAbandoned = true
            return state.run
        }
        run?.leave()
    }

    /// Suspends until something was asked.
    func wait() async throws {
        try await request.wait(for: { $0 != nil })
    }

    /// Notes the run that is under way, or with nil that it has ended.
    func note(_ run: Run?) {
        let isAbandoned = state.withLock { state in
            state.run = run
            return state.isAbandoned
        }
        // Asked before there was anything to end.
        if current != nil { run?.cancel() }
        if isAbandoned { run?.leave() }
    }
}
