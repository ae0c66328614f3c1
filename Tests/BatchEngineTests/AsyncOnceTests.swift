import Testing

import BatchEngine

@Suite("A value computed once", .timeLimit(.minutes(5)))
struct AsyncOnceTests {
    @Test("the value is kept, set aside on request, and computed again")
    func keeps() async throws {
        let once = AsyncOnce<Int>()
        let computed = Counter()
        for _ in 0..<3 { #expect(try await once.value { computed.next() } == 1) }
        #expect(once.current == 1)
        once.reset { $0 == 7 }
        #expect(once.current == 1)
        once.reset()
        #expect(once.current == nil)
        #expect(try await once.value { computed.next() } == 2)
    }

    @Test("who waited for a failure sees it, who comes later computes again")
    func failure() async throws {
        let once = AsyncOnce<Int>()
        await #expect(throws: Boom.self) { try await once.value { throw Boom() } }
        #expect(try await once.value { 5 } == 5)
    }

    @Test("a caller that waits and is cancelled leaves, the computation goes on")
    func cancelledWaiter() async throws {
        let once = AsyncOnce<Int>()
        let door = Door()
        let first = Task {
            try await once.value {
                try await BlockingThreads.shared.run { door.pass() }
                return 1
            }
        }
        try await door.arrivals(1)
        let second = Task { try await once.value { 2 } }
        second.cancel()
        await #expect(throws: CancellationError.self) { try await second.value }
        door.open()
        #expect(try await first.value == 1)
    }
}
