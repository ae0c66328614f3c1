internal import Synchronization

/// A body that may never return, and its end: set once, by the body or by whoever gives up on it.
package final class AbandonableOutcome: Sendable {
    /// What may never return.
    package typealias Body = @Sendable () async throws -> Void

    private enum State {
        case open
        case awaited(CheckedContinuation<Void, any Error>)
        case done(Result<Void, any Error>)
    }

    private let body: Locked<Body?>
    private let state = Locked<State>(.open)

    /// Nothing runs yet.
    package init(_ body: @escaping Body) { self.body = Locked(body) }

    /// Runs the body and sets the outcome; called once.
    ///
    /// What the body holds is let go before its caller hears of the end.
    package func run() async { finish(await result()) }

    private func result() async -> Result<Void, any Error> {
        let body = body.withLock { body in
            defer { body = nil }
            return body
        }
        do { return .success(try await body?() ?? ()) } catch { return .failure(error) }
    }

    /// Sets the outcome; later calls are ignored.
    package func finish(_ result: Result<Void, any Error>) {
        let waiter: CheckedContinuation<Void, any Error>? = state.withLock { state in
            switch state {
            case .done: return nil
            case .open:
                state = .done(result)
                return nil
            case .awaited(let continuation):
                state = .done(result)
                return continuation
            }
        }
        waiter?.resume(with: result)
    }

    /// Waits for the outcome; called once.
    package func value() async throws {
        try await withCheckedThrowingContinuation { continuation in
            let ready: Result<Void, any Error>? = state.withLock { state in
                if case .done(let result) = state { return result }
                state = .awaited(continuation)
                return nil
            }
            if let ready { continuation.resume(with: ready) }
        }
    }
}
