import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Testing

/// Receiving adapts to processing, end to end on a manual clock.
@Suite("Back-pressure")
struct BackpressureTests {
    private func configuration(initialRate: Double?) -> StreamingContext.Configuration {
        var configuration = StreamingContext.Configuration()
        configuration.backpressure.isEnabled = true
        configuration.backpressure.initialRate = initialRate
        configuration.backpressure.pid.minimumRate = 10
        return configuration
    }

    private func rates(_ events: [StreamEvent]) -> [Int64] {
        events.compactMap { event in
            if case .rateUpdated(_, let rate) = event { rate } else { nil }
        }
    }

    @Test("the rate falls when processing is slow", .timeLimit(.minutes(5)))
    func falls() async throws {
        let harness = StreamHarness(configuration: configuration(initialRate: nil))
        let clock = harness.clock
        let feed = Feed<Int>()
        harness.ssc.receiverStream(feed).foreachRDD { rdd in
            // 100 elements take half a second, then two.
            guard let first = try await rdd.first() else { return }
            clock.advance(by: .milliseconds(first))
        }
        try await harness.ssc.start()
        try await feed.store(block: [Int](repeating: 500, count: 100))
        try await harness.advance()
        #expect(rates(harness.listener.events).isEmpty, "the first batch only sets the rate")
        try await feed.store(block: [Int](repeating: 2000, count: 100))
        try await harness.advance()
        // 200 per second were processed, then 50.
        let stream = StreamID(0)
        try await harness.listener.first {
            $0 == .rateUpdated(stream: stream, elementsPerSecond: 50)
        }
        // What is stored beyond that waits: of a larger block, pieces of a fifth of a second's.
        async let held: Void = feed.store(block: [Int](repeating: 0, count: 15))
        await clock.waitForSleepers(count: 2)
        for _ in 0..<3 { try await harness.advance() }
        try await held
        await harness.ssc.stop()
        clock.finish()
    }

    @Test("the initial rate counts from the first batch on", .timeLimit(.minutes(5)))
    func initialRate() async throws {
        let harness = StreamHarness(configuration: configuration(initialRate: 10))
        let feed = Feed<Int>()
        let seen = harness.record(harness.ssc.receiverStream(feed))
        try await harness.ssc.start()
        let storing = Task { for element in 0..<100 { try await feed.store(block: [element]) } }
        for tenth in Int64(1)...30 {
            // The next batch, and the store whose turn has not come.
            await harness.clock.waitForSleepers(count: 2)
            harness.clock.advance(by: .milliseconds(100))
            if tenth % 10 == 0 {
                try await harness.listener.batchSettled(.milliseconds(tenth * 100))
            }
        }
        // A store that is not held up would be refused by the stop, with another error.
        await harness.clock.waitForSleepers(count: 2)
        await harness.ssc.stop()
        storing.cancel()
        await #expect(throws: CancellationError.self) { try await storing.value }
        let counts = seen.batches.prefix(3).map(\.elements.count)
        #expect(counts.count == 3 && counts.allSatisfy { (9...11).contains($0) }, "\(counts)")
    }

    @Test("the highest rate bounds the initial one", .timeLimit(.minutes(5)))
    func highestRate() async throws {
        var configuration = configuration(initialRate: 1000)
        configuration.receiver.rate = RateLimiter.Configuration(maximumRate: 4)
        let harness = StreamHarness(configuration: configuration)
        let feed = Feed<Int>()
        let seen = harness.record(harness.ssc.receiverStream(feed))
        try await harness.ssc.start()
        async let held: Void = feed.store(block: [1, 2, 3, 4, 5, 6])
        // One passes at once, and each further after a quarter of a second.
        for quarter in 1...5 {
            await harness.clock.waitForSleepers(count: 2)
            harness.clock.advance(by: .milliseconds(250))
            if quarter == 4 { try await harness.listener.batchSettled(.seconds(1)) }
        }
        try await held
        try await harness.advance()
        #expect(seen.batches.flatMap(\.elements) == [1, 2, 3, 4, 5, 6])
        // The fifth comes with the tick.
        #expect((4...5).contains(seen.batches.first?.elements.count ?? 0))
        await harness.ssc.stop()
        harness.clock.finish()
    }

    @Test("switched off, nothing is slowed down", .timeLimit(.minutes(5)))
    func off() async throws {
        let harness = StreamHarness()
        let clock = harness.clock
        let feed = Feed<Int>()
        harness.ssc.receiverStream(feed).foreachRDD { rdd in
            if try await !rdd.isEmpty() { clock.advance(by: .seconds(5)) }
        }
        try await harness.ssc.start()
        for _ in 0..<3 {
            try await feed.store(block: [Int](repeating: 0, count: 1000))
            try await harness.advance()
        }
        #expect(rates(harness.listener.events).isEmpty)
        await harness.ssc.stop()
    }
}
