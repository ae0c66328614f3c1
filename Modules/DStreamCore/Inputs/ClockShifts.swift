/// By how much the clock of batches is ahead of the one that stamps files, now and a while ago.
///
/// Batches keep their times when the machine's clock is set. A file may have been stamped before.
struct ClockShifts: Sendable {
    /// Less is no step of a clock: it takes a while to read two.
    private static let tolerance = Duration.milliseconds(200)
    /// How many earlier ones are kept.
    private static let maximum = 8

    private var current = Duration.zero
    private var earlier: [(shift: Duration, until: BatchTime)] = []

    /// Those by which a file may have been stamped, the present one first.
    var all: [Duration] { [current] + earlier.map(\.shift) }

    /// Takes a reading.
    ///
    /// - Parameters:
    ///   - batch: the batch for which it was taken.
    ///   - window: how old files may be, and so how long an earlier one counts.
    /// - Returns: how far the machine's clock was moved since the last one; nil: it was not.
    mutating func observe(
        _ shift: Duration, at batch: BatchTime, window: Duration
    ) -> Duration? {
        earlier.removeAll { $0.until < batch }
        let step = current - shift
        guard step >= Self.tolerance || step <= .zero - Self.tolerance else { return nil }
        earlier.insert((current, batch + window), at: 0)
        if earlier.count > Self.maximum { earlier.removeLast() }
        current = shift
        return step
    }

    /// By how much `now` is ahead of `wallNow`, the two read as close together as a busy machine
    /// lets them.
    static func reading(_ clock: some StreamClock) -> Duration {
        var best: (shift: Duration, width: Duration)?
        for _ in 0..<4 {
            let before = clock.now
            let wall = clock.wallNow
            let width = clock.now - before
            if best.map({ width < $0.width }) ?? true { best = (before - wall, width) }
            if width <= .milliseconds(1) { break }
        }
        return best?.shift ?? .zero
    }
}
