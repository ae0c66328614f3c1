internal import BatchEngine
public import DStreamCore
internal import Synchronization

/// A listener that keeps every event and lets a test wait for facts.
public final class RecordingListener: StreamingListener {
    private struct Waiter {
        let test: @Sendable (StreamEvent) -> Bool
        let wake: CheckedContinuation<Void, Never>
    }
    private struct State {
        var events: [StreamEvent] = []
        var settled: Set<BatchTime> = []
        var waiters: [Waiter] = []
    }

    private let state = Locked(State())

    /// Makes a listener that has heard nothing.
    public init() {}

    /// Keeps `event`.
    public func onEvent(_ event: StreamEvent) {
        let woken = state.withLock { state in
            state.events.append(event)
            if case .batchSettled(let time) = event { state.settled.insert(time) }
            let woken = state.waiters.filter { $0.test(event) }
            state.waiters.removeAll { $0.test(event) }
            return woken
        }
        for waiter in woken { waiter.wake.resume() }
    }

    /// The events so far, in order.
    public var events: [StreamEvent] { state.withLock { $0.events } }

    /// Waits until an event for which `test` is true has come; at once when it has.
    ///
    /// - Complexity: O(events so far).
    public func first(_ test: @escaping @Sendable (StreamEvent) -> Bool) async {
        await wait(for: test) { $0.events.contains(where: test) }
    }

    /// Waits until the batch has ended, in whatever way.
    public func batchSettled(_ time: BatchTime) async {
        await wait { event in
            if case .batchSettled(let settled) = event { settled == time } else { false }
        } unless: {
            $0.settled.contains(time)
        }
    }

    private func wait(
        for test: @escaping @Sendable (StreamEvent) -> Bool, unless isThere: (State) -> Bool
    ) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if isThere(state) { return true }
                state.waiters.append(Waiter(test: test, wake: continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}

extension StreamEvent {
    package var isCheckpointFailed: Bool {
        if case .checkpointFailed = self { true } else { false }
    }
}
