internal import Synchronization

/// A place that one task at a time has, in the order of asking.
///
/// A turn that ends wakes the next one that waits, and nobody else.
///
/// ## Cancellation
/// Waiting ends at once with `CancellationError`, also if the task was cancelled before.
package final class Turns: Sendable {
    private typealias Turn = CheckedContinuation<Void, any Error>

    private struct State {
        var isTaken = false
        var isOpen = false
        var waiting: [(number: UInt64, turn: Turn)] = []
        var last: UInt64 = 0
    }

    private let state = Locked(State())

    /// Nobody has the place.
    package init() {}

    /// Whether nobody has the place or waits for it.
    package var isFree: Bool { state.withLock { !$0.isTaken } }

    /// Waits for the place; whoever gets it gives it back with ``pass()``.
    ///
    /// - Throws: `CancellationError`.
    package func take() async throws {
        let number = state.withLock { state in
            state.last += 1
            return state.last
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { turn in
                let isFree = state.withLock { state in
                    if state.isTaken, !state.isOpen {
                        state.waiting.append((number, turn))
                        return false
                    }
                    state.isTaken = true
                    return true
                }
                if isFree { turn.resume() }
                // The handler may have run before there was anything to cancel.
                if Task.isCancelled { leave(number) }
            }
        } onCancel: {
            leave(number)
        }
    }

    private func leave(_ number: UInt64) {
        let turn: Turn? = state.withLock { state in
            guard let index = state.waiting.firstIndex(where: { $0.number == number }) else {
                return nil
            }
            return state.waiting.remove(at: index).turn
        }
        turn?.resume(throwing: CancellationError())
    }

    /// Gives the place to the one that has waited longest.
    package func pass() {
        let next: Turn? = state.withLock { state in
            if state.waiting.isEmpty {
                state.isTaken = false
                return nil
            }
            return state.waiting.removeFirst().turn
        }
        next?.resume()
    }

    /// Gives the place to all who wait or come, from now on.
    package func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for (_, turn) in waiting { turn.resume() }
    }
}
