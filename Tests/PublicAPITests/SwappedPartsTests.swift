import BatchEngine
import DStreamTestKit
import FaultTolerance
import JobGeneration
import StreamingContext
import Synchronization
import Testing

/// A clock of a user's own: another one, an hour ahead.
private struct AheadClock: StreamClock {
    let base: ManualClock
    let lead = Duration.seconds(3600)

    var now: BatchTime { base.now + lead }
    var monotonicNow: Duration { base.monotonicNow }

    func sleep(until deadline: BatchTime) async throws {
        try await base.sleep(until: deadline - lead)
    }
    func sleep(untilMonotonic deadline: Duration) async throws {
        try await base.sleep(untilMonotonic: deadline)
    }
}

/// An engine of a user's own: it counts what the real one does.
private final class CountingEngine: ExecutionEngine {
    let base: LocalEngine
    let requests = Locked(0)
    let bodies = Locked<[String]>([])

    init(blockStore: any BlockStore = MemoryBlockStore()) {
        base = LocalEngine(LocalEngine.Configuration(slots: 2), blockStore: blockStore)
    }

    var capabilities: EngineCapabilities { base.capabilities }
    var defaultParallelism: Int { base.defaultParallelism }
    var blockStore: any BlockStore { base.blockStore }

    func run(
        _ request: StageRequest,
        receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        requests.withLock { $0 += 1 }
        try await base.run(request, receive: receive)
    }

    func perform(
        _ label: String, _ body: @escaping @concurrent @Sendable () async throws -> Void
    ) async throws {
        bodies.withLock { $0.append(label) }
        try await base.perform(label, body)
    }

    func abandon(reason: String) -> [String] { base.abandon(reason: reason) }
    func shutdown() { base.shutdown() }
}

/// A store of a user's own: it notes what is put into the real one.
private final class NotingStore: BlockStore {
    let base = MemoryBlockStore()
    let noted = Locked<[BlockID]>([])

    var usage: BlockStoreUsage { base.usage }

    func put(
        _ id: BlockID, _ contents: [PartitionData], level: StorageLevel, codec: ErasedCodec?
    ) throws {
        noted.withLock { $0.append(id) }
        try base.put(id, contents, level: level, codec: codec)
    }

    func get(_ id: BlockID) throws -> [PartitionData]? { try base.get(id) }
    func elementCount(of id: BlockID) -> Int? { base.elementCount(of: id) }
    func remove(_ id: BlockID) { base.remove(id) }
}

/// A handler of a user's own: it refuses blocks with a zero.
private struct StrictHandler: ReceivedBlockHandler {
    struct Refused: Error {}
    let base: BlockStoreHandler

    func store(_ block: ReceivedBlock) async throws -> StoredBlock {
        if block.elements(of: Int.self).contains(0) { throw Refused() }
        return try await base.store(block)
    }

    func remove(_ blocks: [StoredBlock]) async { await base.remove(blocks) }
}

/// A logger of a user's own.
private final class KeepingLogger: DiagnosticLogger {
    let lines = Locked<[String]>([])

    func log(
        level: DiagnosticLevel, _ message: @autoclosure () -> String, metadata: [String: String]
    ) {
        let line = "[\(level)] \(message())"
        lines.withLock { $0.append(line) }
    }
}

/// A listener of a user's own.
private final class Counter: StreamingListener {
    let counts = Locked<(batches: Int, records: Int, others: Int)>((0, 0, 0))

    func onEvent(_ event: StreamEvent) {
        switch event {
        case .batchSettled: counts.withLock { $0.others += 1 }
        default: dispatch(event)
        }
    }

    func onBatchCompleted(_ batch: BatchInfo) {
        counts.withLock { counts in
            counts.batches += 1
            counts.records += batch.recordCount
        }
    }
}

