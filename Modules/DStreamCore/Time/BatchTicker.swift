/// The bookkeeping of a recurring timer: which times are due, in order, none skipped.
///
/// A value without a clock: whoever owns it sleeps until `nextDue` and then takes what is due. After
/// a jump of the clock every missed time is handed out, one by one.
public struct BatchTicker: Sendable, Hashable {
    /// The grid on which the times lie.
    public let alignment: BatchAlignment
    /// The next time to hand out.
    public private(set) var nextDue: BatchTime
    /// The time handed out last, nil before the first.
    public private(set) var lastTaken: BatchTime?

    /// Creates a ticker.
    ///
    /// - Parameters:
    ///   - alignment: the grid on which the times lie.
    ///   - start: the earliest time to hand out; one off the grid is moved to the next on it.
    public init(alignment: BatchAlignment, from start: BatchTime) {
        self.alignment = alignment
        nextDue =
            alignment.isAligned(start) ? start : alignment.firstTime(after: start)
    }

    /// Takes the next time if it is due.
    ///
    /// - Parameter now: the present time.
    /// - Returns: the earliest time not yet taken and not after `now`, or nil.
    public mutating func takeDue(now: BatchTime) -> BatchTime? {
        guard nextDue <= now, nextDue != lastTaken else { return nil }
        let taken = nextDue
        lastTaken = taken
        nextDue = alignment.firstTime(after: taken)
        return taken
    }

    /// How many times are due and not yet taken.
    ///
    /// - Parameter now: the present time.
    public func dueCount(now: BatchTime) -> Int64 {
        guard nextDue <= now, nextDue != lastTaken else { return 0 }
        return alignment.count(after: nextDue, through: now).saturatingAdd(1)
    }
}
