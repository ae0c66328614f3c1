internal import BatchEngine

/// The clock of the machine.
///
/// The time of day is read once, at creation, and from then on follows the steady clock: a step of the
/// machine's wall clock (time synchronisation, an operator's hand) neither repeats nor skips a batch.
/// In return `now` keeps whatever error the wall clock had at that moment.
///
/// Sleeping is exact to about 0.1 ms on an idle Linux machine, and to 1 ms elsewhere. After the machine
/// was suspended, a sleep ends at most 10 s late.
public struct SystemStreamClock: StreamClock {
    /// Where sleeping costs no change of thread; what runs there must never block.
    ///
    /// nil: the system starts no more threads.
    package static var thread: (any TaskExecutor)? {
        do { try IOThread.shared.prepare() } catch { return nil }
        return IOThread.shared
    }

    private let steady = ContinuousClock()
    private let origin: ContinuousClock.Instant
    private let wallAtOrigin: Duration

    /// Creates a clock, reading the machine's time of day by which batches are named.
    public init() {
        // The two readings are taken as close together as can be: of a few tries, the quickest.
        let clock = steady
        var best = Self.anchor(clock)
        for _ in 0..<4 {
            let candidate = Self.anchor(clock)
            if candidate.uncertainty < best.uncertainty { best = candidate }
        }
        origin = best.instant
        wallAtOrigin = best.wall
    }

    /// The present time of day.
    public var now: BatchTime {
        BatchTime(milliseconds: (wallAtOrigin + monotonicNow).milliseconds)
    }

    /// The time since this clock was created; it includes time the machine was suspended.
    public var monotonicNow: Duration {
        origin.duration(to: steady.now)
    }

    /// The machine's time of day, with every step of its clock.
    public var wallNow: BatchTime { BatchTime(milliseconds: SystemTime.wall().milliseconds) }

    /// Suspends until `now` is no longer before a deadline.
    public func sleep(until deadline: BatchTime) async throws {
        let sinceOrigin = Duration.milliseconds(deadline.milliseconds) - wallAtOrigin
        try await sleep(untilMonotonic: sinceOrigin)
    }

    /// Suspends until `monotonicNow` is no longer before a deadline.
    public func sleep(untilMonotonic deadline: Duration) async throws {
        try Task.checkCancellation()
        while true {
            let remaining = deadline - monotonicNow
            if remaining <= .zero { return }
            // In bounded pieces: timers stand still while the machine is suspended.
            try await IOThread.shared.sleep(for: min(remaining, Self.sleepMaximum))
        }
    }

    private static let sleepMaximum = Duration.seconds(10)

    private static func anchor(
        _ clock: ContinuousClock
    ) -> (instant: ContinuousClock.Instant, wall: Duration, uncertainty: Duration) {
        let before = clock.now
        let wall = SystemTime.wall()
        let uncertainty = before.duration(to: clock.now)
        return (before + uncertainty / 2, wall, uncertainty)
    }
}
