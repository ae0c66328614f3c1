import BatchEngine
import DStreamCore
import DStreamTestKit
import Dispatch
import ReceiverRuntime
import StreamingContext
import Testing

@Suite("A graceful stop")
struct GracefulStopTests {
    @Test("processes what is gathered, stored and queued", .timeLimit(.minutes(5)))
    func drains() async throws {
        let harness = StreamHarness()
        let (feed, other) = (Feed<Int>(), Feed<Int>())
        let (isHeld, release) = (TestGate(), TestGate())
        let seen = harness.record(
            harness.ssc.union([
                harness.ssc.receiverStream(feed), harness.ssc.receiverStream(other),
            ]).transform { rdd, time in
                if time == .seconds(1) {
                    isHeld.open()
                    try await release.wait()
                }
                return rdd
            })
        try await harness.ssc.start()
        try await feed.store(block: [1])
        harness.clock.advance(by: .seconds(1))
        try await isHeld.wait()
        // Two batches wait, a block belongs to none, and elements are in no block.
        harness.clock.advance(by: .seconds(2))
        try await feed.store(block: [2, 3])
        try await feed.output().store(contentsOf: [4, 5])
        try await other.output().store(6)
        async let report = harness.ssc.stop(graceful: true)
        try await harness.listener.first(\.isReceiverStopped)
        release.open()
        let result = await report
        #expect(result.isDrained && result.undrainedRecordCount == 0)
        #expect(result.drainedRecordCount == 6)
        #expect(seen.batches.flatMap(\.elements).sorted() == [1, 2, 3, 4, 5, 6])
        #expect(seen.batches.map(\.time).prefix(3) == [.seconds(1), .seconds(2), .seconds(3)])
        #expect(harness.errors.isEmpty)
        harness.clock.finish()
    }

    /// A context whose first batch blocks its thread until `semaphore` is signalled.
    private struct Blocked {
        let harness: StreamHarness
        let feed = Feed<Int>()
        let isRunning = TestGate()
        let semaphore = DispatchSemaphore(value: 0)
        let site: String

        init(inTask: Bool, configuration: StreamingContext.Configuration = .init()) {
            harness = StreamHarness(configuration: configuration)
            let stream = harness.ssc.receiverStream(feed)
            let block: @Sendable () -> Void = { [isRunning, semaphore] in
                isRunning.open()
                semaphore.wait()
            }
            let line: Int
            if inTask {
                let blocking = stream.map { element -> Int in
                    if element == 2 { block() }
                    return element
                }
                // Named by the operator with which the stage of the closure ends.
                line = #line + 1
                blocking.foreachPartition { chunks, _ in for _ in chunks {} }
            } else {
                line = #line + 1
                stream.foreachRDD { _ in block() }
            }
            let name = inTask ? "foreachPartition" : "foreachRDD"
            site = "\(name) at StreamingContextTests/GracefulStopTests.swift:\(line)"
        }

        func start() async throws {
            try await harness.ssc.start()
            try await feed.store(block: [1])
            try await feed.store(block: [2, 3])
            harness.clock.advance(by: .seconds(1))
            try await isRunning.wait()
            try await feed.store(block: [4])
        }
    }