@Suite("Parts that a user swaps", .timeLimit(.minutes(5)))
struct SwappedPartsTests {
    @Test("a clock")
    func clock() async throws {
        let clock = ManualClock()
        var components = StreamingContext.Components()
        components.clock = AheadClock(base: clock)
        let ssc = StreamingContext(
            appName: "swapped", batchInterval: .seconds(1), components: components)
        let listener = RecordingListener()
        ssc.addStreamingListener(listener)
        let times = Locked<[BatchTime]>([])
        ssc.inputStream { _, context in context.batch.parallelize([1]) }.foreachRDD { _, time in
            times.withLock { $0.append(time) }
        }
        try await ssc.start()
        clock.advance(by: .seconds(1))
        try await listener.batchSettled(.seconds(3601))
        await ssc.stop()
        #expect(times.withLock { $0 } == [.seconds(3601)])
    }

    @Test("an engine")
    func engine() async throws {
        let engine = CountingEngine()
        let harness = StreamHarness(engine: .custom(engine))
        let seen = harness.record(
            harness.input([["a b", "a"]]).flatMap { $0.words() }.map { ($0, 1) }.reduceByKey(+))
        try await harness.run(batches: 1)
        #expect(seen.batches.first?.elements.count == 2)
        #expect(engine.requests.withLock { $0 } > 0)
        #expect(engine.bodies.withLock { $0 }.contains { $0.hasPrefix("foreachRDD at ") })
        // Not the context's: it takes work afterwards.
        #expect(try await harness.ssc.batchContext.parallelize([1, 2]).count() == 2)
        engine.shutdown()
    }

