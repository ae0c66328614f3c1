internal import Synchronization

/// A value computed by the first caller; the others wait for it.
///
/// A failed computation leaves it empty: those who waited see the same error, a later caller
/// computes again.
package final class AsyncOnce<Value: Sendable>: Sendable {
    private enum State {
        case empty
        case running([CheckedContinuation<Value?, any Error>])
        case done(Value)
    }
    private enum Role {
        case compute
        case wait
        case take(Value)
    }

    private let state = Mutex<State>(.empty)

    package init() {}

    /// The value if it has been computed.
    package var current: Value? {
        state.withLock { if case .done(let value) = $0 { value } else { nil } }
    }

    /// Returns the value, running `compute` if nobody has.
    package func value(_ compute: () async throws -> Value) async throws -> Value {
        let role: Role = state.withLock { state in
            switch state {
            case .empty:
                state = .running([])
                return .compute
            case .running: return .wait
            case .done(let value): return .take(value)
            }
        }
        switch role {
        case .take(let value): return value
        case .compute: return try await run(compute)
        case .wait: return try await wait(compute)
        }
    }

    /// Sets the value aside so that the next caller computes it again.
    package func reset() {
        state.withLock { if case .done = $0 { $0 = .empty } }
    }

    private func run(_ compute: () async throws -> Value) async throws -> Value {
        let result: Result<Value, any Error>
        do { result = .success(try await compute()) } catch { result = .failure(error) }
        let waiting: [CheckedContinuation<Value?, any Error>] = state.withLock { state in
            guard case .running(let waiting) = state else { return [] }
            switch result {
            case .success(let value): state = .done(value)
            case .failure: state = .empty
            }
            return waiting
        }
        for continuation in waiting { continuation.resume(with: result.map { Optional($0) }) }
        return try result.get()
    }

    private func wait(_ compute: () async throws -> Value) async throws -> Value {
        let waited: Value? = try await withCheckedThrowingContinuation { continuation in
            // The state may have moved on since the role was chosen; nil means: start over.
            let ready: Value?? = state.withLock { state in
                switch state {
                case .empty: return .some(nil)
                case .done(let value): return .some(value)
                case .running(let waiting):
                    state = .running(waiting + [continuation])
                    return nil
                }
            }
            if let ready { continuation.resume(returning: ready) }
        }
        if let waited { return waited }
        return try await value(compute)
    }
}
