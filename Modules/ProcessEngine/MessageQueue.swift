internal import BatchEngine
internal import Synchronization

/// Messages that wait for the one task that takes them.
final class MessageQueue: Sendable {
    private struct State {
        var messages: [[UInt8]] = []
        var end: (any Error)?
        var waiting: CheckedContinuation<[UInt8], any Error>?
    }

    private let state = Locked(State())

    /// Adds a message; without effect after the end.
    func put(_ message: [UInt8]) {
        let waiting: CheckedContinuation<[UInt8], any Error>? = state.withLock { state in
            guard state.end == nil else { return nil }
            guard let waiting = state.waiting else {
                state.messages.append(message)
                return nil
            }
            state.waiting = nil
            return waiting
        }
        waiting?.resume(returning: message)
    }

    /// Says that nothing more comes; the first reason counts, and messages at hand are still taken.
    func end(_ reason: any Error) {
        let waiting = state.withLock { state in
            state.end = state.end ?? reason
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume(throwing: reason)
    }

    /// Waits for a message.
    ///
    /// - Throws: the reason of the end, `CancellationError`.
    func next() async throws -> [UInt8] {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome: Result<[UInt8], any Error>? = state.withLock { state in
                    if !state.messages.isEmpty { return .success(state.messages.removeFirst()) }
                    if let end = state.end { return .failure(end) }
                    state.waiting = continuation
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
                // The handler may have run before there was anything to cancel.
                if Task.isCancelled { cancel() }
            }
        } onCancel: {
            cancel()
        }
    }

    private func cancel() {
        let waiting = state.withLock { state in
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume(throwing: CancellationError())
    }
}
