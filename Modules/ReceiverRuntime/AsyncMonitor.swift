internal import BatchEngine
internal import Synchronization

/// State behind a lock, and tasks that wait for it to become what they need.
///
/// All waiting for other tasks in this module goes through here. A waiter that is woken looks at
/// the state again, so whoever must be served first has to be known to the state.
///
/// ## Isolation
/// `update` never suspends and may be called from anywhere; the closures run under the lock and
/// must call nothing outside.
///
/// ## Cancellation
/// A wait ends with `CancellationError`, also if its task was cancelled before it began; a state
/// that satisfies it comes first.
package final class AsyncMonitor<State: Sendable>: Sendable {
    private struct Waiter {
        let id: UInt64
        let continuation: CheckedContinuation<Void, any Error>
    }
    private struct Guarded {
        var state: State
        var waiters: [Waiter] = []
        var lastID: UInt64 = 0
    }

    private let guarded: Locked<Guarded>

    /// Creates a monitor.
    package init(_ state: State) {
        guarded = Locked(Guarded(state: state))
    }

    /// Looks at the state.
    package func read<Value: Sendable>(_ body: (State) -> Value) -> Value {
        guarded.withLock { body($0.state) }
    }

    /// Changes the state and lets all who wait look again.
    @discardableResult
    package func update<Value: Sendable>(_ body: (inout State) -> Value) -> Value {
        let (value, woken) = guarded.withLock { guarded in
            let value = body(&guarded.state)
            let woken = guarded.waiters
            guarded.waiters = []
            return (value, woken)
        }
        // Outside the lock: what resumes may come back here at once.
        for waiter in woken { waiter.continuation.resume() }
        return value
    }

    /// Suspends until a condition holds.
    ///
    /// - Throws: `CancellationError`.
    package func wait(for condition: (State) -> Bool) async throws {
        try await wait { condition($0) ? true : nil }
    }

    /// Suspends until `body` gives a value; changes it makes then are seen by others that wait.
    ///
    /// - Throws: `CancellationError`; the state is as `body` last left it.
    @discardableResult
    package func wait<Value: Sendable>(
        until body: (inout State) -> Value?
    ) async throws -> Value {
        while true {
            if let value = tryTake(body) { return value }
            let id = guarded.withLock { guarded in
                guarded.lastID += 1
                return guarded.lastID
            }
            var taken: Value?
            try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    taken = register(id, continuation, unless: body)
                }
            } onCancel: {
                cancel(id)
            }
            if let taken { return taken }
        }
    }

    private func tryTake<Value: Sendable>(_ body: (inout State) -> Value?) -> Value? {
        let (value, woken): (Value?, [Waiter]) = guarded.withLock { guarded in
            guard let value = body(&guarded.state) else { return (nil, []) }
            defer { guarded.waiters = [] }
            return (value, guarded.waiters)
        }
        for waiter in woken { waiter.continuation.resume() }
        return value
    }

    /// Registers a waiter, unless the state suits it by now or it has been cancelled.
    private func register<Value: Sendable>(
        _ id: UInt64, _ continuation: CheckedContinuation<Void, any Error>,
        unless body: (inout State) -> Value?
    ) -> Value? {
        let (value, woken, isRegistered): (Value?, [Waiter], Bool) = guarded.withLock { guarded in
            if let value = body(&guarded.state) {
                defer { guarded.waiters = [] }
                return (value, guarded.waiters, false)
            }
            // The flag is set before `cancel` takes the lock, so one of the two sees the other.
            if Task.isCancelled { return (nil, [], false) }
            guarded.waiters.append(Waiter(id: id, continuation: continuation))
            return (nil, [], true)
        }
        for waiter in woken { waiter.continuation.resume() }
        if value != nil {
            continuation.resume()
        } else if !isRegistered {
            continuation.resume(throwing: CancellationError())
        }
        return value
    }

    private func cancel(_ id: UInt64) {
        let waiter: Waiter? = guarded.withLock { guarded in
            guard let index = guarded.waiters.firstIndex(where: { $0.id == id }) else { return nil }
            return guarded.waiters.remove(at: index)
        }
        waiter?.continuation.resume(throwing: CancellationError())
    }
}
