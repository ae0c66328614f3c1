import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// What follows when an output operation fails.
@Suite("Failure policies", .timeLimit(.minutes(5)))
struct FailurePolicyTests {
    @Test("an output's own policy counts, not the configuration's")
    func perOutput() async throws {
        for policy in [FailurePolicy.stop, .continue] {
            let other: FailurePolicy = policy == .stop ? .continue : .stop
            let harness = LetterRun.harness(SimulatedStorageMedium(), policy: other)
            let sink = ScriptedSink(down: [.seconds(1)])
            harness.input([["a"], ["b"]]).foreachRDD { rdd, time in
                try sink.insert(try await rdd.collect(), at: time)
            }.onFailure(then: policy)
            try await harness.ssc.start()
            try await harness.advanceAndSettle()
            if policy == .continue {
                try await harness.advanceAndSettle()
            } else {
                harness.clock.advance(by: .seconds(1))
            }
            await #expect(throws: StreamError.self) { try await harness.ssc.awaitTermination() }
            let report = await harness.ssc.stop()
            #expect(report.pendingBatches.first == .seconds(1))
            #expect(sink.rows == (policy == .continue ? ["2:b"] : []))
            let error = try #require(harness.errors.first)
            #expect(error.batchTime == .seconds(1) && error.outputOperation == 0)
            #expect(error.underlying is SinkDown && error.site?.name == "foreachRDD")
        }
    }

