/// A span of batch times, from a begin to an end.
///
/// Intervals are values: two with the same begin and end are equal, and `<=` and `>=` hold for
/// them. An end before the begin is kept as given and makes a negative duration.
public struct Interval: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The time at which the interval begins.
    public let begin: BatchTime
    /// The time at which the interval ends.
    public let end: BatchTime

    /// Creates an interval from its two times.
    public init(begin: BatchTime, end: BatchTime) {
        self.begin = begin
        self.end = end
    }

    /// The time from begin to end, negative if the end comes first.
    public var duration: Duration { end - begin }

    /// Both times as text, such as `[0 ms, 1000 ms]`.
    public var description: String { "[\(begin), \(end)]" }

    /// The interval of the given length, counted from the epoch, that a time lies in.
    ///
    /// - Parameters:
    ///   - duration: the length in whole milliseconds.
    ///   - now: a time in the interval.
    /// - Throws: `zeroDuration` or `fractionOfMillisecond`.
    public static func current(
        duration: Duration, at now: BatchTime
    ) throws(BatchTimeError) -> Interval {
        let begin = try now.floor(duration)
        return Interval(begin: begin, end: begin + duration)
    }

    /// Whether the first interval ends earlier or, with the same end, begins earlier.
    ///
    /// Intervals of one length, such as the batches of a stream, are thus in order of time. Those of
    /// different lengths have an order, too, where Spark throws.
    public static func < (left: Interval, right: Interval) -> Bool {
        (left.end, left.begin) < (right.end, right.begin)
    }

    /// The interval moved later by a duration.
    public static func + (interval: Interval, duration: Duration) -> Interval {
        Interval(begin: interval.begin + duration, end: interval.end + duration)
    }

    /// The interval moved earlier by a duration.
    public static func - (interval: Interval, duration: Duration) -> Interval {
        Interval(begin: interval.begin - duration, end: interval.end - duration)
    }
}
