import Synchronization

/// What the output operations have seen so far; the driver waits until it is enough.
final class Progress<Seen: Sendable>: Sendable {
    private struct State {
        var seen: Seen
        var waiter:
            (isEnough: @Sendable (Seen) -> Bool, continuation: CheckedContinuation<Void, Never>)?
    }

    private let state: Mutex<State>

    init(_ seen: Seen) { state = Mutex(State(seen: seen)) }

    var seen: Seen { state.withLock { $0.seen } }

    /// Changes what was seen, and wakes the driver when it is enough.
    func change(_ change: (inout Seen) -> Void) {
        wake { change(&$0.seen) }
    }

    /// Waits until enough was seen.
    func reached(_ isEnough: @escaping @Sendable (Seen) -> Bool) async {
        await withCheckedContinuation { continuation in
            wake { $0.waiter = (isEnough, continuation) }
        }
    }

    private func wake(_ change: (inout State) -> Void) {
        let ready = state.withLock { state -> CheckedContinuation<Void, Never>? in
            change(&state)
            guard let waiter = state.waiter, waiter.isEnough(state.seen) else { return nil }
            state.waiter = nil
            return waiter.continuation
        }
        ready?.resume()
    }
}
