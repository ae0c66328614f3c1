/// The grid of times that lie whole periods from a zero time.
///
/// A validated pair of zero time and period: whoever holds one can ask without handling errors. All
/// answers follow mathematical floors, also before the zero time, and stay within the range.
public struct BatchAlignment: Sendable, Hashable {
    /// The time from which periods are counted.
    public let zeroTime: BatchTime
    /// The distance of neighbouring times, above zero and in whole milliseconds.
    public let period: Duration

    private let periodMilliseconds: Int64

    /// Creates the grid.
    ///
    /// - Parameters:
    ///   - zeroTime: the time from which periods are counted.
    ///   - period: the distance of neighbouring times, above zero and in whole milliseconds.
    /// - Throws: `zeroDuration`, `negativeDuration` or `fractionOfMillisecond`.
    public init(zeroTime: BatchTime = .zero, period: Duration) throws(BatchTimeError) {
        let milliseconds = try period.gridMilliseconds()
        guard milliseconds > 0 else {
            throw BatchTimeError(
                code: .negativeDuration, message: "a period of \(milliseconds) ms is below zero")
        }
        self.zeroTime = zeroTime
        self.period = period
        self.periodMilliseconds = milliseconds
    }

    /// Whether a time lies whole periods from the zero time.
    public func isAligned(_ time: BatchTime) -> Bool {
        distance(to: time) % Int128(periodMilliseconds) == 0
    }

    /// The number of the last grid time that is not after a time; the zero time has number 0.
    public func index(of time: BatchTime) -> Int64 {
        Int64(clamping: flooredIndex(of: time))
    }

    /// The grid time with a number.
    public func time(at index: Int64) -> BatchTime {
        time(atWide: Int128(index))
    }

    /// The last grid time that is not after a time.
    public func latestTime(notAfter time: BatchTime) -> BatchTime {
        self.time(atWide: flooredIndex(of: time))
    }

    /// The first grid time after a time.
    public func firstTime(after time: BatchTime) -> BatchTime {
        self.time(atWide: flooredIndex(of: time) + 1)
    }

    /// The number of grid times after one time and up to another, 0 if that is not later.
    public func count(after start: BatchTime, through end: BatchTime) -> Int64 {
        Int64(clamping: max(0, flooredIndex(of: end) - flooredIndex(of: start)))
    }

    private func distance(to time: BatchTime) -> Int128 {
        Int128(time.milliseconds) - Int128(zeroTime.milliseconds)
    }

    private func flooredIndex(of time: BatchTime) -> Int128 {
        let parts = distance(to: time).quotientAndRemainder(dividingBy: Int128(periodMilliseconds))
        return parts.remainder < 0 ? parts.quotient - 1 : parts.quotient
    }

    private func time(atWide index: Int128) -> BatchTime {
        let milliseconds = Int128(zeroTime.milliseconds) + index * Int128(periodMilliseconds)
        return BatchTime(milliseconds: Int64(clamping: milliseconds))
    }
}

extension BatchAlignment {
    /// The first time a new timer fires: the first multiple of its period after now.
    ///
    /// - Parameters:
    ///   - now: the present time.
    ///   - period: the period of the timer, above zero and in whole milliseconds.
    /// - Throws: `zeroDuration`, `negativeDuration` or `fractionOfMillisecond`.
    public static func startTime(
        after now: BatchTime, period: Duration
    ) throws(BatchTimeError) -> BatchTime {
        try BatchAlignment(period: period).firstTime(after: now)
    }

    /// The first time a restarted timer fires: after now, whole periods from its original start.
    ///
    /// - Parameters:
    ///   - originalStart: a time at which the timer fired, or was to fire, before.
    ///   - now: the present time.
    ///   - period: the period of the timer, above zero and in whole milliseconds.
    /// - Throws: `zeroDuration`, `negativeDuration` or `fractionOfMillisecond`.
    public static func restartTime(
        originalStart: BatchTime, after now: BatchTime, period: Duration
    ) throws(BatchTimeError) -> BatchTime {
        try BatchAlignment(zeroTime: originalStart, period: period).firstTime(after: now)
    }

    /// How many batches cover a least duration: their quotient, rounded up.
    ///
    /// - Parameters:
    ///   - minimum: the duration to cover; below zero it counts as zero.
    ///   - batchInterval: the length of a batch, above zero and in whole milliseconds.
    /// - Throws: `zeroDuration`, `negativeDuration` or `fractionOfMillisecond`.
    public static func numBatchesToRemember(
        minimum: Duration, batchInterval: Duration
    ) throws(BatchTimeError) -> Int {
        let grid = try BatchAlignment(period: batchInterval)
        let covered = grid.index(of: .zero + minimum)
        let isWhole = grid.time(at: covered) - .zero >= minimum
        return Int(max(0, isWhole ? covered : covered.saturatingAdd(1)))
    }
}
