import BatchEngine
import StreamingContext
import Synchronization

/// A receiver that stores what a test tells it to.
final class ReceiverFeed<Element: Sendable>: Receiver {
    private struct State {
        var output: ReceiverOutput<Element>?
        var waiters: [CheckedContinuation<ReceiverOutput<Element>, Never>] = []
        var runCount = 0
    }

    private let state = Locked(State())
    private let atStart: @Sendable (Int, ReceiverOutput<Element>) async throws -> Void

    var name: String { "FeedReceiver" }

    /// Makes a feed.
    ///
    /// - Parameter atStart: done at each start, with the number of the run from 1.
    init(
        atStart: @escaping @Sendable (Int, ReceiverOutput<Element>) async throws -> Void = { _, _ in
        }
    ) {
        self.atStart = atStart
    }

    func run(_ output: ReceiverOutput<Element>) async throws {
        let (number, waiters) = state.withLock { state in
            state.output = output
            state.runCount += 1
            defer { state.waiters = [] }
            return (state.runCount, state.waiters)
        }
        for waiter in waiters { waiter.resume(returning: output) }
        try await atStart(number, output)
        try await output.untilStopped()
    }

    /// Stores a block, once the receiver runs.
    func store(_ block: [Element]) async throws { try await output().store(block: block) }

    private func output() async -> ReceiverOutput<Element> {
        await withCheckedContinuation { continuation in
            let output = state.withLock { state in
                if state.output == nil { state.waiters.append(continuation) }
                return state.output
            }
            if let output { continuation.resume(returning: output) }
        }
    }
}

/// Opens once; who waits before goes on then.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Locked(State())

    func open() {
        let waiters = state.withLock { state in
            state.isOpen = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Waits until the gate is open, also when the task is cancelled.
    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiters.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }
}

/// A list that is added to from anywhere.
final class Collected<Element: Sendable>: Sendable {
    private let elements = Locked<[Element]>([])

    func append(_ element: Element) { elements.withLock { $0.append(element) } }

    /// The elements since the last call.
    func take() -> [Element] {
        elements.withLock { elements in
            defer { elements = [] }
            return elements
        }
    }
}