    @Test(
        "abandons at its deadline a closure that blocks its thread", .timeLimit(.minutes(5)),
        arguments: [false, true])
    func deadline(inTask: Bool) async throws {
        let blocked = Blocked(inTask: inTask)
        let harness = blocked.harness
        try await blocked.start()
        let report = try await harness.clock.driving {
            await harness.ssc.stop(graceful: true, deadline: .seconds(5))
        }
        #expect(!report.isDrained && !report.isUnderWay)
        let text = "\(report)"
        #expect(text.contains(blocked.site), "\(text)")
        if inTask { #expect(text.contains("partition 1"), "\(text)") }
        #expect(report.pendingBatches.first == .seconds(1))
        #expect(report.undrainedRecordCount == 4)
        #expect(harness.ssc.state == .stopped)
        #expect(harness.errors.map(\.code) == [.drainIncomplete])
        let error = await #expect(throws: StreamError.self) {
            try await harness.ssc.awaitTermination()
        }
        #expect(error?.message.contains(blocked.site) == true)
        // Told by whoever is just telling something else, so maybe a little later.
        try await harness.listener.first { $0 == .drainIncomplete(elementCount: 4) }
        let refusal = await #expect(throws: EngineError.self) {
            try await harness.ssc.batchContext.parallelize([1]).count()
        }
        #expect(refusal?.code == .abandoned)
        blocked.semaphore.signal()
        harness.clock.finish()
    }

    /// Blocks whoever posts what it waits for.
    private final class BlockingListener: StreamingListener {
        let isBlocking = TestGate()
        let semaphore = DispatchSemaphore(value: 0)
        let isAwaited: @Sendable (StreamEvent) -> Bool

        init(_ isAwaited: @escaping @Sendable (StreamEvent) -> Bool) { self.isAwaited = isAwaited }

        func onEvent(_ event: StreamEvent) {
            guard isAwaited(event) else { return }
            isBlocking.open()
            semaphore.wait()
        }
    }

    @Test(
        "a listener that blocks keeps no stop from its deadline", .timeLimit(.minutes(5)),
        arguments: ["batch", "receiver"])
    func blockingListener(poster: String) async throws {
        let harness = StreamHarness()
        let listener = BlockingListener { event in
            switch event {
            case .batchCompleted: poster == "batch"
            case .receiverRestarting: poster == "receiver"
            default: false
            }
        }
        harness.ssc.addStreamingListener(listener)
        _ = harness.record(
            harness.ssc.receiverStream(ScriptedReceiver<Int>([.block([1]), .fail(Boom())])))
        try await harness.ssc.start()
        if poster == "batch" { harness.clock.advance(by: .seconds(1)) }
        try await listener.isBlocking.wait()
        let report = try await harness.clock.driving {
            await harness.ssc.stop(graceful: true, deadline: .seconds(5))
        }
        #expect(!report.isDrained && !report.isUnderWay)
        #expect(harness.ssc.state == .stopped)
        listener.semaphore.signal()
    }

    @Test("a stop that is not graceful abandons, too", .timeLimit(.minutes(5)))
    func ungraceful() async throws {
        let blocked = Blocked(inTask: true)
        try await blocked.start()
        let report = try await blocked.harness.clock.driving { await blocked.harness.ssc.stop() }
        #expect(report.abandoned.contains { $0.contains(blocked.site) })
        #expect(blocked.harness.errors.isEmpty, "nobody asked for draining")
        blocked.semaphore.signal()
    }

    @Test("run() that is cancelled returns nevertheless", .timeLimit(.minutes(5)))
    func cancelledRun() async throws {
        let blocked = Blocked(inTask: true)
        let task = Task { try await blocked.harness.ssc.run() }
        try await blocked.harness.listener.first(\.isStreamingStarted)
        try await blocked.start()
        task.cancel()
        await #expect(throws: CancellationError.self) {
            try await blocked.harness.clock.driving { try await task.value }
        }
        #expect(blocked.harness.ssc.state == .stopped)
        blocked.semaphore.signal()
        blocked.harness.clock.finish()
    }

    @Test("a body that listens to cancellation is not abandoned", .timeLimit(.minutes(5)))
    func cancelledBody() async throws {
        let engine = LocalEngine(slots: 1)
        let harness = StreamHarness(engine: .custom(engine))
        let (isRunning, never) = (TestGate(), TestGate())
        harness.input([[1]]).foreachRDD { _ in
            isRunning.open()
            try await never.wait()
        }
        try await harness.ssc.start()
        harness.clock.advance(by: .seconds(1))
        try await isRunning.wait()
        async let report = harness.ssc.stop(graceful: true, deadline: .seconds(3))
        // The deadline and the next batch; then the body ends by itself, without further time.
        await harness.clock.waitForSleepers(count: 2)
        harness.clock.advance(by: .seconds(3))
        let result = await report
        #expect(!result.isDrained && result.abandoned.isEmpty)
        #expect(result.pendingBatches.first == .seconds(1))
        #expect(try await harness.ssc.batchContext.parallelize([1, 2]).count() == 2)
        engine.shutdown()
        harness.clock.finish()
    }

    @Test("does not wait for ever for a receiver that ignores its end", .timeLimit(.minutes(5)))
    func stubbornReceiver() async throws {
        let harness = StreamHarness()
        let (isRunning, mayEnd, hasEnded) = (TestGate(), TestGate(), TestGate())
        let receiver = Stubborn(isRunning: isRunning, mayEnd: mayEnd, hasEnded: hasEnded)
        let seen = harness.record(harness.ssc.receiverStream(receiver))
        try await harness.ssc.start()
        try await isRunning.wait()
        let report = try await harness.clock.driving {
            await harness.ssc.stop(graceful: true, deadline: .seconds(2))
        }
        #expect(report.abandoned.last == "receiver Stubborn-0")
        #expect(harness.ssc.state == .stopped)
        #expect(seen.batches.flatMap(\.elements).isEmpty)
        mayEnd.open()
        try await hasEnded.wait()
    }

    @Test("reports a batch that failed", .timeLimit(.minutes(5)))
    func afterFailure() async throws {
        let harness = StreamHarness()
        let feed = Feed<Int>()
        harness.ssc.receiverStream(feed).foreachRDD { _ in throw Boom() }
        try await harness.ssc.start()
        try await feed.store(block: [1, 2])
        await #expect(throws: StreamError.self) { try await harness.advance() }
        try await feed.store(block: [3])
        let report = await harness.ssc.stop(graceful: true)
        #expect(!report.isDrained)
        #expect(report.pendingBatches == [.seconds(1)])
        #expect(report.undrainedRecordCount == 3)
        #expect(harness.errors.map(\.code) == [.outputFailed, .drainIncomplete])
    }
}

/// A receiver that ends when it likes.
private struct Stubborn: Receiver {
    let isRunning: TestGate
    let mayEnd: TestGate
    let hasEnded: TestGate

    func run(_ output: ReceiverOutput<Int>) async throws {
        isRunning.open()
        // A task of its own does not hear of the cancellation.
        await Task { try? await mayEnd.wait() }.value
        hasEnded.open()
    }
}
