internal import DStreamCore
internal import BatchEngine
internal import Synchronization

/// How a context ends: for those who wait for its first error, and for those who wait for what keeps
/// later batches from running.
struct Ending: Sendable {
    /// Fails with the first error.
    let first = Termination()
    /// Fails with the first error after which no later batch runs.
    let halt = Termination()
    /// Whoever is to be notified of both.
    private let observers = SharedValue<[Observer]>([])

    /// Takes the error after which no later batch runs, if there is one, and whether all has ended.
    typealias Observer = @Sendable (_ failure: (any Error)?, _ hasEnded: Bool) -> Void

    /// Calls `observer` from now on.
    func observe(_ observer: @escaping Observer) { observers.change { $0.append(observer) } }

    /// Lets waiters throw `failure`.
    func fail(_ failure: any Error) {
        first.fail(failure)
        let error = failure as? StreamError
        // What was declared too late changes nothing, least of all the batches.
        guard error?.policy != .continue, error?.code != .alreadyStarted else { return }
        halt.fail(failure)
        for observer in observers.value { observer(failure, false) }
    }

    /// Lets waiters return, unless there was an error.
    func end() {
        first.end()
        halt.end()
        for observer in observers.value { observer(nil, true) }
    }
}

/// The end of a context: waited for by any number of tasks.
final class Termination: Sendable {
    private enum Outcome: Sendable {
        case failed(any Error)
        case ended
    }
    private struct State {
        var outcome: Outcome?
        var waiters: [Int: CheckedContinuation<Void, any Error>] = [:]
        var cancelled: Set<Int> = []
        var next = 0
    }

    private let state = Locked(State())

    /// Lets waiters throw `error`; the first error is kept.
    func fail(_ error: any Error) { settle(.failed(error)) }

    /// Lets waiters return, unless there was an error.
    func end() { settle(.ended) }

    /// How it ended: well, or with the first error; nil: not yet.
    var outcome: Result<Void, any Error>? {
        state.withLock { $0.outcome }.map(Self.result)
    }

    private func settle(_ outcome: Outcome) {
        let waiters: [CheckedContinuation<Void, any Error>] = state.withLock { state in
            if case .failed? = state.outcome { return [] }
            state.outcome = outcome
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(with: Self.result(outcome)) }
    }

    private static func result(_ outcome: Outcome) -> Result<Void, any Error> {
        switch outcome {
        case .failed(let error): .failure(error)
        case .ended: .success(())
        }
    }

    /// Waits for the end.
    ///
    /// - Throws: the first error, or `CancellationError`.
    func wait() async throws {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        defer { state.withLock { _ = $0.cancelled.remove(number) } }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let ready: Result<Void, any Error>? = state.withLock { state in
                    if let outcome = state.outcome { return Self.result(outcome) }
                    if state.cancelled.remove(number) != nil {
                        return .failure(CancellationError())
                    }
                    state.waiters[number] = continuation
                    return nil
                }
                if let ready { continuation.resume(with: ready) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                let waiter = state.waiters.removeValue(forKey: number)
                if waiter == nil { state.cancelled.insert(number) }
                return waiter
            }
            waiter?.resume(throwing: CancellationError())
        }
    }
}
