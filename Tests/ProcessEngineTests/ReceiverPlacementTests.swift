import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import ProcessEngine
import StreamingContext
import Testing

/// Where the receivers of a context run, with workers that are parts of this process.
@Suite("Placement of receivers", .timeLimit(.minutes(5))) struct ReceiverPlacementTests {
    private struct NoCodec: Sendable {}

    private let engine: ProcessEngine = {
        var configuration = ProcessEngine.Configuration(workers: 1)
        configuration.isLoopback = true
        return ProcessEngine(configuration)
    }()

    @Test("S34: what a worker receives and has acknowledged is processed, also when it ends")
    func replicated() async throws {
        defer { engine.shutdown() }
        var configuration = StreamingContext.Configuration()
        configuration.receiver.restartDelay = .zero
        let harness = StreamHarness(engine: .custom(engine), configuration: configuration)
        let feed = FeedReceiver<String>()
        let seen = harness.record(
            harness.ssc.receiverStream(feed, protection: .replicated).map { $0 + "!" })
        try await harness.ssc.start()
        try await feed.store(block: ["a", "b"])
        engine.crashService(0)
        let second = try await feed.output(run: 2)
        try await second.store(lines: LineBlock(["c", "d"]))
        try await second.store(block: ["e"])
        await harness.ssc.stop(graceful: true)
        #expect(Set(seen.batches.flatMap(\.elements)) == ["a!", "b!", "c!", "d!", "e!"])
        let infos = harness.listener.events.compactMap { event in
            if case .receiverStarted(let info) = event { info } else { nil }
        }
        #expect(infos.map(\.executorID) == ["worker", "worker"])
        #expect(harness.errors.isEmpty)
        harness.clock.finish()
    }

    @Test("S34: a worker's block is in the log before it is acknowledged")
    func logged() async throws {
        defer { engine.shutdown() }
        let medium = SimulatedStorageMedium()
        var components = StreamHarness.quietComponents
        components.storageMedium = medium
        let harness = StreamHarness(engine: .custom(engine), components: components)
        harness.ssc.checkpoint("/c")
        let feed = FeedReceiver<Int>()
        _ = harness.record(
            harness.ssc.receiverStream(feed, protection: .writeAheadLog, placement: .worker))
        try await harness.ssc.start()
        try await feed.store(block: [1, 2, 3])
        let crashed = medium.reopened(seed: 1)
        await harness.ssc.stop()
        let log = try await FileWriteAheadLog.open("/c/received/stream-0", on: crashed)
        #expect(try await log.readAll().count == 1)
        await log.close()
        harness.clock.finish()
    }

    @Test("threads run a receiver for a worker in the driver")
    func threads() async throws {
        let harness = StreamHarness(engine: .local(slots: 2))
        let feed = FeedReceiver<NoCodec>()
        let seen = harness.record(harness.ssc.receiverStream(feed, placement: .worker))
        try await harness.ssc.start()
        try await feed.store(block: [NoCodec()])
        try await harness.advance()
        await harness.ssc.stop()
        #expect(seen.batches.map(\.elements.count) == [1])
        harness.clock.finish()
    }

    @Test("what cannot be replicated is refused by name")
    func refused() async throws {
        defer { engine.shutdown() }
        let harness = StreamHarness(engine: .custom(engine))
        let ssc = harness.ssc
        ssc.receiverStream(FeedReceiver<Int>(), protection: .replicated, placement: .driver).print()
        ssc.receiverStream(FeedReceiver<NoCodec>(), placement: .worker).print()
        let error = await #expect(throws: StreamError.self) { try await ssc.start() }
        let text = "\(error as Any)"
        #expect(text.contains("use placement: .worker"))
        #expect(text.contains("the receiver runs in a worker process and NoCodec has no codec"))
        harness.clock.finish()
    }
}
