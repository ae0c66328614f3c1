import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Synchronization
import Testing

/// Three times the input that a pipeline can take, on a manual clock.
@Suite("Overload")
struct OverloadTests {
    /// An output operation that takes 10 ms a record: the pipeline can take 100 in a second.
    private final class SlowOutput: Sendable {
        private let started = AsyncMonitor<[BatchTime]>([])
        private let elements = Locked<[Int]>([])

        var seen: [Int] { elements.withLock { $0 } }

        func run(_ rdd: RDD<Int>, _ clock: ManualClock) async throws {
            let numbers = try await rdd.collect()
            let end = clock.now + .milliseconds(10 * max(1, numbers.count))
            started.update { $0.append(end) }
            try await clock.sleep(until: end)
            elements.withLock { $0 += numbers }
        }

        /// When the n-th batch, from 0, will have been put out, once that is known.
        func end(of batch: Int) async throws -> BatchTime {
            try await started.wait { $0.count > batch ? $0[batch] : nil }
        }
    }

    /// Goes through time in fiftieths of a second, after each of which all is quiet.
    ///
    /// A limit that waits for longer than it must loses what its burst cannot hold.
    private struct Steps {
        let harness: StreamHarness
        let output: SlowOutput
        var now = BatchTime.zero
        var settled = 0

        var due: Int { Int(now.milliseconds / 1000) }

        mutating func advance(seconds: Int) async throws {
            for _ in 0..<50 * seconds {
                // The next batch, the source, and the output if one is under way.
                await harness.clock.waitForSleepers(count: settled < due ? 3 : 2)
                harness.clock.advance(by: .milliseconds(20))
                now = now + .milliseconds(20)
                while settled < due, try await output.end(of: settled) <= now {
                    settled += 1
                    try await harness.listener.batchSettled(.zero + .seconds(settled))
                }
            }
        }
    }

    private func completed(_ harness: StreamHarness) -> [BatchInfo] {
        harness.listener.events.compactMap { event in
            if case .batchCompleted(let batch) = event { batch } else { nil }
        }
    }

    @Test("back-pressure holds the rate and loses nothing", .timeLimit(.minutes(5)))
    func recovers() async throws {
        var configuration = StreamingContext.Configuration()
        configuration.backpressure.isEnabled = true
        configuration.backpressure.initialRate = 150
        configuration.backpressure.pid.minimumRate = 10
        let harness = StreamHarness(configuration: configuration)
        let clock = harness.clock
        let (feed, output) = (FeedReceiver<Int>(), SlowOutput())
        harness.ssc.receiverStream(feed).foreachRDD { try await output.run($0, clock) }
        try await harness.ssc.start()
        let load = Locked(300)
        let sent = Locked(0)
        let source = Task {
            while true {
                let (first, count) = (sent.withLock { $0 }, load.withLock { $0 } / 10)
                try await feed.store(block: Array(first..<first + count))
                sent.withLock { $0 += count }
                try await clock.sleep(for: .milliseconds(100))
            }
        }
        var steps = Steps(harness: harness, output: output)
        try await steps.advance(seconds: 30)
        let overload = completed(harness)
        load.withLock { $0 = 50 }
        let fell = steps.now
        try await steps.advance(seconds: 10)
        load.withLock { $0 = 0 }
        try await steps.advance(seconds: 5)

        let held = overload.suffix(10).map(\.recordCount)
        #expect((800...1100).contains(held.reduce(0, +)), "\(held)")
        let delays = overload.compactMap(\.totalDelay)
        #expect((delays.max() ?? .zero) <= .seconds(5), "\(delays)")
        let after = completed(harness).filter { $0.batchTime > fell }.prefix(5)
        #expect(after.contains { ($0.totalDelay ?? .seconds(100)) <= .seconds(1) }, "\(after)")
        #expect(output.seen == Array(0..<sent.withLock { $0 }))
        source.cancel()
        await #expect(throws: CancellationError.self) { try await source.value }
        await harness.ssc.stop()
        clock.finish()
    }
}
