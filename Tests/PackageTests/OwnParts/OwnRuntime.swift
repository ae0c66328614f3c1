import DStreamTestKit
import JobGeneration
import StreamingContext

/// What a context makes by itself, put together of parts of one's own: allocator, choices and rates
/// behind a generator and a scheduler, a log behind a receiver tracker and its handler.
nonisolated enum OwnRuntime {
    static func run() async throws {
        try await received()
        try await generated()
    }

    /// Blocks that a tracker logs, and that a second one finds in the logs.
    private static func received() async throws {
        let (blocks, events, clock) = (OwnLog(), OwnLog(), ManualClock(now: .seconds(100)))
        let engine = OwnEngine()
        defer { engine.shutdown() }
        let receiver = OwnReceiver(places: [Place(country: "FR", number: 1)])
        func tracker() throws -> ReceiverTracker {
            try ReceiverTracker(
                receivers: [ReceiverRegistration(receiver, streamID: StreamID(0))],
                configuration: ReceiverConfiguration(batchInterval: .seconds(1)), engine: engine,
                clock: clock, bus: ListenerBus(), log: events
            ) { id, level, codec in
                guard let codec else { preconditionFailure("places have a codec") }
                return LoggedBlockHandler(
                    streamID: id, engine: engine, level: level, codec: codec, log: blocks,
                    clock: clock)
            }
        }
        let first = try tracker()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await first.run() }
            var writes = blocks.writes.makeAsyncIterator()
            _ = await writes.next()
            await first.stop(graceful: true)
            try await group.waitForAll()
        }
        let second = try tracker()
        try await second.recover()
        let lost = try await second.restoreBlocks()
        let found = await second.unallocatedBlocks(of: StreamID(0))
        precondition(lost.isEmpty && found.map(\.recordCount) == [1], "\(found)")
    }

    /// A batch whose blocks, choice and rate pass through parts of one's own.
    private static func generated() async throws {
        let (engine, clock, stream) = (OwnEngine(), ManualClock(), StreamID(0))
        defer { engine.shutdown() }
        let (allocator, choices) = (OwnAllocator(engine.blockStore), OwnChoices())
        let (rates, listeners, listener) = (OwnRates(), ListenerBus(), OwnListener())
        listeners.add(listener)
        let handler = OwnBlockHandler(stream, engine.blockStore, .memoryOnly, nil)
        let block = ReceivedBlock(
            id: .input(stream: 0, 1), contents: [.values(Values([1, 2, 3]))], recordCount: 3,
            byteCount: 24)
        allocator.add(try await handler.store(block))
        let graph = DStreamGraph(batchInterval: .seconds(1))
        graph.inputStream { time, context -> RDD<Int>? in
            let taken = await context.allocator.blocks(allocatedTo: time, stream: stream)
            let choice = InputChoice(.offsets, [UInt8(taken.count)])
            try await context.choices?.keep(choice, of: stream, for: time)
            return context.batch.parallelize(0..<taken.reduce(0) { $0 + $1.recordCount })
        }
        .foreachRDD { rdd, _ in
            let count = try await rdd.count()
            precondition(count == 3)
        }
        try graph.start(zeroTime: .zero)
        let scheduler = JobScheduler(
            clock: clock, listeners: listeners,
            backPressure: BackPressure(
                estimators: [stream: OwnEstimator()], initialRate: 5, controller: rates)
        ) { fatalError("\($0)") }
        let generator = JobGenerator(
            JobGenerator.Configuration(appName: "OwnRuntime", failurePolicy: .stop), source: graph,
            queue: scheduler, allocator: allocator, inputInfo: InputInfoTracker(),
            batch: BatchContext(engine: engine), choices: choices, checkpointStore: nil,
            clock: clock, listeners: listeners, standardOutput: { _ in }
        ) { fatalError("\($0)") }
        let grid = try BatchAlignment(period: .seconds(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await scheduler.run() }
            group.addTask { await generator.run(on: grid, from: .seconds(1)) }
            clock.set(to: .seconds(1))
            var batches = listener.batches.makeAsyncIterator()
            _ = await batches.next()
            let choice = await choices.choice(of: stream, for: .seconds(1))
            precondition(choice == InputChoice(.offsets, [1]), "\(choice as Any)")
            generator.stop()
            scheduler.stop()
            try await group.waitForAll()
        }
        clock.finish()
        precondition(rates.rate(of: stream) != nil)
    }
}
