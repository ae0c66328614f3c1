internal import BatchEngine
public import DStreamCore
internal import Synchronization

/// A clock that moves only when told to, for tests.
///
/// ## Ordering
/// A move wakes every sleeper whose deadline it reaches, in the order of their deadlines and, for equal
/// ones, in the order in which they began to sleep. All of them find the clock at its new time.
///
/// ## Isolation
/// May be used from any task. Nothing here polls or sleeps: who waits is woken by what it waits for.
///
/// ## Cancellation
/// A cancelled sleep leaves at once with `CancellationError`, also if it was cancelled before it began.
/// A cancelled wait for sleepers returns. A clock cannot know that nobody will sleep any more: where
/// that may be, give the test a time limit.
public final class ManualClock: StreamClock {
    private let state: Locked<ManualClockState>

    /// Creates a clock that stands at a time.
    public init(now: BatchTime = .zero) {
        state = Locked(ManualClockState(start: now))
    }

    /// The time the clock stands at.
    public var now: BatchTime { state.withLock { $0.now } }

    /// The time of day by which files would be stamped: that of the clock, and what
    /// ``stepWall(by:)`` has added.
    public var wallNow: BatchTime { state.withLock { $0.now + $0.wallOffset } }

    /// Sets the machine's time of day on or back, as an operator or a time server does; `now` and
    /// sleeps do not follow.
    public func stepWall(by duration: Duration) { state.withLock { $0.wallOffset += duration } }

    /// How far the clock has been moved since its creation.
    public var monotonicNow: Duration { state.withLock { $0.elapsed } }

    /// The number of sleeps under way.
    public var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    /// Moves the clock on and wakes whoever is due.
    ///
    /// - Parameter duration: how far, zero or more.
    /// - Precondition: the duration is not below zero.
    public func advance(by duration: Duration) {
        precondition(duration >= .zero, "a clock cannot be moved back, by \(duration)")
        perform(state.withLock { $0.move(to: $0.elapsed + duration) })
    }

    /// Moves the clock to a time and wakes whoever is due.
    ///
    /// - Parameter time: where to, not before `now`.
    /// - Precondition: the time is not before `now`.
    public func set(to time: BatchTime) {
        perform(
            state.withLock { state in
                precondition(
                    time >= state.now, "a clock cannot be moved back, \(state.now) to \(time)")
                return state.move(to: max(state.elapsed, time - state.start))
            })
    }

    /// Suspends until the clock has been moved to a deadline.
    public func sleep(until deadline: BatchTime) async throws {
        try await sleep { deadline - $0.start }
    }

    /// Suspends until the clock has been moved on so far since its creation.
    public func sleep(untilMonotonic deadline: Duration) async throws {
        try await sleep { _ in deadline }
    }

    /// Waits until at least one sleep is under way.
    ///
    /// - Returns: the earliest deadline, rounded up to a whole millisecond, so that setting the clock to
    ///   it wakes that sleeper. If the waiting task is cancelled, the present time.
    public func nextSleeper() async -> BatchTime {
        while !Task.isCancelled {
            await waitForSleepers(count: 1)
            // The sleeper may have been cancelled before this task came to look.
            if let deadline = state.withLock({ $0.earliestDeadline }) { return deadline }
        }
        return now
    }

    /// Waits until a number of sleeps are under way at once, or the waiting task is cancelled.
    ///
    /// - Parameter count: how many at least.
    public func waitForSleepers(count: Int) async {
        await wait { _ in .count(count) }
    }

    /// Waits until a sleep is under way that ends at a time, or the waiting task is cancelled.
    ///
    /// Others may be under way that end earlier; setting the clock to that time ends all of them.
    ///
    /// - Parameter deadline: when the sleep ends.
    public func waitForSleeper(until deadline: BatchTime) async {
        await wait { .deadline(deadline - $0.start) }
    }

    private func wait(for wanted: (ManualClockState) -> ManualClockState.Wanted) async {
        let (id, wanted) = state.withLock { state in
            precondition(!state.isFinished, "the clock is finished")
            return (state.makeID(), wanted(state))
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                perform(state.withLock { $0.beginWait(id, for: wanted, continuation) })
            }
        } onCancel: {
            perform(state.withLock { $0.cancel(id) })
        }
    }

    /// Ends the use of the clock and checks that nobody was left behind.
    ///
    /// A later sleep leaves at once with `CancellationError`: nobody will move the clock. What still
    /// runs then has begun to sleep after the check, which no check can see; a trap there would end
    /// the process for a task that is just about to end, and name no test.
    ///
    /// - Precondition: no sleep and no wait is under way; a later wait traps.
    public func finish() {
        state.withLock { state in
            let deadlines = state.sleepers.map { "\(state.time(of: $0.deadline))" }
            precondition(
                deadlines.isEmpty && state.waiters.isEmpty,
                "left behind: sleepers until \(deadlines), \(state.waiters.count) waiting for some")
            state.isFinished = true
        }
    }

    private func sleep(until deadline: (ManualClockState) -> Duration) async throws {
        let (id, wakeTime) = state.withLock { ($0.makeID(), deadline($0)) }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                perform(state.withLock { $0.beginSleep(id, until: wakeTime, continuation) })
            }
        } onCancel: {
            perform(state.withLock { $0.cancel(id) })
        }
    }

    /// Carries out what was decided under the lock, outside of it.
    private func perform(_ actions: [ManualClockState.Action]) {
        for action in actions {
            switch action {
            case .wake(let continuation): continuation.resume()
            case .cancel(let continuation): continuation.resume(throwing: CancellationError())
            case .endWait(let continuation): continuation.resume()
            }
        }
    }
}