    @Test("a failed batch becomes a dead letter and later ones go on")
    func deadLetter() async throws {
        let medium = SimulatedStorageMedium()
        let harness = LetterRun.harness(medium)
        let sink = ScriptedSink(down: [.seconds(1)])
        harness.input([["a", "b", "c"], ["d"]]).map { $0 + "!" }.foreachRDD { rdd, time in
            try sink.insert(try await rdd.collect(), at: time)
        }.named("rows").onFailure(then: .deadLetter)
        try await harness.run(batches: 2)
        #expect(sink.rows == ["2:d!"])
        #expect(harness.errors.isEmpty)
        #expect(try await harness.ssc.awaitTermination(timeout: .zero), "nothing is thrown")
        #expect(await harness.ssc.stop().pendingBatches.isEmpty)
        let letter = try #require(try await LetterRun.letter(medium))
        #expect(
            letter.entry.id
                == DeadLetter.ID(batchTime: .seconds(1), operationID: "foreachRDD \"rows\""))
        #expect(letter.entry.attempts == 1 && letter.entry.reason.contains("the sink is down"))
        guard case .output(let elements) = letter.contents else {
            Issue.record("not the elements of the output")
            return
        }
        #expect(try elements.decode(as: String.self) == ["a!", "b!", "c!"])
        #expect(elements.partitions.count == 2)
        let heard = harness.listener.events.compactMap { event in
            switch event {
            case .outputOperationDeadLettered(let info, let count):
                "\(info.batchTime.milliseconds) \(info.failureReason ?? "") \(count)"
            case .outputOperationCompleted(let info) where info.failureReason != nil: "failed"
            default: nil
            }
        }
        #expect(heard == ["failed", "1000 the sink is down 3"])
    }

    @Test("operations of one name, and no path, are refused before anything runs")
    func refusals() async throws {
        let harness = LetterRun.harness(SimulatedStorageMedium())
        let input = harness.input([["a"]])
        input.foreachRDD { _ in }.named("rows").onFailure(then: .deadLetter)
        input.foreachRDD { _ in }.named("rows").onFailure(then: .deadLetter)
        await #expect { try await harness.ssc.start() } throws: {
            "\($0)".contains("is foreachRDD \"rows\" already")
        }
        var configuration = StreamingContext.Configuration()
        configuration.deadLetterDirectory = ""
        let context = StreamingContext(
            appName: "none", batchInterval: .seconds(1), configuration: configuration)
        await #expect { try await context.start() } throws: {
            "\($0)".contains("deadLetterDirectory is an empty path")
        }
    }

    @Test("retries come first, and their tasks have numbers of their own")
    func retriesThenDeadLetter() async throws {
        let medium = SimulatedStorageMedium()
        let harness = LetterRun.harness(medium)
        let attempts = Locked<[String]>([])
        harness.input([["a"]], partitions: 1).foreachPartition { _, task in
            attempts.withLock { $0.append("\(task.partition) \(task.attempt)") }
            throw SinkDown()
        }.onFailure(
            retry: RetryPolicy(maxAttempts: 3, initialBackoff: .milliseconds(100)),
            then: .deadLetter)
        try await harness.ssc.start()
        harness.clock.advance(by: .seconds(1))
        for wait in [Int64(100), 200] {
            let end = harness.clock.now + .milliseconds(wait)
            await harness.clock.waitForSleeper(until: end)
            harness.clock.set(to: end)
        }
        try await harness.listener.batchSettled(.seconds(1))
        await harness.ssc.stop()
        #expect(attempts.withLock { $0 } == ["0 0", "0 1", "0 2"])
        let letter = try #require(try await LetterRun.letter(medium))
        #expect(letter.entry.attempts == 3 && letter.entry.elementCount == 1)
    }

    @Test("a stop ends the wait, and the batch stays pending")
    func stopDuringBackoff() async throws {
        let harness = LetterRun.harness(SimulatedStorageMedium())
        let sink = ScriptedSink(down: [.seconds(1)])
        harness.input([["a"]]).foreachRDD { _, time in try sink.insert([], at: time) }
            .onFailure(retry: RetryPolicy(initialBackoff: .seconds(50)))
        try await harness.ssc.start()
        harness.clock.advance(by: .seconds(1))
        try await harness.listener.first { event in
            if case .outputOperationRetrying = event { true } else { false }
        }
        await harness.clock.waitForSleepers(count: 2)
        let report = await harness.ssc.stop()
        #expect(report.pendingBatches == [.seconds(1)])
        #expect(sink.tries == [.seconds(1)])
        #expect(harness.errors.isEmpty)
    }

    @Test("a poisoned record is kept with the batch's inputs", arguments: [1, 2])
    func poison(concurrentJobs: Int) async throws {
        let medium = SimulatedStorageMedium()
        let harness = LetterRun.harness(medium, concurrentJobs: concurrentJobs)
        let numbers = harness.input([[1, 2, 3], [4]])
        let others = harness.input([["x"], nil])
        let sink = ScriptedSink()
        numbers.map { number -> String in
            if number == 2 { throw SinkDown() }
            return "\(number)"
        }.union(others).foreachRDD { rdd, time in
            try sink.insert(try await rdd.collect(), at: time)
        }.onFailure(then: .deadLetter)
        let untouched = harness.record(numbers)
        try await harness.ssc.start()
        try await harness.advanceAndSettle()
        try await harness.advanceAndSettle()
        await harness.ssc.stop()
        #expect(untouched.batches.first?.elements == [1, 2, 3])
        let letter = try await FileDeadLetterStore(LetterRun.directory, on: medium).read(
            DeadLetter.ID(batchTime: .seconds(1), operationID: "foreachRDD of String #0"))
        guard case .inputs(let inputs) = letter.contents else {
            Issue.record("not the inputs")
            return
        }
        #expect(inputs.map(\.name) == ["input", "input"])
        #expect(try inputs[0].elements?.decode(as: Int.self) == [1, 2, 3])
        #expect(try inputs[1].elements?.decode(as: String.self) == ["x"])
        #expect(letter.entry.reason.contains("map at"))
    }

    @Test("of two outputs, the one that fails has the dead letter", arguments: [1, 2])
    func oneOfTwo(concurrentJobs: Int) async throws {
        let medium = SimulatedStorageMedium()
        let harness = LetterRun.harness(
            medium, policy: .deadLetter, concurrentJobs: concurrentJobs)
        let (good, bad) = (ScriptedSink(), ScriptedSink(down: [.seconds(2)]))
        let input = harness.input([["a"], ["b"], ["c"]])
        for sink in [good, bad] {
            input.foreachRDD { rdd, time in try sink.insert(try await rdd.collect(), at: time) }
        }
        try await harness.run(batches: 3)
        #expect(good.rows.sorted() == ["1:a", "2:b", "3:c"])
        #expect(bad.rows.sorted() == ["1:a", "3:c"])
        let entries = try await LetterRun.entries(medium)
        #expect(entries.map(\.id.operationID) == ["foreachRDD of String #1"])
        #expect(entries.map(\.id.batchTime) == [.seconds(2)])
    }

    @Test("a batch that cannot be generated becomes dead letters")
    func generation() async throws {
        let medium = SimulatedStorageMedium()
        let harness = LetterRun.harness(medium, policy: .deadLetter)
        let input = harness.input([["a"], ["b"]])
        let sink = ScriptedSink()
        input.transform { rdd, time in
            if time == .seconds(1) { throw SinkDown() }
            return rdd
        }.foreachRDD { rdd, time in try sink.insert(try await rdd.collect(), at: time) }
        try await harness.run(batches: 2)
        #expect(sink.rows == ["2:b"])
        #expect(harness.errors.isEmpty)
        let letter = try #require(try await LetterRun.letter(medium))
        guard case .inputs(let inputs) = letter.contents else { return }
        #expect(try inputs.first?.elements?.decode(as: String.self) == ["a"])
    }

    @Test("a dead letter that cannot be written stops the stream, with both reasons")
    func unwritable() async throws {
        for code in [StorageError.Code.full, .readOnly] {
            let medium = SimulatedStorageMedium()
            let harness = LetterRun.harness(medium)
            let sink = ScriptedSink(down: [.seconds(1)])
            harness.input([["a"], ["b"]]).foreachRDD { rdd, time in
                try sink.insert(try await rdd.collect(), at: time)
            }.onFailure(then: .deadLetter)
            try await harness.ssc.start()
            medium.fail { $0.kind == .create ? code : nil }
            try await harness.advanceAndSettle()
            harness.clock.advance(by: .seconds(1))
            await #expect(throws: StreamError.self) { try await harness.ssc.awaitTermination() }
            #expect(await harness.ssc.stop().pendingBatches == [.seconds(1)])
            let error = try #require(harness.errors.first)
            #expect(error.underlying is SinkDown)
            #expect(error.message.contains("could not be written"))
            #expect(sink.rows.isEmpty)
            #expect(try await LetterRun.entries(medium).isEmpty)
        }
    }

    @Test("what dead letters need is asked for by start()")
    func startRefuses() async throws {
        struct Opaque: Sendable {}
        let harness = StreamHarness()
        harness.input([[Opaque()]]).foreachRDD { _ in }.onFailure(then: .deadLetter)
        await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        let second = LetterRun.harness(SimulatedStorageMedium())
        second.input([[Opaque()]]).map { _ in 1 }.foreachRDD { _ in }
            .onFailure(then: .deadLetter)
        do {
            try await second.ssc.start()
            Issue.record("started")
        } catch let error as StreamError {
            #expect(error.code == .codecMissing && error.site?.name == "input")
        }
        let medium = SimulatedStorageMedium()
        medium.fail { _ in .readOnly }
        let third = LetterRun.harness(medium, policy: .deadLetter)
        third.input([[1]]).foreachRDD { _ in }
        do {
            try await third.ssc.start()
            Issue.record("started")
        } catch let error as StreamError {
            #expect(error.code == .deadLetterUnwritable)
        }
    }

    @Test("run() goes on after failures that let later batches go on; awaitTermination() throws")
    func runsOn() async throws {
        for policy in [FailurePolicy.continue, .deadLetter] {
            let harness = LetterRun.harness(SimulatedStorageMedium(), policy: policy)
            let sink = ScriptedSink(down: [.seconds(1), .seconds(3)])
            harness.input([["a"], ["b"], ["c"], ["d"]]).foreachRDD { rdd, time in
                try sink.insert(try await rdd.collect(), at: time)
            }
            let ssc = harness.ssc
            let ended = Task { try await ssc.run() }
            try await harness.listener.first(\.isStreamingStarted)
            for _ in 0..<4 { try await harness.advanceAndSettle() }
            if policy == .continue {
                let error = await #expect(throws: StreamError.self) {
                    try await ssc.awaitTermination()
                }
                #expect(error?.policy == .continue && error?.batchTime == .seconds(1))
            }
            let report = await ssc.stop(graceful: true)
            try await ended.value
            #expect(sink.rows == ["2:b", "4:d"])
            let failed: [BatchTime] = [.seconds(1), .seconds(3)]
            #expect(report.failedBatches == (policy == .continue ? failed : []))
            #expect(report.deadLetterCount == (policy == .continue ? 0 : 2))
            #expect(harness.errors.map(\.code) == report.failedBatches.map { _ in .outputFailed })
        }
        let harness = LetterRun.harness(SimulatedStorageMedium())
        harness.input([["a"]]).foreachRDD { _ in throw SinkDown() }
        let ssc = harness.ssc
        let ended = Task { try await ssc.run() }
        try await harness.listener.first(\.isStreamingStarted)
        harness.clock.advance(by: .seconds(1))
        let error = await #expect(throws: StreamError.self) { try await ended.value }
        #expect(error?.policy == .stop)
    }

    @Test("run() goes on after a late declaration, which is logged")
    func runsOnAfterLateDeclaration() async throws {
        let logger = LineLogger()
        var components = StreamHarness.quietComponents
        components.logger = logger
        let harness = StreamHarness(components: components)
        let input = harness.input([[1], [2]])
        let seen = harness.record(input)
        let ssc = harness.ssc
        let ended = Task { try await ssc.run() }
        try await harness.listener.first(\.isStreamingStarted)
        input.print()
        try await harness.advanceAndSettle()
        try await harness.advanceAndSettle()
        await ssc.stop()
        try await ended.value
        #expect(seen.batches.map(\.elements) == [[1], [2]])
        #expect(harness.errors.map(\.code) == [.alreadyStarted])
        #expect(logger.lines.all.count == 1)
        #expect(logger.lines.all.first?.contains("print was declared after") == true)
    }

    @Test("a bad retry and a late declaration are errors with their place")
    func misuse() async throws {
        let harness = StreamHarness()
        harness.input([[1]]).foreachRDD { _ in }
            .onFailure(retry: RetryPolicy(maxAttempts: 0))
        do {
            try await harness.ssc.start()
            Issue.record("started")
        } catch let error as StreamError {
            #expect(error.code == .badDeclaration && error.site?.name == "onFailure")
        }
        let second = StreamHarness()
        let operation = second.input([[1]]).foreachRDD { _ in }
        try await second.ssc.start()
        operation.onFailure(then: .continue)
        await second.ssc.stop()
        #expect(second.errors.map(\.code) == [.alreadyStarted])
    }
}
