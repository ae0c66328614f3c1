import DStreamCore
import JobGeneration
import Testing

/// What input streams report.
@Suite struct InputInfoTrackerTests {
    @Test func theFirstReportOfAStreamAndBatchCountsUntilItIsCleared() {
        let tracker = InputInfoTracker()
        let (first, second) = (BatchTime.seconds(1), BatchTime.seconds(2))
        tracker.report(StreamInputInfo(inputStreamID: StreamID(0), recordCount: 1), at: first)
        tracker.report(StreamInputInfo(inputStreamID: StreamID(0), recordCount: 2), at: first)
        tracker.report(StreamInputInfo(inputStreamID: StreamID(1), recordCount: 3), at: first)
        tracker.report(StreamInputInfo(inputStreamID: StreamID(0), recordCount: 4), at: second)
        #expect(
            tracker.info(at: first).mapValues(\.recordCount) == [StreamID(0): 1, StreamID(1): 3])
        tracker.report(StreamInputInfo(inputStreamID: StreamID(0), recordCount: 5), at: .zero)
        #expect(tracker.times == [.zero, first, second])
        tracker.clear(before: second)
        #expect(tracker.info(at: first).isEmpty)
        #expect(tracker.times == [second])
    }
}
