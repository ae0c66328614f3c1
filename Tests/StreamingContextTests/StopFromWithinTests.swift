import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Testing

/// A stop asked for by what the stop would wait for.
@Suite("Stopping a context from within")
struct StopFromWithinTests {
    @Test(
        "from the body of an output operation, it is only asked for", .timeLimit(.minutes(5)),
        arguments: [false, true])
    func fromOutput(isGraceful: Bool) async throws {
        let harness = StreamHarness()
        let ssc = harness.ssc
        let feed = Feed<Int>()
        let seen = Notes<[Int]>()
        let reports = Notes<StreamingContext.StopReport>()
        ssc.receiverStream(feed).foreachRDD { rdd in
            let elements = try await rdd.collect()
            if elements == [1] {
                try await feed.store(block: [2])
                reports.add(await ssc.stop(graceful: isGraceful))
            }
            seen.add(elements)
        }
        try await ssc.start()
        try await feed.store(block: [1])
        harness.clock.advance(by: .seconds(1))
        try await ssc.awaitTermination()
        #expect(reports.all.map(\.isUnderWay) == [true])
        #expect(reports.all.map { "\($0)" } == ["stopping"])
        #expect(seen.all == (isGraceful ? [[1], [2]] : [[1]]))
        #expect(await ssc.stop().isUnderWay == false)
        harness.clock.finish()
    }

    @Test("from the body of a transformation", .timeLimit(.minutes(5)))
    func fromTransform() async throws {
        let harness = StreamHarness()
        let ssc = harness.ssc
        let seen = harness.record(
            harness.input([[1], [2]]).transform { rdd in
                _ = await ssc.stop(graceful: true)
                return rdd
            })
        try await ssc.start()
        harness.clock.advance(by: .seconds(1))
        try await ssc.awaitTermination()
        #expect(seen.batches.map(\.elements) == [[1]])
    }

    @Test("from a receiver", .timeLimit(.minutes(5)), arguments: [false, true])
    func fromReceiver(isGraceful: Bool) async throws {
        let harness = StreamHarness()
        let ssc = harness.ssc
        let seen = harness.record(
            ssc.receiverStream(
                Quitter(isGraceful: isGraceful) {
                    await ssc.stop(graceful: $0).isUnderWay
                }))
        try await ssc.start()
        try await ssc.awaitTermination()
        #expect(seen.batches.flatMap(\.elements) == (isGraceful ? [1] : []))
        harness.clock.finish()
    }

    @Test("a task that a listener makes waits for the end", .timeLimit(.minutes(5)))
    func fromListenersTask() async throws {
        let harness = StreamHarness()
        let ssc = harness.ssc
        _ = harness.record(harness.input([[1]]))
        let stopper = Stopper(ssc)
        ssc.addStreamingListener(stopper)
        try await ssc.start()
        harness.clock.advance(by: .seconds(1))
        let reports = try await stopper.reports.all(atLeast: 1)
        #expect(reports.map(\.isUnderWay) == [false])
        #expect(ssc.state == .stopped)
    }

    @Test("another context's stop is waited for", .timeLimit(.minutes(5)))
    func ofAnother() async throws {
        let (harness, other) = (StreamHarness(), StreamHarness())
        _ = other.record(other.input([[1]]))
        try await other.ssc.start()
        let reports = Notes<Bool>()
        harness.input([[1]]).foreachRDD { _ in
            reports.add(await other.ssc.stop().isUnderWay)
        }
        try await harness.run(batches: 1)
        #expect(reports.all == [false])
        #expect(other.ssc.state == .stopped)
    }
}

/// A receiver that stores one element and ends its context.
private struct Quitter: Receiver {
    let isGraceful: Bool
    let stop: @Sendable (Bool) async -> Bool

    func run(_ output: ReceiverOutput<Int>) async throws {
        try await output.store(block: [1])
        #expect(await stop(isGraceful))
        try await output.untilStopped()
    }
}

/// A listener that has its context stopped after the first batch.
private final class Stopper: StreamingListener {
    let reports = Notes<StreamingContext.StopReport>()
    private let ssc: StreamingContext

    init(_ ssc: StreamingContext) { self.ssc = ssc }

    func onBatchCompleted(_ batch: BatchInfo) {
        Task { reports.add(await ssc.stop()) }
    }
}
