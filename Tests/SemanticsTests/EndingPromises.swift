import BatchEngine
import DStreamCore
import DStreamTestKit
import Dispatch
import ReceiverRuntime
import StreamingContext
import Testing

/// Promises S13 to S16 of `Docs/Semantics.md`.
@Suite("Ending, and keys")
struct EndingPromises {
    @Test("S13: a graceful stop processes what was received", .timeLimit(.minutes(5)))
    func drained() async throws {
        let harness = StreamHarness()
        let feeds = [FeedReceiver<Int>(), FeedReceiver<Int>()]
        let seen = harness.record(
            harness.ssc.union(feeds.map { harness.ssc.receiverStream($0) }))
        try await harness.ssc.start()
        for (number, feed) in feeds.enumerated() {
            try await feed.store(block: [number])
            try await feed.output().store(contentsOf: [10 + number, 20 + number])
        }
        let report = await harness.ssc.stop(graceful: true)
        #expect(report.isDrained && report.drainedRecordCount == 6)
        #expect(seen.batches.flatMap(\.elements).sorted() == [0, 1, 10, 11, 20, 21])
    }

    @Test("S13: what was not drained by the deadline is reported", .timeLimit(.minutes(5)))
    func undrained() async throws {
        let harness = StreamHarness()
        let feed = FeedReceiver<Int>()
        let (isRunning, never) = (TestGate(), TestGate())
        harness.ssc.receiverStream(feed).foreachRDD { _ in
            isRunning.open()
            try await never.wait()
        }
        try await harness.ssc.start()
        try await feed.store(block: [1, 2])
        harness.clock.advance(by: .seconds(1))
        try await isRunning.wait()
        try await feed.store(block: [3])
        async let report = harness.ssc.stop(graceful: true, deadline: .milliseconds(500))
        await harness.clock.waitForSleepers(count: 2)
        harness.clock.advance(by: .milliseconds(500))
        let result = await report
        #expect(!result.isDrained)
        #expect(result.pendingBatches.first == .seconds(1))
        #expect(result.undrainedRecordCount == 3)
        #expect(harness.errors.map(\.code) == [.drainIncomplete])
    }

    @Test("S14: leaving run() means that everything has ended", .timeLimit(.minutes(5)))
    func ended() async throws {
        let harness = StreamHarness()
        let feed = FeedReceiver<Int>()
        _ = harness.record(
            harness.ssc.receiverStream(feed).union(
                harness.ssc.receiverStream(ScriptedReceiver<Int>([.fail(Boom())]))))
        let running = Task { try await harness.ssc.run() }
        try await feed.output().store(1)
        try await harness.advance()
        try await harness.listener.first(\.isReceiverRestarting)
        running.cancel()
        await #expect(throws: CancellationError.self) { try await running.value }
        let count = harness.listener.events.count
        // Traps if anybody still sleeps; nothing is told after the end.
        harness.clock.finish()
        #expect(harness.listener.events.count == count)
        #expect(StreamingContext.getActive() !== harness.ssc)
    }

    @Test("S14: a closure that never returns is left, and reported", .timeLimit(.minutes(5)))
    func abandoned() async throws {
        let harness = StreamHarness()
        let isRunning = TestGate()
        let semaphore = DispatchSemaphore(value: 0)
        harness.input([[1]], partitions: 1).foreachPartition { _, _ in
            isRunning.open()
            semaphore.block()
        }
        let running = Task { try await harness.ssc.run() }
        try await harness.listener.first { event in
            if case .streamingStarted = event { true } else { false }
        }
        harness.clock.advance(by: .seconds(1))
        try await isRunning.wait()
        running.cancel()
        let driver = Task {
            while !Task.isCancelled {
                let next = await harness.clock.nextSleeper()
                if next > harness.clock.now { harness.clock.set(to: next) }
            }
        }
        await #expect(throws: CancellationError.self) { try await running.value }
        driver.cancel()
        await driver.value
        let report = await harness.ssc.stop()
        #expect(report.abandoned.count == 1)
        #expect(report.abandoned.first?.hasPrefix("foreachPartition at ") == true)
        #expect(report.abandoned.first?.hasSuffix("partition 0") == true)
        semaphore.signal()
        harness.clock.finish()
    }

