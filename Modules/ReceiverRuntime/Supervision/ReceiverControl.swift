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

extension ReceiverControl {
    /// Runs a receiver until it ends, cancelling it once something is asked.
    func run<Source: Receiver>(
        _ receiver: Source, _ output: ReceiverOutput<Source.Element>
    ) async -> ReceiverEnding {
        let outcome = await outcome(of: receiver, output)
        if Task.isCancelled { return .stoppedByDriver }
        switch current {
        case .restart(let message, let error, let delay):
            return .restart(message: message, error: error, delay: delay)
        case .stop(let message): return .stoppedItself(message: message)
        case .stopByDriver: return .stoppedByDriver
        case nil: break
        }
        switch outcome {
        case .success: return .stoppedItself(message: "The receiver ended by itself")
        case .failure(let error):
            return .restart(message: "\(error)", error: error, delay: nil)
        }
    }

    private func outcome<Source: Receiver>(
        of receiver: Source, _ output: ReceiverOutput<Source.Element>
    ) async -> Result<Void, any Error> {
        var thread: SlotExecutor?
        if receiver.mayBlock {
            let own = SlotExecutor(name: "recv-\(receiver.name)", limit: 1, idleMaximum: 1)
            do { try own.prepare() } catch { return .failure(error) }
            thread = own
        }
        let body = AbandonableOutcome { try await receiver.run(output) }
        // Unstructured on purpose: one that ignores its cancellation could not be left otherwise.
        let task = Task(executorPreference: thread) { [thread] in
            await body.run()
            thread?.close()
        }
        note(
            Run(
                cancel: { task.cancel() },
                leave: {
                    body.finish(
                        .failure(ReceiverError(.stopped, "the receiver did not end in time")))
                }))
        defer { note(nil) }
        do {
            try await withTaskCancellationHandler {
                try await body.value()
            } onCancel: {
                task.cancel()
            }
            return .success(())
        } catch {
            return .failure(error)
        }
    }
}
