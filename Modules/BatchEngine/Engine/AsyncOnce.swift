internal import Synchronization

/// A value computed by the first caller; the others wait for it.
///
/// A failed computation leaves it empty: those who waited see the same error, a later caller
/// computes again. When the computing caller was cancelled, one of those who waited takes over.
///
/// ## Cancellation
/// A waiting caller that is cancelled leaves at once.
package final class AsyncOnce<Value: Sendable>: Sendable {
    private typealias Waiter = CheckedContinuation<Value?, any Error>
    private enum Phase {
        case empty
        case running
        case done(Value)
    }
    private struct State {
        var phase = Phase.empty
        var waiters: [UInt64: Waiter] = [:]
        var next: UInt64 = 0
    }
    private enum Role {
        case compute
        case wait
        case take(Value)
    }

    private let state = Locked(State())

    package init() {}

    /// The value if it has been computed.
    package var current: Value? {
        state.withLock { if case .done(let value) = $0.phase { value } else { nil } }
    }

    /// Returns the value, running `compute` if nobody has.
    package func value(_ compute: () async throws -> Value) async throws -> Value {
        while true {
            let role: Role = state.withLock { state in
                switch state.phase {
                case .empty:
                    state.phase = .running
                    return .compute
                case .running: return .wait
                case .done(let value): return .take(value)
                }
            }
            switch role {
            case .take(let value): return value
            case .compute: return try await run(compute)
            case .wait: if let value = try await wait() { return value }
            }
        }
    }

    /// Sets a computed value for which `isStale` holds aside: the next caller computes again.
    package func reset(where isStale: (Value) -> Bool = { _ in true }) {
        state.withLock { state in
            if case .done(let value) = state.phase, isStale(value) { state.phase = .empty }
        }
    }

    private func run(_ compute: () async throws -> Value) async throws -> Value {
        let result: Result<Value, any Error>
        do { result = .success(try await compute()) } catch { result = .failure(error) }
        let waiters = state.withLock { state in
            if case .success(let value) = result {
                state.phase = .done(value)
            } else {
                state.phase = .empty
            }
            defer { state.waiters = [:] }
            return state.waiters
        }
        for (_, waiter) in waiters {
            switch result {
            case .success(let value): waiter.resume(returning: value)
            // Only this caller was cancelled; nil means: start over.
            case .failure(is CancellationError): waiter.resume(returning: nil)
            case .failure(let error): waiter.resume(throwing: error)
            }
        }
        return try result.get()
    }

    private func wait() async throws -> Value? {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                // The state may have moved on since the role was chosen.
                let isWaiting = state.withLock { state in
                    guard case .running = state.phase else { return false }
                    state.waiters[number] = continuation
                    return true
                }
                if !isWaiting { continuation.resume(returning: nil) }
                // The handler may have run before there was anything to cancel.
                if Task.isCancelled { cancelWaiter(number) }
            }
        } onCancel: {
            cancelWaiter(number)
        }
    }

    private func cancelWaiter(_ number: UInt64) {
        state.withLock { $0.waiters.removeValue(forKey: number) }?
            .resume(throwing: CancellationError())
    }
}
