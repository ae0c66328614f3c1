import BatchEngine
import Synchronization
import Testing

/// A place that one task at a time has.
@Suite("Turns", .timeLimit(.minutes(5)))
struct TurnsTests {
    private final class Order: Sendable {
        let numbers = Locked<[Int]>([])
    }

    @Test("those who wait get the place in the order of asking, but for who has left")
    func order() async throws {
        let turns = Turns()
        let order = Order()
        #expect(turns.isFree)
        try await turns.take()
        #expect(!turns.isFree)
        var tasks: [Task<Void, any Error>] = []
        for number in 0..<5 {
            // It waits when the call returns.
            tasks.append(
                Task.immediate {
                    try await turns.take()
                    order.numbers.withLock { $0.append(number) }
                    turns.pass()
                })
        }
        tasks[1].cancel()
        await #expect(throws: CancellationError.self) { try await tasks.remove(at: 1).value }
        turns.pass()
        for task in tasks { try await task.value }
        #expect(order.numbers.withLock { $0 } == [0, 2, 3, 4])
        #expect(turns.isFree)
    }

    @Test("a task that was cancelled before does not wait")
    func cancelled() async throws {
        let turns = Turns()
        try await turns.take()
        let task = Task.immediate {
            withUnsafeCurrentTask { $0?.cancel() }
            try await turns.take()
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        turns.pass()
        #expect(turns.isFree)
    }

    @Test("once it is open, all who wait or come have it, even if they were cancelled")
    func open() async throws {
        let turns = Turns()
        try await turns.take()
        let tasks = (0..<3).map { _ in Task.immediate { try await turns.take() } }
        turns.open()
        tasks[0].cancel()
        for task in tasks { try await task.value }
        try await turns.take()
    }
}
