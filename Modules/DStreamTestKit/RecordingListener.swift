internal import BatchEngine
public import DStreamCore
public import StreamingContext
internal import Synchronization

/// A listener that keeps every event and lets a test wait for facts.
///
/// ## Cancellation
/// A cancelled wait throws `CancellationError`. What has come already comes first.
public final class RecordingListener: StreamingListener {
    fileprivate struct Waiter {
        let id: Int
        let awaited: Awaited
        let wake: CheckedContinuation<Void, any Error>
    }
    fileprivate enum Awaited {
        case event(OperatorSite, test: @Sendable (StreamEvent) -> Bool)
        case end(BatchTime)
    }
    fileprivate struct State {
        var events: [StreamEvent] = []
        var settled: Set<BatchTime> = []
        var waiters: [Waiter] = []
        var lastID = 0
        /// The error after which no later batch runs.
        var failure: (any Error)?
        var hasEnded = false
        /// How many events ``takeCheckpointFailure()`` has looked at.
        var inspectedCount = 0
    }

    private let state = Locked(State())

    /// Makes a listener that has heard nothing.
    ///
    /// It does not learn that a context has failed or stopped: only what is waited for ends a wait,
    /// or cancellation. ``init(of:)`` makes one that does.
    public init() {}

    /// Makes a listener of `ssc`, whose waits end with the context.
    public convenience init(of ssc: StreamingContext) {
        self.init()
        ssc.addStreamingListener(self)
        ssc.onEnding { [self] failure, hasEnded in note(failure, hasEnded: hasEnded) }
    }

    /// Keeps `event`.
    public func onEvent(_ event: StreamEvent) {
        let woken = state.withLock { state in
            state.events.append(event)
            if case .batchSettled(let time) = event { state.settled.insert(time) }
            return state.takeWaiters { $0.isMet(by: event) }
        }
        for waiter in woken { waiter.wake.resume() }
    }

    /// The events so far, in order.
    public var events: [StreamEvent] { state.withLock { $0.events } }

    /// Waits until an event for which `test` is true has come; at once when it has.
    ///
    /// - Throws: ``WaitError`` when the context was stopped; `CancellationError`.
    /// - Complexity: O(events so far).
    public func first(
        file: String = #fileID, line: UInt = #line,
        _ test: @escaping @Sendable (StreamEvent) -> Bool
    ) async throws {
        try await wait(for: .event(OperatorSite("first", file: file, line: line), test: test))
    }

    /// Waits until the batch has ended, in whatever way.
    ///
    /// - Throws: ``WaitError`` when the context was stopped, or an earlier batch has failed after
    ///   which no later one runs; `CancellationError`.
    public func batchSettled(_ time: BatchTime) async throws { try await wait(for: .end(time)) }

    /// The error after which no later batch runs; nil: there was none so far.
    var failure: (any Error)? { state.withLock { $0.failure } }

    /// The first failure of a checkpoint since the last call; nil: there was none.
    func takeCheckpointFailure() -> (time: BatchTime, message: String)? {
        state.withLock { state in
            defer { state.inspectedCount = state.events.count }
            for event in state.events[state.inspectedCount...] {
                if case .checkpointFailed(let time, let message) = event { return (time, message) }
            }
            return nil
        }
    }

    private func wait(for awaited: Awaited) async throws {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { wake in
                let ready: Result<Void, any Error>? = state.withLock { state in
                    if state.has(awaited) { return .success(()) }
                    if let error = state.obstacle(to: awaited) { return .failure(error) }
                    // The flag is set before the handler takes the lock: one sees the other.
                    if Task.isCancelled { return .failure(CancellationError()) }
                    state.waiters.append(Waiter(id: id, awaited: awaited, wake: wake))
                    return nil
                }
                if let ready { wake.resume(with: ready) }
            }
        } onCancel: {
            let cancelled = state.withLock { state in state.takeWaiters { $0.id == id } }
            for waiter in cancelled { waiter.wake.resume(throwing: CancellationError()) }
        }
    }

    /// Notes what keeps later batches from coming, or that nothing comes any more.
    private func note(_ failure: (any Error)?, hasEnded: Bool) {
        let hopeless = state.withLock { state in
            if state.failure == nil { state.failure = failure }
            if hasEnded { state.hasEnded = true }
            let hopeless = state.waiters.compactMap { waiter in
                state.obstacle(to: waiter.awaited).map { (waiter, $0) }
            }
            let ids = Set(hopeless.map(\.0.id))
            state.waiters.removeAll { ids.contains($0.id) }
            return hopeless
        }
        for (waiter, error) in hopeless { waiter.wake.resume(throwing: error) }
    }
}

extension RecordingListener.Waiter {
    fileprivate func isMet(by event: StreamEvent) -> Bool {
        switch (awaited, event) {
        case (.event(_, let test), _): test(event)
        case (.end(let batch), .batchSettled(let settled)): batch == settled
        case (.end, _): false
        }
    }
}

extension RecordingListener.State {
    fileprivate mutating func takeWaiters(
        where isTaken: (RecordingListener.Waiter) -> Bool
    ) -> [RecordingListener.Waiter] {
        let taken = waiters.filter(isTaken)
        if !taken.isEmpty { waiters.removeAll(where: isTaken) }
        return taken
    }

    fileprivate func has(_ awaited: RecordingListener.Awaited) -> Bool {
        switch awaited {
        case .event(_, let test): events.contains(where: test)
        case .end(let batch): settled.contains(batch)
        }
    }

    /// Why what is awaited cannot come any more; nil: it can.
    fileprivate func obstacle(to awaited: RecordingListener.Awaited) -> WaitError? {
        let text =
            switch awaited {
            case .event(let site, _): "an event, \(site)"
            case .end(let batch): "the end of batch \(batch)"
            }
        if hasEnded {
            return WaitError(
                .stopped, awaited: text, "the context was stopped", underlying: failure)
        }
        guard case .end(let batch) = awaited, let failed = failure as? StreamError,
            let last = failed.batchTime, last < batch
        else { return nil }
        return WaitError(
            .streamFailed, awaited: text, "no batch runs after batch \(last)", underlying: failed)
    }
}

extension StreamEvent {
    package var isCheckpointFailed: Bool {
        if case .checkpointFailed = self { true } else { false }
    }
}
