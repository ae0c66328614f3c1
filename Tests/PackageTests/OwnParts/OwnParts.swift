import DStreamTestKit
import StreamingContext

/// A pipeline made of the parts in this folder, as somebody outside writes them, and the checks of
/// these parts.
@main
struct OwnParts {
    static func main() async throws {
        try await checkExecutionEngine { OwnEngine() }
        try checkBlockStore { OwnBlockStore() }
        let places = (0..<8).map { _ in OwnSink.Table() }
        try await checkTransactionalSink(
            elements: ["a", "b", "c", "d", "e"], make: { OwnSink(places[$0], id: "table \($0)") },
            read: { places[$0].rows })
        try await checkStores()
        try await checkRunning()
        try await OwnMistakes.check()
        try await OwnRuntime.run()
        try await pipeline()
    }

    private static func checkStores() async throws {
        try await checkWriteAheadLog({ OwnLog() })
        try await checkDeadLetterStore { OwnDeadLetters() }
        try await checkInputChoices({ OwnChoices() })
        try await checkCheckpointStore({ OwnCheckpointStore() })
        try checkStorageMedium(OwnMedium(), in: "/checked")
    }

    private static func checkRunning() async throws {
        let places = (0..<20).map { Place(country: $0 % 2 == 0 ? "FR" : "IT", number: $0) }
        try checkStreamKey(places)
        try checkStreamCodable([Visits(count: 1)])
        try checkPartitioner(ByCountry(partitionCount: 2), keys: places)
        try checkRateEstimator { OwnEstimator() }
        try await checkRateController({ OwnRates() }, read: { $0.rate(of: $1) })
        try await checkBlockAllocator({ OwnAllocator(OwnBlockStore()) }, add: { $0.add($1) })
        try await checkReceivedBlockHandler { stream, engine in
            OwnBlockHandler(stream, engine.blockStore, .memoryOnly, nil)
        }
        try await checkDirectSource(OwnSource())
        try await checkStreamClock(OwnClock(base: SystemStreamClock(), lead: .seconds(3600)))
        try await checkReceiver(OwnReceiver(places: places)) { _ in places }
    }

    private static func pipeline() async throws {
        let engine = OwnEngine()
        let (table, listener) = (OwnSink.Table(), OwnListener())
        let manual = ManualClock(now: .seconds(100))
        var components = StreamingContext.Components()
        components.clock = OwnClock(base: manual, lead: .seconds(3600))
        components.logger = OwnLogger()
        components.checkpointStore = OwnCheckpointStore()
        components.storageMedium = OwnMedium()
        components.deadLetterStore = OwnDeadLetters()
        components.makeRateEstimator = { _, _ in OwnEstimator() }
        components.makeReceivedBlockHandler = { id, level, codec in
            OwnBlockHandler(id, engine.blockStore, level, codec)
        }
        var configuration = StreamingContext.Configuration()
        configuration.backpressure.isEnabled = true
        let ssc = StreamingContext(
            appName: "OwnParts", batchInterval: .seconds(1), engine: .custom(engine),
            configuration: configuration, components: components)
        ssc.addStreamingListener(listener)
        ssc.checkpoint("/checkpoints")
        let received = ssc.receiverStream(
            OwnReceiver(places: [Place(country: "FR", number: 1), Place(country: "IT", number: 2)]))
        let visits = received.map { ($0, 1) }
            .reduceByKey(partitioner: ByCountry(partitionCount: 2)) { $0 + $1 }
            .updateStateByKey { (news: [Int], old: Visits?) -> Visits? in
                Visits(count: (old?.count ?? 0) + news.reduce(0, +))
            }
        visits.map { "\($0.0.country) \($0.1.count)" }.write(to: OwnSink(table))
        ssc.directStream(OwnSource()).stream.foreachRDD { rdd in
            let count = try await rdd.count()
            precondition(count == 0 || count == 3)
        }
        try await ssc.start()
        var batches = listener.batches.makeAsyncIterator()
        repeat {
            manual.advance(by: .seconds(1))
            _ = await batches.next()
        } while table.rows.isEmpty
        await ssc.stop(graceful: true)
        engine.shutdown()
        precondition(table.rows.contains("FR 1") && table.rows.contains("IT 1"), "\(table.rows)")
    }
}
