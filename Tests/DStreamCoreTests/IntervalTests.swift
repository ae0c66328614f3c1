import DStreamCore
import Testing

/// Intervals as values.
@Suite struct IntervalTests {
    private let first = Interval(begin: .seconds(1), end: .seconds(2))

    @Test func equalIntervalsCompareAsEqual() {
        let same = Interval(begin: .seconds(1), end: .seconds(2))
        #expect(first == same && first <= same && first >= same)
        #expect(!(first < same) && !(first > same))
    }

    @Test func laterIntervalsAreGreater() {
        #expect(first < first + .seconds(1))
        #expect(first - .seconds(1) < first)
    }

    /// Spark throws; a comparison in Swift cannot, and sorting needs one for all intervals.
    @Test func intervalsOfDifferentLengthsAreInOrderOfTheirEnds() {
        let longer = Interval(begin: .zero, end: .seconds(2))
        #expect(longer < first && first > longer && longer <= first && !(longer == first))
        let later = Interval(begin: .milliseconds(1900), end: .milliseconds(2100))
        #expect(first < later && longer < later)
        #expect([later, first, longer].sorted() == [longer, first, later])
    }

    @Test func theCurrentIntervalHoldsTheTime() throws {
        let current = try Interval.current(duration: .seconds(1), at: .milliseconds(1999))
        #expect(current == first)
        #expect(throws: BatchTimeError.self) {
            try Interval.current(duration: .zero, at: .zero)
        }
    }

    @Test func anEndBeforeTheBeginMakesANegativeDuration() {
        #expect(Interval(begin: .seconds(2), end: .zero).duration == .seconds(-2))
    }
}