    @Test("an engine, on whose threads states are migrated")
    func migratingEngine() async throws {
        let store = InMemoryCheckpointStore()
        func run(
            at start: Int64, _ program: (DStream<(String, Int)>) -> Void
        ) async throws -> [String] {
            let engine = CountingEngine()
            var components = StreamHarness.quietComponents
            components.checkpointStore = store
            let harness = StreamHarness(
                startTime: .seconds(start), engine: .custom(engine), components: components)
            program(harness.input([[("a", 1)], [("a", 1)]], from: .seconds(1)))
            let directory = try FileSystem.createTemporaryDirectory(prefix: "swapped")
            defer { try? FileSystem.removeTree(directory) }
            let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                harness.ssc
            }
            try await harness.run(batches: 1)
            #expect(ssc.isRecovered == (start > 0))
            engine.shutdown()
            return engine.bodies.withLock { $0 }
        }
        let first = try await run(at: 0) { words in
            words.updateStateByKey { $0.reduce($1 ?? 0, +) }.foreachRDD { _ in }
        }
        #expect(!first.contains("recovery of state"))
        let second = try await run(at: 1) { words in
            words.updateStateByKey { Double($0.reduce(0, +)) + ($1 ?? 0) }
                .migrateState { (old: Int) in Double(old) }.foreachRDD { _ in }
        }
        #expect(second.contains("recovery of state"))
    }

    @Test("an engine passes the check for engines")
    func engineCheck() async throws {
        try await checkExecutionEngine { CountingEngine() }
    }

    @Test("a block store")
    func blockStore() async throws {
        let store = NotingStore()
        let engine = CountingEngine(blockStore: store)
        let harness = StreamHarness(engine: .custom(engine))
        let feed = FeedReceiver<Int>()
        let seen = harness.record(harness.ssc.receiverStream(feed))
        try await harness.ssc.start()
        try await feed.store(block: [1, 2])
        try await harness.advance()
        await harness.ssc.stop()
        #expect(seen.batches.map(\.elements) == [[1, 2]])
        #expect(store.noted.withLock { $0.count } == 1)
        #expect(store.usage.blockCount == 0)
        try checkBlockStore { NotingStore() }
        engine.shutdown()
    }

    @Test("a block handler")
    func blockHandler() async throws {
        let engine = LocalEngine(slots: 1)
        var components = StreamHarness.quietComponents
        components.makeReceivedBlockHandler = { id, level, codec in
            StrictHandler(
                base: BlockStoreHandler(streamID: id, engine: engine, level: level, codec: codec))
        }
        let harness = StreamHarness(engine: .custom(engine), components: components)
        let feeds = [FeedReceiver<Int>(), FeedReceiver<Int>()]
        let seen = feeds.map { harness.record(harness.ssc.receiverStream($0)) }
        try await harness.ssc.start()
        try await feeds[0].store(block: [1])
        try await feeds[1].store(block: [2])
        await #expect(throws: StrictHandler.Refused.self) {
            try await feeds[0].store(block: [0, 3])
        }
        try await harness.advance()
        await harness.ssc.stop()
        #expect(seen.map { $0.batches.map(\.elements) } == [[[1]], [[2]]])
        engine.shutdown()
    }

    @Test("a block handler beside a write-ahead log is refused")
    func blockHandlerAndLog() async throws {
        let engine = LocalEngine(slots: 1)
        var components = StreamHarness.quietComponents
        components.storageMedium = SimulatedStorageMedium()
        components.makeReceivedBlockHandler = { id, level, codec in
            BlockStoreHandler(streamID: id, engine: engine, level: level, codec: codec)
        }
        let harness = StreamHarness(engine: .custom(engine), components: components)
        harness.ssc.checkpoint("/checkpoints")
        _ = harness.record(
            harness.ssc.receiverStream(FeedReceiver<Int>(), protection: .writeAheadLog))
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        #expect(error?.code == .badDeclaration)
        #expect(error?.message.contains("makeReceivedBlockHandler is set") == true)
        engine.shutdown()
    }

    /// Asks for the same rate after each batch.
    private struct FixedRate: RateEstimator {
        func compute(
            time: BatchTime, elements: Int, processingDelay: Duration, schedulingDelay: Duration
        ) -> Double? { 7 }
    }

    @Test("a rate estimator")
    func rateEstimator() async throws {
        let made = Mutex<[StreamID]>([])
        var components = StreamHarness.quietComponents
        components.makeRateEstimator = { stream, interval in
            #expect(interval == .seconds(1))
            made.withLock { $0.append(stream) }
            return FixedRate()
        }
        var configuration = StreamingContext.Configuration()
        configuration.backpressure.isEnabled = true
        let harness = StreamHarness(configuration: configuration, components: components)
        let feed = FeedReceiver<Int>()
        _ = harness.record(harness.ssc.receiverStream(feed))
        try await harness.ssc.start()
        try await feed.store(block: [1])
        try await harness.advance()
        try await harness.listener.first { event in
            if case .rateUpdated(_, let rate) = event { rate == 7 } else { false }
        }
        await harness.ssc.stop()
        #expect(made.withLock { $0 } == [StreamID(0)])
    }

    @Test("a logger")
    func logger() async throws {
        let logger = KeepingLogger()
        var components = StreamingContext.Components()
        components.logger = logger
        let configuration = try StreamingContext.Configuration(
            sparkProperties: ["spark.streaming.ui.retainedBatches": "10"])
        _ = StreamHarness(configuration: configuration, components: components)
        #expect(
            logger.lines.withLock { $0 } == [
                "[warning] harness: these settings have no effect here: "
                    + "spark.streaming.ui.retainedBatches"
            ])
    }

    @Test("a listener")
    func listener() async throws {
        let harness = StreamHarness()
        let counter = Counter()
        harness.ssc.addStreamingListener(counter)
        let feed = FeedReceiver<Int>()
        _ = harness.record(harness.ssc.receiverStream(feed))
        try await harness.ssc.start()
        try await feed.store(block: [1, 2, 3])
        for _ in 0..<2 { try await harness.advance() }
        await harness.ssc.stop()
        #expect(counter.counts.withLock { $0.batches } == 2)
        #expect(counter.counts.withLock { $0.records } == 3)
        #expect(counter.counts.withLock { $0.others } == 2)
    }

    @Test("every setting, with one import")
    func settings() {
        var configuration = StreamingContext.Configuration()
        configuration.lateBatches = .skip
        configuration.failurePolicy = .continue
        configuration.backpressure.isEnabled = true
        configuration.backpressure.pid.integral = 0.3
        configuration.receiver.rate = RateLimiter.Configuration(maximumRate: 10)
        configuration.receiver.restartDelay = .milliseconds(10)
        #expect(configuration.backpressure.pid.minimumRate == 100)
    }
}
