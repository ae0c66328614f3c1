import BatchEngine
import DStreamCore
import DStreamTestKit
import ProcessEngine
import StreamingContext
import Synchronization
import Testing

/// What an engine does with workers that a script ends.
@Suite(.timeLimit(.minutes(5))) struct EngineBoundaryTests {
    private struct NoGood: Error {}

    private static let lost = WorkerLost(description: "lost")

    @Test("what a body's closures add counts once, however often the task is tried")
    func sumsOfBodies() async throws {
        let script = WorkerScript(atMessage: { if $0 < 2 { throw Self.lost } })
        let harness = script.harness()
        let sum = Accumulator<Int>()
        let numbers = harness.input([[1, 2, 3]], partitions: 1)
        let added = numbers.transform { rdd in
            rdd.map { number in
                sum.add(number)
                return (number % 2, number)
            }
        }
        let output = harness.record(added.reduceByKey(+))
        try await harness.run(batches: 1)
        #expect(harness.errors.isEmpty)
        #expect(output.batches.first?.elements.map(\.1).sorted() == [2, 4])
        #expect(sum.value == 6)
    }

    @Test("a worker that does not start again is a failed try")
    func failedStarts() async throws {
        let script = WorkerScript(
            atStart: { if $0 == 1 || $0 == 2 { throw Self.lost } },
            atMessage: { if $0 == 0 { throw Self.lost } })
        let harness = script.harness()
        let output = harness.record(harness.input([[(1, 2), (1, 3)]]).reduceByKey(+))
        try await harness.run(batches: 1)
        #expect(harness.errors.isEmpty)
        #expect(output.batches.first?.elements.map(\.1) == [5])
        #expect(script.starts == 4)
    }

    @Test("what keeps the first workers from starting is why the engine cannot be used")
    func failedPreparation() async {
        let script = WorkerScript(atStart: { _ in
            throw SystemError(call: "mkdtemp", errno: 28, subject: "/tmp")
        })
        let engine = script.engine()
        let error = await #expect(throws: EngineError.self) {
            try await engine.prepare(EngineProgram())
        }
        #expect(error?.code == .workersUnusable)
        #expect(error?.message.contains("mkdtemp") == true)
    }

    @Test("the workers of an earlier program end, and none start after a shutdown")
    func severalPrograms() async throws {
        let engine = ProcessEngine(Self.loopback)
        let sources = [GatedSource(), GatedSource()]
        for source in sources {
            engine.sources.withLock { $0 = { _ in source } }
            source.gate.set()
            try await engine.prepare(EngineProgram())
        }
        #expect(sources.map(\.link.hasEnded) == [true, false])
        engine.shutdown()
        #expect(sources[1].link.hasEnded)
        let error = await #expect(throws: EngineError.self) {
            try await engine.prepare(EngineProgram())
        }
        #expect(error?.code == .stopped)
        #expect(sources.map(\.starts) == [1, 1])
    }

    @Test("a task is not done in the driver because the engine was shut down")
    func shutDown() async throws {
        let ending = Locked<ProcessEngine?>(nil)
        let script = WorkerScript(atMessage: { _ in
            ending.withLock { $0 }?.shutdown()
            throw Self.lost
        })
        let calls = Locked(0)
        let harness = StreamHarness(
            engine: .made {
                let engine = script.engine()
                ending.withLock { $0 = engine }
                return engine
            })
        let pairs = harness.input([[1, 2]]).map { number in
            calls.withLock { $0 += 1 }
            return (number, 1)
        }
        _ = harness.record(pairs.reduceByKey(+))
        await #expect(throws: StreamError.self) { try await harness.run(batches: 1) }
        #expect(harness.errors.count == 1)
        #expect(calls.withLock { $0 } == 0)
    }

    @Test("tasks that wait when their stage fails do not run")
    func failedStage() async throws {
        let script = WorkerScript()
        let harness = script.harness(maxTaskFailures: 1)
        let pairs = harness.input([Array(1...40)], partitions: 20).map { number -> (Int, Int) in
            throw NoGood()
        }
        _ = harness.record(pairs.reduceByKey(+))
        await #expect(throws: StreamError.self) { try await harness.run(batches: 1) }
        #expect(harness.errors.count == 1)
        // One more may have had its turn before the failure was known.
        #expect(script.sizes.count <= 2)
    }

    @Test("a closure that throws costs no table")
    func tablesAfterFailures() async throws {
        let script = WorkerScript()
        let harness = script.harness()
        let isFirst = Atomic<Bool>(true)
        let first = (0..<1000).map { ("key \($0)", 1) }
        let input = harness.input([first, [("key 1", 1), ("key 2", 1)], [("key 2", 5)]])
        let spec = StateSpec.function { (key: String, one: Int?, state: State<Int>) in
            let sum = (state.getOption() ?? 0) + (one ?? 0)
            try state.update(sum)
            if key == "key 2", sum == 2, isFirst.exchange(false, ordering: .relaxed) {
                throw NoGood()
            }
            return (key, sum)
        }
        let output = harness.record(input.mapWithState(spec).mapped)
        try await harness.ssc.start()
        try await harness.advance()
        let before = script.sizes.count
        try await harness.advance()
        try await harness.advance()
        await harness.ssc.stop()
        #expect(harness.errors.isEmpty)
        let hasThrown = !isFirst.load(ordering: .relaxed)
        #expect(hasThrown)
        #expect(output.batches.dropFirst().map { $0.elements.map(\.1) } == [[2, 2], [7]])
        let later = script.sizes.dropFirst(before)
        #expect(!later.isEmpty && later.allSatisfy { $0 < 1000 }, "\(later)")
    }

    @Test("a task that reads a table is not sent what the table's batch made")
    func snapshots() async throws {
        let script = WorkerScript()
        let harness = script.harness()
        let pairs = (0..<1000).map { ("key \($0)", 1) }
        let spec = StateSpec.function { (key: String, one: Int?, state: State<Int>) in
            try state.update(one ?? 0)
            return (key, 1)
        }
        let running = harness.input([pairs]).mapWithState(spec)
        let sums = running.stateSnapshots().map { ("all", $0.1) }.reduceByKey(+)
        let output = harness.record(sums)
        try await harness.run(batches: 1)
        #expect(harness.errors.isEmpty)
        #expect(output.batches.first?.elements.map(\.1) == [1000])
        #expect(script.sizes.count { $0 > 1000 } == 3, "\(script.sizes)")
    }

    @Test("a strict engine that nobody prepared runs no closure in the driver")
    func unprepared() async throws {
        var configuration = ProcessEngine.Configuration(workers: 1)
        let lenient = ProcessEngine(configuration)
        defer { lenient.shutdown() }
        let doubled = BatchContext(engine: lenient).parallelize([1, 2]).map { $0 * 2 }
        #expect(try await doubled.collect() == [2, 4])
        configuration.isStrict = true
        let strict = ProcessEngine(configuration)
        defer { strict.shutdown() }
        let context = BatchContext(engine: strict)
        let error = await #expect(throws: EngineError.self) {
            try await context.parallelize([1, 2]).map { $0 * 2 }.collect()
        }
        #expect(error?.code == .refused)
        #expect(try await context.parallelize([1, 2]).collect() == [1, 2])
    }

    @Test("a stage in the driver is told of with its batch")
    func driverStages() async throws {
        let harness = WorkerScript().harness()
        let clock = harness.clock
        harness.input([[1, 2, 3]]).foreachRDD { rdd, _ in
            clock.advance(by: .milliseconds(300))
            _ = try await rdd.map { ($0, 1) }.reduceByKey(+).collect()
        }
        try await harness.run(batches: 1)
        let times = harness.listener.events.compactMap { event in
            if case .stageRanInDriver(let time, _) = event { time.milliseconds } else { nil }
        }
        #expect(!times.isEmpty)
        #expect(times.allSatisfy { $0 == 1000 })
    }

    private static var loopback: ProcessEngine.Configuration {
        var configuration = ProcessEngine.Configuration(workers: 1)
        configuration.isLoopback = true
        return configuration
    }
}
