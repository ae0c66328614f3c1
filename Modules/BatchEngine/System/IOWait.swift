import Synchronization

/// One task waiting for one fact: a descriptor is ready, a thread has finished, a deadline passed.
///
/// ```
/// idle ──suspend──▶ waiting ──finish──▶ done
///   └────────finish (cancelled or ready before suspended)───▶ early ──suspend──▶ done
/// ```
/// `finish` may come from any thread, any number of times; the first one counts.
package final class IOWait: Sendable {
    private enum State {
        /// Nobody has suspended. Can transition to: waiting, early.
        case idle
        /// A task is suspended. Can transition to: done.
        case waiting(UnsafeContinuation<Void, any Error>)
        /// Finished before the task suspended. Can transition to: done.
        case early(Result<Void, any Error>)
        /// The task was resumed.
        case done
    }

    private let state = Locked<State>(.idle)

    /// Creates a wait that nobody has begun.
    package init() {}

    /// Suspends until `finish` is called; `register` runs once the wait can be finished.
    ///
    /// - Parameters:
    ///   - register: Makes the wait known to whoever finishes it; not called when finished before.
    ///   - forget: Withdraws it again, after a cancellation.
    func run(register: () -> Void, forget: @Sendable () -> Void) async throws {
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                let early = state.withLock { state -> Result<Void, any Error>? in
                    switch state {
                    case .idle:
                        state = .waiting(continuation)
                        return nil
                    case .early(let result):
                        state = .done
                        return result
                    case .waiting, .done: preconditionFailure("a wait is used once")
                    }
                }
                if let early { continuation.resume(with: early) } else { register() }
            }
        } onCancel: {
            finish(.failure(CancellationError()))
            forget()
        }
    }

    /// Ends the wait; later calls change nothing.
    func finish(_ result: Result<Void, any Error>) {
        let continuation = state.withLock { state -> UnsafeContinuation<Void, any Error>? in
            switch state {
            case .idle:
                state = .early(result)
                return nil
            case .waiting(let continuation):
                state = .done
                return continuation
            case .early, .done:
                return nil
            }
        }
        continuation?.resume(with: result)
    }

    /// Whether `finish` has been called.
    var isFinished: Bool {
        state.withLock { state in
            switch state {
            case .idle, .waiting: return false
            case .early, .done: return true
            }
        }
    }
}
