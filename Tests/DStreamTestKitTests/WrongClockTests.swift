import DStreamCore
import DStreamTestKit
import Synchronization
import Testing

@Suite("Clocks are checked", .timeLimit(.minutes(5)))
struct WrongClockTests {
    @Test("ours keep their promises")
    func right() async throws {
        try await checkStreamClock(SystemStreamClock(), unit: .milliseconds(2))
        let clock = ManualClock()
        try await checkStreamClock(clock, unit: .seconds(1)) { duration, sleepers in
            await clock.waitForSleepers(count: sleepers)
            clock.advance(by: duration)
        }
        clock.finish()
    }

    @Test(
        "wrong ones are noticed",
        arguments: zip(
            WrongClock.Fault.allCases,
            [
                "now does not go back", "monotonicNow does not go back", "does not end early",
                "a monotonic sleep does not end early", "that has come returns without suspending",
                "it ended as if its deadline had come", "with CancellationError as soon as",
            ]))
    func fault(_ fault: WrongClock.Fault, promise: String) async {
        let isSlow = fault == .sleepsForThePast
        let failure = await failure {
            try await checkStreamClock(
                WrongClock(fault), unit: .milliseconds(20),
                patience: isSlow ? .milliseconds(100) : .seconds(60))
        }
        #expect(failure.contains(promise))
    }
}

final class WrongClock: StreamClock {
    enum Fault: CaseIterable {
        case goesBack, goesBackMonotonically, wakesEarly, wakesEarlyMonotonically
        case sleepsForThePast, hidesCancellation, throwsOthers
    }
    struct Woken: Error {}

    private let base = SystemStreamClock()
    private let fault: Fault
    private let readings = Mutex(0)

    init(_ fault: Fault) { self.fault = fault }

    /// Every third time a while.
    private var step: Duration {
        readings.withLock { readings in
            readings += 1
            return .seconds(readings % 3)
        }
    }

    var now: BatchTime { fault == .goesBack ? base.now - step : base.now }
    var monotonicNow: Duration {
        fault == .goesBackMonotonically ? base.monotonicNow - step : base.monotonicNow
    }

    func sleep(until deadline: BatchTime) async throws {
        if fault == .sleepsForThePast {
            try await base.sleep(until: max(deadline, base.now + .seconds(3600)))
        }
        try await end(early: .wakesEarly) { try await base.sleep(until: deadline) }
    }

    func sleep(untilMonotonic deadline: Duration) async throws {
        try await end(early: .wakesEarlyMonotonically) {
            try await base.sleep(untilMonotonic: deadline)
        }
    }

    private func end(early: Fault, _ body: () async throws -> Void) async throws {
        if fault == early { return }
        do { try await body() } catch {
            if fault == .throwsOthers { throw Woken() }
            if fault != .hidesCancellation { throw error }
        }
    }
}
