import DStreamTestKit
import FaultTolerance
import StreamingContext
import Testing

/// No wait of the kit outlasts what it waits for.
@Suite("Waits that cannot be met", .timeLimit(.minutes(1)))
struct WaitTests {
    private struct Boom: Error, CustomStringConvertible {
        let description = "boom"
    }

    private func failure(
        _ code: WaitError.Code, _ texts: String..., of wait: () async throws -> Void
    ) async {
        let error = await #expect(throws: WaitError.self) { try await wait() }
        #expect(error?.code == code)
        for text in texts { #expect("\(error as Any)".contains(text), "\(error as Any)") }
    }

    private func durable(
        _ medium: SimulatedStorageMedium, from start: BatchTime = .zero,
        interval: Duration = .seconds(1)
    ) -> StreamHarness {
        var components = StreamHarness.quietComponents
        components.storageMedium = medium
        return StreamHarness(batchInterval: interval, startTime: start, components: components)
    }

    private func resume(_ harness: StreamHarness) async throws {
        _ = try await StreamingContext.getOrCreate(checkpointDirectory: "/c") { harness.ssc }
        try await harness.ssc.start()
    }

    @Test("advancing a context that does not run")
    func notRunning() async throws {
        let harness = StreamHarness()
        _ = harness.record(harness.input([[1]]))
        await failure(.notStarted, "the next batch", "start()") { try await harness.advance() }
        #expect(harness.clock.now == .zero)
        try await harness.run(batches: 1)
        await failure(.stopped, "the next batch") { try await harness.advance() }
        await failure(.stopped, "batch 9000 ms") {
            try await harness.listener.batchSettled(.seconds(9))
        }
        await failure(.stopped, "first at DStreamTestKitTests/WaitTests.swift") {
            try await harness.listener.first { _ in false }
        }
        try await harness.listener.batchSettled(.seconds(1))
    }

    @Test("a context that could not start")
    func startFailed() async throws {
        let harness = StreamHarness(batchInterval: .zero)
        await failure(.stopped, "an event", "badInterval") {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await harness.listener.first { event in
                        if case .streamingStarted = event { true } else { false }
                    }
                }
                await #expect(throws: StreamError.self) { try await harness.run(batches: 1) }
                try await group.waitForAll()
            }
        }
        await failure(.stopped, "badInterval") { try await harness.advance() }
    }

    @Test("a stop while a batch runs")
    func stopped() async throws {
        let harness = StreamHarness()
        let (began, never) = (TestGate(), TestGate())
        harness.input([[1]]).foreachRDD { _ in
            began.open()
            try await never.wait()
        }
        try await harness.ssc.start()
        await failure(.stopped, "batch 1000 ms") {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await harness.advance() }
                try await began.wait()
                await harness.ssc.stop()
                try await group.waitForAll()
            }
        }
    }

    @Test("a batch that fails, and those after it")
    func batchFailed() async throws {
        let harness = StreamHarness()
        harness.input([[1], [2], [3]]).foreachRDD { _, time in
            if time == .seconds(2) { throw Boom() }
        }
        try await harness.ssc.start()
        try await harness.advance()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await failure(.streamFailed, "batch 3000 ms", "batch 2000 ms", "boom") {
                    try await harness.listener.batchSettled(.seconds(3))
                }
            }
            let error = await #expect(throws: StreamError.self) { try await harness.advance() }
            #expect(error?.batchTime == .seconds(2))
            try await group.waitForAll()
        }
        await failure(.streamFailed, "batch 3000 ms", "boom") { try await harness.advance() }
        try await harness.listener.batchSettled(.seconds(2))
        await harness.ssc.stop()
    }

    @Test("a run throws the failure of a batch, and has stopped", arguments: [false, true])
    func run(continues: Bool) async throws {
        var configuration = StreamingContext.Configuration()
        configuration.failurePolicy = continues ? .continue : .stop
        let harness = StreamHarness(configuration: configuration)
        harness.input([[1], [2]]).foreachRDD { _, time in
            if time == .seconds(1) { throw Boom() }
        }
        if continues {
            try await harness.run(batches: 2)
        } else {
            let error = await #expect(throws: StreamError.self) {
                try await harness.run(batches: 2)
            }
            #expect(error?.code == .outputFailed)
        }
        #expect(harness.ssc.state == .stopped)
        #expect(harness.errors.map(\.batchTime) == [.seconds(1)])
        #expect(harness.clock.now == .seconds(continues ? 2 : 1))
    }

    @Test("a medium that crashes", arguments: [false, true])
    func crashed(isReceived: Bool) async throws {
        let medium = SimulatedStorageMedium()
        let harness = durable(medium)
        let feed = FeedReceiver<Int>()
        let stream =
            isReceived
            ? harness.ssc.receiverStream(feed, protection: .writeAheadLog)
            : harness.input([[1], [2]])
        let seen = harness.record(stream)
        try await resume(harness)
        try await harness.advance()
        medium.crash()
        if isReceived {
            let error = await #expect(throws: StreamError.self) { try await harness.advance() }
            #expect("\(error as Any)".contains("crashed"))
        } else {
            await failure(.checkpointFailed, "batch 2000 ms", "crashed") {
                try await harness.advance()
            }
            #expect(seen.batches.count == 2)
        }
        await harness.ssc.stop()
    }

    @Test("a checkpoint that fails once")
    func checkpointFailed() async throws {
        let medium = SimulatedStorageMedium()
        let harness = durable(medium)
        let seen = harness.record(harness.input([[1], [2], [3]]))
        try await resume(harness)
        try await harness.advance()
        medium.fail { $0.kind == .create ? .failed : nil }
        await failure(.checkpointFailed, "checkpoint of batch 2000 ms") {
            try await harness.advance()
        }
        medium.fail(where: nil)
        try await harness.advance()
        #expect(seen.batches.map(\.elements) == [[1], [2], [3]])
        let report = await harness.ssc.stop(graceful: true)
        #expect(report.isDrained)
    }

    @Test("batches that are shorter than checkpoints lie apart")
    func shortBatches() async throws {
        let harness = durable(SimulatedStorageMedium(), interval: .milliseconds(5))
        let seen = harness.record(harness.input([[1], [2], [3]]))
        try await resume(harness)
        for _ in 0..<3 { try await harness.advance() }
        #expect(seen.batches.map(\.elements) == [[1], [2], [3]])
        await harness.ssc.stop()
    }

    @Test("batches that an earlier run has done")
    func notDue() async throws {
        let medium = SimulatedStorageMedium()
        for run in 0..<2 {
            let harness = durable(medium)
            _ = harness.record(harness.input([[1], [2]]))
            try await resume(harness)
            if run == 0 { for _ in 0..<2 { try await harness.advance() } }
            if run == 1 {
                await failure(.notDue, "batch 1000 ms", "start time") {
                    try await harness.advance()
                }
            }
            await harness.ssc.stop()
        }
    }

    @Test("the input of a run that is recovered begins with the run")
    func ownInput() async throws {
        let medium = SimulatedStorageMedium()
        for run in 0..<2 {
            let harness = durable(medium, from: .seconds(Int64(run * 2)))
            let seen = harness.record(harness.input([["a\(run)"], ["b\(run)"]]))
            try await resume(harness)
            for _ in 0..<2 { try await harness.advance() }
            await harness.ssc.stop()
            #expect(seen.batches.map(\.elements) == [["a\(run)"], ["b\(run)"]])
        }
    }

    @Test("batches that run again have their input, or fail by name", arguments: [false, true])
    func inputAgain(isGiven: Bool) async throws {
        let medium = SimulatedStorageMedium()
        let first = durable(medium)
        first.input([[1]]).foreachRDD { _ in throw Boom() }
        try await resume(first)
        await #expect(throws: StreamError.self) { try await first.advance() }
        await first.ssc.stop()

        let second = durable(medium, from: .seconds(1))
        let seen = second.record(
            isGiven ? second.input([[1], [2]], from: .seconds(1)) : second.input([[2]]))
        try await resume(second)
        if isGiven {
            try await second.advance()
            #expect(seen.batches.map(\.elements) == [[1], [2]])
        } else {
            let error = await #expect(throws: (any Error).self) { try await second.advance() }
            #expect("\(error as Any)".contains("input(_:from:)"), "\(error as Any)")
        }
        await second.ssc.stop()
    }

    @Test("a receiver that has ended")
    func receiverEnded() async throws {
        let harness = StreamHarness()
        let feed = FeedReceiver<Int>()
        _ = harness.record(harness.ssc.receiverStream(feed))
        try await harness.ssc.start()
        try await feed.store(block: [1])
        await harness.ssc.stop()
        await failure(.receiverEnded, "run 1 of the receiver FeedReceiver") {
            try await feed.store(block: [2])
        }
    }

    @Test("a listener of a context that has ended already, and one of none")
    func listeners() async throws {
        let harness = StreamHarness()
        let early = RecordingListener()
        harness.ssc.addStreamingListener(early)
        harness.input([[1]]).foreachRDD { _ in throw Boom() }
        await #expect(throws: StreamError.self) { try await harness.run(batches: 1) }
        try await early.batchSettled(.seconds(1))
        let late = RecordingListener(of: harness.ssc)
        await failure(.stopped, "batch 1000 ms", "boom") {
            try await late.batchSettled(.seconds(1))
        }
    }

    @Test("a cancelled wait ends, also one that had not begun", arguments: [false, true])
    func cancelled(isEarly: Bool) async throws {
        let harness = StreamHarness()
        harness.input([[1]]).foreachRDD { _ in try await TestGate().wait() }
        try await harness.ssc.start()
        let clock = ManualClock()
        let waits: [@Sendable () async throws -> Void] = [
            { try await harness.advance() },
            { try await harness.listener.first { _ in false } },
            { try await harness.listener.batchSettled(.seconds(9)) },
            { try await RecordingListener().first { _ in false } },
            { _ = try await RecordingEventListener().events(atLeast: 1) },
            { _ = try await FeedReceiver<Int>().output() },
            { try await FeedReceiver<Int>().store(block: [1]) },
            { _ = try await ScriptedBlockHandler().blocks(atLeast: 1) },
            { try await TestGate().wait() },
            { try await clock.sleep(until: .seconds(1)) },
            // Those of the clock return instead.
            {
                await clock.waitForSleepers(count: 9)
                throw CancellationError()
            },
            {
                await clock.waitForSleeper(until: .seconds(9))
                throw CancellationError()
            },
        ]
        for wait in waits {
            await withTaskGroup(of: Void.self) { group in
                if isEarly { group.cancelAll() }
                group.addTask {
                    await #expect(throws: CancellationError.self) { try await wait() }
                }
                group.cancelAll()
            }
        }
        await harness.ssc.stop()
    }
}
