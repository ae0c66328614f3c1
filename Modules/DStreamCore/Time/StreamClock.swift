/// The only source of time: the wall clock that names batches and the steady clock that measures.
///
/// ## Ordering
/// Neither `now` nor `monotonicNow` ever goes back. Sleepers are woken in the order of their
/// deadlines; with equal deadlines, a manual clock keeps the order in which they began to sleep.
///
/// ## Isolation
/// Both readings are synchronous, cheap and may be taken from anywhere. Sleeping suspends the task and
/// blocks no thread.
///
/// ## Cancellation
/// A sleep ends with `CancellationError` as soon as its task is cancelled, also if it was cancelled
/// before the sleep began.
///
/// `checkStreamClock` of DStreamTestKit checks a clock of your own.
public protocol StreamClock: Sendable {
    /// The present time of day, as batches are named by it.
    var now: BatchTime { get }

    /// The time since an arbitrary but fixed origin, for measuring how long something took.
    var monotonicNow: Duration { get }

    /// The time of day by which this machine stamps files, as it is now.
    ///
    /// Unlike `now` it follows every step of the machine's clock, also back; by default it is `now`.
    var wallNow: BatchTime { get }

    /// Suspends until `now` is no longer before a deadline.
    ///
    /// Callers may rely on `now >= deadline` afterwards, and not on being woken at once: late wake-ups
    /// are theirs to count.
    ///
    /// - Parameter deadline: the time to wake; one that has come returns without suspending.
    /// - Throws: `CancellationError` if the task is cancelled.
    func sleep(until deadline: BatchTime) async throws

    /// Suspends until `monotonicNow` is no longer before a deadline.
    ///
    /// - Parameter deadline: the time to wake; one that has come returns without suspending.
    /// - Throws: `CancellationError` if the task is cancelled.
    func sleep(untilMonotonic deadline: Duration) async throws
}

extension StreamClock {
    /// The present time of day, for clocks that nobody sets.
    public var wallNow: BatchTime { now }

    /// Suspends until a duration has passed.
    ///
    /// - Parameter duration: how long to sleep; zero or less returns without suspending.
    /// - Throws: `CancellationError` if the task is cancelled.
    public func sleep(for duration: Duration) async throws {
        try await sleep(untilMonotonic: monotonicNow + min(duration, .seconds(Int64.max)))
    }
}
