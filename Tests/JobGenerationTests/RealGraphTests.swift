import BatchEngine
import DStreamCore
import DStreamTestKit
import JobGeneration
import Synchronization
import Testing

/// A declared graph on the local engine, through generator and scheduler.
@Suite(.timeLimit(.minutes(5))) struct RealGraphTests {
    @Test func batchesOfADeclaredGraphRunAndErrorsNameTheOperatorOfTheTask() async throws {
        let clock = ManualClock()
        let trace = Trace()
        let errors = ErrorLog()
        let listeners = ListenerBus()
        let graph = DStreamGraph(batchInterval: .seconds(1))
        let input = graph.inputStream { time, context -> RDD<Int>? in
            context.batch.parallelize(0..<Int(time.milliseconds / 1000))
        }
        input
            .map { (value: Int) throws -> Int in
                if value == 2 { throw Boom("two") }
                return value * 10
            }
            .foreachRDD { rdd, time in
                trace.note("\(time.text): \(try await rdd.collect())")
            }
        try graph.start(zeroTime: .zero)

        let engine = LocalEngine(slots: 1)
        defer { engine.shutdown() }
        let scheduler = JobScheduler(
            JobScheduler.Configuration(failurePolicy: .continue), clock: clock,
            listeners: listeners,
            errorSink: { error in
                errors.add(error)
                trace.note("error")
            })
        let generator = JobGenerator(
            JobGenerator.Configuration(appName: "test", failurePolicy: .continue), source: graph,
            queue: scheduler, allocator: NoBlocks(), inputInfo: InputInfoTracker(),
            batch: BatchContext(engine: engine, maxTaskFailures: 2), checkpointStore: nil,
            clock: clock, listeners: listeners, standardOutput: { _ in },
            errorSink: { errors.add($0) })
        let grid = try BatchAlignment(period: .seconds(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await scheduler.run() }
            group.addTask { await generator.run(on: grid, from: .seconds(1)) }
            clock.set(to: .seconds(3))
            await trace.expect(["1000: [0]", "2000: [0, 10]", "error"])
            try await generator.drain()
            scheduler.stop()
            try await group.waitForAll()
        }
        clock.finish()
        let error = try #require(errors.all.first)
        #expect(errors.all.count == 1)
        #expect(error.code == .outputFailed)
        #expect(error.batchTime == .seconds(3))
        #expect(error.site?.name == "map")
        #expect(error.message.contains("foreachRDD at"))
        #expect(error.underlying as? Boom == Boom("two"))
        #expect(await generator.pendingBatches == [.seconds(3)])
        #expect(await scheduler.pendingBatches == [.seconds(3)])
    }
}
