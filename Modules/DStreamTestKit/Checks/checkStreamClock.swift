public import DStreamCore
internal import ReceiverRuntime

/// Checks that a clock keeps the promises of `StreamClock`.
///
/// - Parameters:
///   - clock: the clock.
///   - unit: the length of the sleeps, at least 2 ms; less than ten of them pass in all.
///   - patience: how long, by the machine's clock, to wait for what must happen.
///   - advance: moves a clock that does not go by itself on, once so many tasks sleep.
/// - Throws: ``CheckFailure`` saying which promise is broken.
public func checkStreamClock(
    _ clock: some StreamClock, unit: Duration = .milliseconds(20),
    patience: Duration = .seconds(30),
    advance: @escaping @Sendable (_ duration: Duration, _ sleepers: Int) async throws -> Void = {
        _, _ in
    }
) async throws {
    let check = ClockCheck(
        clock: clock, unit: unit, patience: patience, advance: advance)
    try check.readings()
    try await check.pastDeadlines()
    try await check.deadlines()
    try await check.cancellation()
    try check.readings()
}

private struct ClockCheck<Clock: StreamClock>: Sendable {
    let clock: Clock
    let unit: Duration
    let patience: Duration
    let advance: @Sendable (Duration, Int) async throws -> Void

    func readings() throws {
        var (now, monotonic) = (clock.now, clock.monotonicNow)
        for _ in 0..<10_000 {
            let (next, monotonicNext) = (clock.now, clock.monotonicNow)
            try require(next >= now, "now does not go back: from \(now) to \(next)")
            try require(
                monotonicNext >= monotonic,
                "monotonicNow does not go back: from \(monotonic) to \(monotonicNext)")
            (now, monotonic) = (next, monotonicNext)
        }
    }

    func pastDeadlines() async throws {
        let promise = "a sleep until a time that has come returns without suspending"
        try await within(promise) {
            try await clock.sleep(until: clock.now)
            try await clock.sleep(until: clock.now - unit)
            try await clock.sleep(untilMonotonic: clock.monotonicNow)
            try await clock.sleep(untilMonotonic: .zero - unit)
            try await clock.sleep(for: .zero)
            try await clock.sleep(for: .zero - unit)
        }
    }

    /// Each wakes at its deadline, whatever others wait for.
    func deadlines() async throws {
        let (start, monotonicStart) = (clock.now, clock.monotonicNow)
        try await within("a sleep ends when its deadline has come") {
            try await withThrowingTaskGroup(of: Int.self) { group in
                for number in [3, 1, 2] {
                    group.addTask {
                        try await sleep(until: start + unit * number)
                        return number
                    }
                }
                group.addTask {
                    try await sleep(untilMonotonic: monotonicStart + unit * 2)
                    return 0
                }
                var woken: Set<Int> = []
                for (sleepers, due) in [(4, [1]), (3, [2, 0]), (1, [3])] {
                    try await advance(unit, sleepers)
                    while !woken.isSuperset(of: due), let next = try await group.next() {
                        woken.insert(next)
                    }
                }
            }
        }
    }

    private func sleep(until deadline: BatchTime) async throws {
        try await clock.sleep(until: deadline)
        let now = clock.now
        try require(now >= deadline, "a sleep does not end early: \(now), not \(deadline)")
    }

    private func sleep(untilMonotonic deadline: Duration) async throws {
        try await clock.sleep(untilMonotonic: deadline)
        let now = clock.monotonicNow
        try require(
            now >= deadline, "a monotonic sleep does not end early: \(now), not \(deadline)")
    }

    func cancellation() async throws {
        let promise = "a sleep ends with CancellationError as soon as its task is cancelled"
        for isCancelledBefore in [true, false] {
            for isMonotonic in [false, true] {
                try await within(promise) {
                    try await cancelled(isBefore: isCancelledBefore, isMonotonic, promise)
                }
            }
        }
    }

    private func cancelled(
        isBefore: Bool, _ isMonotonic: Bool, _ promise: String
    ) async throws {
        let begun = AsyncMonitor(false)
        try await withThrowingTaskGroup(of: Void.self) { group in
            if isBefore { group.cancelAll() }
            group.addTask {
                begun.update { $0 = true }
                do {
                    if isMonotonic {
                        try await clock.sleep(untilMonotonic: clock.monotonicNow + .seconds(3600))
                    } else {
                        try await clock.sleep(until: clock.now + .seconds(3600))
                    }
                } catch is CancellationError {
                    return
                } catch { throw CheckFailure("\(promise), not with \(error)") }
                throw CheckFailure("\(promise); it ended as if its deadline had come")
            }
            try await begun.wait(for: { $0 })
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    private func within(
        _ promise: String, _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        try await limited(to: patience, promise, body)
    }
}