    @Test("S14: a commit that never returns is left, and its sink", .timeLimit(.minutes(5)))
    func abandonedCommit() async throws {
        let harness = StreamHarness()
        let sink = StuckSink()
        harness.input([[1]], partitions: 1).write(to: sink)
        try await harness.ssc.start()
        harness.clock.advance(by: .seconds(1))
        try await sink.isCommitting.wait()
        async let stopping = harness.ssc.stop(deadline: .seconds(100))
        // No further than to the deadline: much later, nobody would wait for the run itself.
        await harness.clock.waitForSleeper(until: .seconds(101))
        harness.clock.set(to: .seconds(101))
        let report = await stopping
        #expect(report.abandoned.count == 1)
        // Whoever has it closes it, should the commit return after all.
        sink.semaphore.signal()
        try await sink.isClosed.wait()
    }

    @Test("S15: keys are compared by bytes, zeros are one key", .timeLimit(.minutes(5)))
    func keys() async throws {
        let harness = StreamHarness()
        let words = harness.record(
            harness.input([["\u{E9}", "e\u{301}", "\u{E9}"]]).map { ($0, 1) }.reduceByKey(+))
        let numbers = harness.record(
            harness.input([[0.0, -0.0, 1.0]]).map { ($0, 1) }.reduceByKey(+))
        try await harness.run(batches: 1)
        let counted = words.batches.flatMap(\.elements).map { (Array($0.0.utf8), $0.1) }
        #expect(counted.count == 2)
        #expect(counted.first { $0.0 == [0xC3, 0xA9] }?.1 == 2)
        #expect(counted.first { $0.0 == [0x65, 0xCC, 0x81] }?.1 == 1)
        #expect(numbers.batches.flatMap(\.elements).map(\.1).sorted() == [1, 2])
    }

    /// The hashes of some keys, each of them for ever.
    static var hashes: [UInt64] {
        [
            "".stableHash, "word".stableHash, "longer than sixteen bytes".stableHash,
            0.stableHash, (-1).stableHash, UInt8(7).stableHash, true.stableHash, 1.5.stableHash,
            [1, 2].stableHash, Optional("x").stableHash, Character("x").stableHash,
        ]
    }

    @Test("S16: hashes of keys are the same in every process and run", .timeLimit(.minutes(5)))
    func hashes() async throws {
        #expect(Self.hashes == Self.golden)
        await #expect(processExitsWith: .success) {
            precondition(EndingPromises.hashes == EndingPromises.golden)
        }
    }

    static let golden: [UInt64] = [
        2_302_960_717_771_869_484, 208_546_880_271_123_748, 15_146_618_767_056_225_168,
        2_302_960_717_771_869_484, 16_138_016_335_675_288_880, 12_604_543_301_149_421_355,
        4_105_396_388_567_933_506, 520_849_434_829_836_769, 14_161_516_414_117_859_234,
        14_800_317_279_245_729_828, 13_900_527_310_862_921_140,
    ]
}

extension DispatchSemaphore {
    /// Blocks the thread, in a context that should not be.
    func block() { wait() }
}

/// A sink whose commit does not return before it is let go.
private final class StuckSink: TransactionalSink {
    let id = "stuck"
    let (isCommitting, isClosed) = (TestGate(), TestGate())
    let semaphore = DispatchSemaphore(value: 0)

    func recover(slide: Duration) async throws -> CommittedBatches { CommittedBatches() }

    func prepare(
        _ elements: PartitionChunks<Int>, _ task: TaskContext
    ) async throws -> Int { task.partition }

    func commit(_ prepared: [Int], batch: BatchTime) async throws {
        isCommitting.open()
        semaphore.block()
    }

    func discard(_ prepared: [Int], batch: BatchTime) async {}

    func close() async { isClosed.open() }
}
