import Testing

import BatchEngine

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Signals", .serialized, .timeLimit(.minutes(5)))
struct SignalTests {
    @Test("signals are received in order, and the waiter can be made again")
    func receivesSignals() async throws {
        for _ in 0..<2 {
            let waiter = try SignalWaiter([SIGUSR1, SIGUSR2])
            #expect(throws: SystemError.self) { try SignalWaiter([SIGUSR1]) }
            kill(getpid(), SIGUSR1)
            #expect(try await waiter.next() == SIGUSR1)
            kill(getpid(), SIGUSR2)
            #expect(try await waiter.next() == SIGUSR2)
        }
        var action = sigaction()
        sigaction(SIGUSR1, nil, &action)
        #if canImport(Glibc)
            #expect(action.__sigaction_handler.sa_handler == nil)
        #endif
    }

    @Test("waiting for a signal can be cancelled")
    func cancellation() async throws {
        let waiter = try SignalWaiter([SIGUSR1])
        let task = Task { try await waiter.next() }
        task.cancel()
        await #expect(throws: CancellationError.self) { _ = try await task.value }
    }
}
