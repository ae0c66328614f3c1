/// The time that identifies a batch, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// Arithmetic never traps: results beyond the range of `Int64` milliseconds stay at its ends, and
/// operations on a grid of times (`floor`, `isMultiple`, `until`, `to`) throw for a step that makes
/// no grid. Where the period is known to be good, `BatchAlignment` offers the same without throwing.
public struct BatchTime: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The time in milliseconds since the epoch.
    public let milliseconds: Int64

    /// Creates a time.
    ///
    /// - Parameter milliseconds: milliseconds since the epoch, of either sign.
    @inlinable
    public init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    /// The epoch itself.
    public static let zero = BatchTime(milliseconds: 0)

    /// The largest number of times that `until` and `to` make: 2^24.
    public static let listCountMaximum = 1 << 24

    /// The time the given number of milliseconds after the epoch.
    @inlinable
    public static func milliseconds(_ count: Int64) -> BatchTime {
        BatchTime(milliseconds: count)
    }

    /// The time the given number of seconds after the epoch, at the end of the range if beyond it.
    public static func seconds(_ count: Int64) -> BatchTime {
        BatchTime(milliseconds: count.saturatingMultiply(1000))
    }

    /// The time as text, such as `1000 ms`.
    public var description: String { "\(milliseconds) ms" }

    /// Whether the first time is earlier than the second.
    @inlinable
    public static func < (left: BatchTime, right: BatchTime) -> Bool {
        left.milliseconds < right.milliseconds
    }
}

extension BatchTime {
    /// The time later by a duration, whose fraction of a millisecond is dropped.
    public static func + (time: BatchTime, duration: Duration) -> BatchTime {
        BatchTime(milliseconds: time.milliseconds.saturatingAdd(duration.milliseconds))
    }

    /// The time earlier by a duration, whose fraction of a millisecond is dropped.
    public static func - (time: BatchTime, duration: Duration) -> BatchTime {
        BatchTime(milliseconds: time.milliseconds.saturatingSubtract(duration.milliseconds))
    }

    /// The duration from the second time to the first, negative if the first is earlier.
    ///
    /// Exact for all times: a `Duration` has the range.
    public static func - (left: BatchTime, right: BatchTime) -> Duration {
        .milliseconds(left.milliseconds) - .milliseconds(right.milliseconds)
    }
}

extension BatchTime {
    /// The multiple of a duration next to this time, towards the epoch.
    ///
    /// Times before the epoch are thus moved later, as in Spark: -1 ms at 1 s gives 0 ms.
    /// `BatchAlignment.latestTime(notAfter:)` is the one that never gives a later time.
    ///
    /// - Parameter duration: the step, in whole milliseconds; its sign does not matter.
    /// - Throws: `zeroDuration` or `fractionOfMillisecond`.
    public func floor(_ duration: Duration) throws(BatchTimeError) -> BatchTime {
        try floor(duration, zeroTime: .zero)
    }

    /// The multiple of a duration, counted from a zero time, next to this time, towards that zero.
    ///
    /// - Parameters:
    ///   - duration: the step, in whole milliseconds; its sign does not matter.
    ///   - zeroTime: the time from which multiples are counted.
    /// - Throws: `zeroDuration` or `fractionOfMillisecond`.
    public func floor(
        _ duration: Duration, zeroTime: BatchTime
    ) throws(BatchTimeError) -> BatchTime {
        let step = Int128(try duration.gridMilliseconds())
        let distance = Int128(milliseconds) - Int128(zeroTime.milliseconds)
        let floored = distance / step * step + Int128(zeroTime.milliseconds)
        return BatchTime(milliseconds: Int64(clamping: floored))
    }

    /// Whether this time is a whole number of durations from the epoch.
    ///
    /// - Parameter duration: the step, in whole milliseconds; its sign does not matter.
    /// - Throws: `zeroDuration` or `fractionOfMillisecond`.
    public func isMultiple(of duration: Duration) throws(BatchTimeError) -> Bool {
        milliseconds.isMultiple(of: try duration.gridMilliseconds())
    }

    /// The times from this one up to, but without, an end, one step apart.
    ///
    /// - Parameters:
    ///   - end: the time before which the list ends; with a negative step, after which.
    ///   - step: the distance of the times, in whole milliseconds, of either sign.
    /// - Returns: the times in order, none if the end lies against the step.
    /// - Throws: `zeroDuration`, `fractionOfMillisecond`, or `tooManyTimes`.
    /// - Complexity: linear in the number of times.
    public func until(
        _ end: BatchTime, by step: Duration
    ) throws(BatchTimeError) -> [BatchTime] {
        try list(to: end, by: step, includingEnd: false)
    }

    /// The times from this one up to, and with, an end, one step apart.
    ///
    /// - Parameters:
    ///   - end: the last time, if a whole number of steps away.
    ///   - step: the distance of the times, in whole milliseconds, of either sign.
    /// - Returns: the times in order, none if the end lies against the step.
    /// - Throws: `zeroDuration`, `fractionOfMillisecond`, or `tooManyTimes`.
    /// - Complexity: linear in the number of times.
    public func to(_ end: BatchTime, by step: Duration) throws(BatchTimeError) -> [BatchTime] {
        try list(to: end, by: step, includingEnd: true)
    }

    private func list(
        to end: BatchTime, by step: Duration, includingEnd: Bool
    ) throws(BatchTimeError) -> [BatchTime] {
        let stepMilliseconds = Int128(try step.gridMilliseconds())
        let distance = Int128(end.milliseconds) - Int128(milliseconds)
        if distance == 0 { return includingEnd ? [self] : [] }
        guard (distance > 0) == (stepMilliseconds > 0) else { return [] }
        let steps = distance / stepMilliseconds
        let reachesEnd = distance % stepMilliseconds == 0
        let count = reachesEnd && !includingEnd ? steps : steps + 1
        guard count <= Int128(BatchTime.listCountMaximum) else {
            throw BatchTimeError(
                code: .tooManyTimes,
                message: "\(count) times from \(self) to \(end) by \(stepMilliseconds) ms")
        }
        // The last of them lies between the two ends, so no sum leaves the range.
        return (0..<Int(count)).map { index in
            BatchTime(
                milliseconds: Int64(Int128(milliseconds) + Int128(index) * stepMilliseconds))
        }
    }
}
