import BatchEngine
import DStreamCore
import DStreamTestKit
import Synchronization
import Testing

/// The clock that all other tests rely on.
@Suite(.timeLimit(.minutes(5))) struct ManualClockTests {
    @Test func timeStandsUntilMoved() {
        let clock = ManualClock(now: .seconds(5))
        #expect(clock.now == .seconds(5) && clock.monotonicNow == .zero)
        clock.advance(by: .microseconds(1500))
        #expect(clock.now == .milliseconds(5001) && clock.monotonicNow == .microseconds(1500))
        clock.set(to: .seconds(7))
        #expect(clock.now == .seconds(7) && clock.monotonicNow == .seconds(2))
        clock.finish()
    }

    @Test func aTimeThatHasComeDoesNotSuspend() async throws {
        let clock = ManualClock(now: .seconds(1))
        try await clock.sleep(until: .seconds(1))
        try await clock.sleep(until: .zero)
        try await clock.sleep(for: .zero)
        #expect(clock.sleeperCount == 0)
    }

    @Test func sleepersWakeWhenDueAndNoSooner() async throws {
        let clock = ManualClock()
        try await withThrowingTaskGroup(of: Int.self) { group in
            for seconds in 1...3 {
                group.addTask {
                    try await clock.sleep(until: .seconds(Int64(seconds)))
                    return seconds
                }
            }
            await clock.waitForSleepers(count: 3)
            for seconds in 1...3 {
                #expect(await clock.nextSleeper() == .seconds(Int64(seconds)))
                clock.set(to: .seconds(Int64(seconds)))
                let woken = try await group.next()
                #expect(woken == seconds)
                #expect(clock.sleeperCount == 3 - seconds)
            }
        }
        clock.finish()
    }

    @Test
    func aSleepIsFoundByItsEnd() async throws {
        let clock = ManualClock(now: .seconds(10))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await clock.waitForSleeper(until: .seconds(13))
                #expect(clock.sleeperCount == 2)
            }
            for seconds in [12, 13] as [Int64] {
                group.addTask { try await clock.sleep(until: .seconds(seconds)) }
                await clock.waitForSleeper(until: .seconds(seconds))
            }
            try await group.next()
            clock.set(to: .seconds(13))
            try await group.waitForAll()
        }
        clock.finish()
    }

    @Test func oneMoveWakesInTheOrderOfDeadlineThenOfRegistration() async throws {
        let clock = ManualClock()
        let executor = SerialTestExecutor()
        let order = WakeOrder()
        let deadlines = [3, 1, 2, 1, 3]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, seconds) in deadlines.enumerated() {
                group.addTask(executorPreference: executor) {
                    try await clock.sleep(until: .seconds(Int64(seconds)))
                    order.append(index)
                }
                await clock.waitForSleepers(count: index + 1)
            }
            clock.advance(by: .seconds(3))
            try await group.waitForAll()
        }
        #expect(order.indices == [1, 3, 2, 0, 4])
    }

    @Test func deadlinesBetweenMillisecondsAreRoundedUp() async throws {
        let clock = ManualClock()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await clock.sleep(for: .microseconds(2500)) }
            let deadline = await clock.nextSleeper()
            #expect(deadline == .milliseconds(3))
            clock.set(to: deadline)
            try await group.waitForAll()
        }
    }

    @Test func aSleepCancelledOnTheWayEnds() async throws {
        let clock = ManualClock()
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { await isCancelled { try await clock.sleep(for: .seconds(1)) } }
            await clock.waitForSleepers(count: 1)
            group.cancelAll()
            #expect(await group.next() == true)
        }
        #expect(clock.sleeperCount == 0)
        clock.advance(by: .seconds(2))
        clock.finish()
    }

    @Test func aSleepCancelledBeforeItBeganEnds() async throws {
        let clock = ManualClock()
        await withTaskGroup(of: Bool.self) { group in
            group.cancelAll()
            group.addTask { await isCancelled { try await clock.sleep(for: .seconds(1)) } }
            #expect(await group.next() == true)
        }
        clock.finish()
    }

    @Test func aCancelledWaitForSleepersEnds() async {
        let clock = ManualClock(now: .seconds(4))
        await withTaskGroup(of: BatchTime.self) { group in
            group.addTask { await clock.nextSleeper() }
            group.cancelAll()
            #expect(await group.next() == .seconds(4))
        }
        clock.finish()
    }

    @Test func leftSleepersAreFound() async {
        await #expect(processExitsWith: .failure) {
            let clock = ManualClock()
            async let sleep: Void = clock.sleep(for: .seconds(1))
            await clock.waitForSleepers(count: 1)
            clock.finish()
            try await sleep
        }
    }

    @Test func aSleepOnAFinishedClockIsCancelled() async {
        let clock = ManualClock()
        clock.finish()
        #expect(await isCancelled { try await clock.sleep(for: .seconds(1)) })
        #expect(await isCancelled { try await clock.sleep(until: .zero) })
    }

    @Test func theClockCannotBeMovedBack() async {
        await #expect(processExitsWith: .failure) {
            ManualClock(now: .seconds(1)).set(to: .zero)
        }
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

/// Who woke, one after the other.
private final class WakeOrder: Sendable {
    private let recorded = Locked<[Int]>([])

    var indices: [Int] { recorded.withLock { $0 } }

    func append(_ index: Int) { recorded.withLock { $0.append(index) } }
}

/// An executor that runs one job after the other, in the order they come.
private final class SerialTestExecutor: TaskExecutor {
    private struct State {
        var jobs: [UnownedJob] = []
        var isRunning = false
    }

    private let state = Locked(State())

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let mustRun = state.withLock { state in
            state.jobs.append(job)
            if state.isRunning { return false }
            state.isRunning = true
            return true
        }
        guard mustRun else { return }
        while let next = takeJob() {
            next.runSynchronously(on: asUnownedTaskExecutor())
        }
    }

    private func takeJob() -> UnownedJob? {
        state.withLock { state in
            if state.jobs.isEmpty {
                state.isRunning = false
                return nil
            }
            return state.jobs.removeFirst()
        }
    }
}
