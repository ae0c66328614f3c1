import DStreamCore
import Testing

/// The machine's clock, in the little that can be said of it without waiting for long.
@Suite(.timeLimit(.minutes(5))) struct SystemClockTests {
    @Test func aSleeperWakesAfterItsDeadline() async throws {
        let clock = SystemStreamClock()
        for _ in 0..<20 {
            let deadline = clock.now + .milliseconds(3)
            try await clock.sleep(until: deadline)
            #expect(clock.now >= deadline)
        }
        let start = clock.monotonicNow
        try await clock.sleep(for: .microseconds(1500))
        #expect(clock.monotonicNow - start >= .microseconds(1500))
    }

    @Test func aTimeThatHasComeDoesNotSuspend() async throws {
        let clock = SystemStreamClock()
        try await clock.sleep(until: clock.now)
        try await clock.sleep(until: BatchTime(milliseconds: .min))
        try await clock.sleep(for: .seconds(-1))
    }

    @Test func aCancelledSleepEndsAtOnceHoweverLong() async {
        let clock = SystemStreamClock()
        await withTaskGroup(of: Bool.self) { group in
            for deadline in [clock.now + .seconds(3600), BatchTime(milliseconds: .max)] {
                group.addTask { await isCancelled { try await clock.sleep(until: deadline) } }
            }
            group.addTask {
                await isCancelled { try await clock.sleep(for: .seconds(Int64.max)) }
            }
            group.cancelAll()
            for await wasCancelled in group { #expect(wasCancelled) }
        }
    }

    @Test func theWallClockIsNearThatOfTheMachine() {
        // Any time after 2020 will do: the machine's own setting is not ours to judge.
        #expect(SystemStreamClock().now > .seconds(1_577_836_800))
    }

    private func isCancelled(_ body: () async throws -> Void) async -> Bool {
        do {
            try await body()
            return false
        } catch {
            return error is CancellationError
        }
    }
}
