import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Synchronization
import Testing

/// The list "Where we differ from Spark on purpose" of `Docs/Semantics.md`.
@Suite("Differences from Spark")
struct Differences {
    @Test("1: whichever output failed, the batch is not done", .timeLimit(.minutes(5)))
    func whicheverOutput() async throws {
        for failing in 0..<3 {
            var configuration = StreamingContext.Configuration()
            configuration.failurePolicy = .continue
            let harness = StreamHarness(configuration: configuration)
            let input = harness.input([[1]])
            for number in 0..<3 {
                input.foreachRDD { _, time in
                    if number == failing, time == .seconds(1) { throw Boom() }
                }
            }
            try await harness.run(batches: 2)
            #expect(await harness.ssc.stop().pendingBatches == [.seconds(1)])
            #expect(harness.errors.map(\.outputOperation) == [failing])
        }
    }

    @Test("2: a completed batch is not run again", .timeLimit(.minutes(5)))
    func completedOnce() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "dstreams")
        defer { try? FileSystem.removeTree(directory) }
        let times = Locked<[BatchTime]>([])
        for start in [Int64(0), 2] {
            let harness = StreamHarness(startTime: .seconds(start))
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                harness.input([[1]]).foreachRDD { _, time in
                    times.withLock { $0.append(time) }
                }
                return harness.ssc
            }
            try await harness.ssc.start()
            try await harness.advance()
            try await harness.advance()
            await harness.ssc.stop(graceful: true)
        }
        #expect(times.withLock { $0 } == [.seconds(1), .seconds(2), .seconds(3), .seconds(4)])
        let careless = StreamHarness()
        careless.ssc.checkpoint(directory)
        _ = careless.record(careless.input([[1]]))
        await #expect(throws: StreamError.self) { try await careless.ssc.start() }
    }

    @Test("3: an inverse function gives what the plain form gives", .timeLimit(.minutes(5)))
    func inverse() async throws {
        let batches = [["a", "b"], ["a"], ["c"], [], ["b", "b"], ["a"], [], ["c"]]
        let directory = try FileSystem.createTemporaryDirectory(prefix: "dstreams")
        defer { try? FileSystem.removeTree(directory) }
        for (window, slide) in [(1, 1), (3, 1), (3, 2), (1, 3), (2, 3), (4, 4)] {
            let harness = StreamHarness()
            harness.ssc.checkpoint("\(directory)/\(window)-\(slide)")
            let pairs = harness.input(batches).map { ($0, 1) }
            let (window, slide) = (Duration.seconds(window), Duration.seconds(slide))
            let plain = harness.record(
                pairs.reduceByKeyAndWindow(+, window: window, slide: slide))
            let incremental = harness.record(
                pairs.reduceByKeyAndWindow(
                    +, inverse: -, window: window, slide: slide, filter: { $0.1 > 0 }))
            try await harness.run(batches: batches.count)
            let tables = [plain, incremental].map { recorder in
                recorder.batches.map { batch in
                    Dictionary(uniqueKeysWithValues: batch.elements.map { ($0.0, $0.1) })
                }
            }
            #expect(tables[0] == tables[1], "window \(window), slide \(slide)")
            #expect(harness.errors.isEmpty)
        }
    }

    @Test("4: a state times out in the first batch after it is due", .timeLimit(.minutes(5)))
    func timeouts() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "dstreams")
        defer { try? FileSystem.removeTree(directory) }
        let harness = StreamHarness()
        harness.ssc.checkpoint(directory)
        let spec = StateSpec.function { (key: String, value: Int?, state: State<Int>) in
            if state.isTimingOut { return "\(key) timed out" }
            try state.update(value ?? 0)
            return "\(key) updated"
        }
        let seen = harness.record(
            harness.input([[("a", 1)]]).mapWithState(spec.timeout(.seconds(2))).mapped)
        try await harness.run(batches: 6)
        // Updated at 1 s, due when more than 2 s have passed; Spark would look at 10 s.
        #expect(
            seen.batches.map(\.elements) == [["a updated"], [], [], ["a timed out"], [], []])
    }

    @Test("5: files that begin with _ or . are never read", .timeLimit(.minutes(5)))
    func hiddenFiles() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "dstreams")
        defer { try? FileSystem.removeTree(directory) }
        let harness = StreamHarness(startTime: SystemStreamClock().now - .seconds(5))
        let seen = harness.record(harness.ssc.textFileStream(directory))
        try await harness.ssc.start()
        for name in ["_hidden", ".hidden", "seen"] {
            try FileSystem.writeAtomically(
                "\(directory)/\(name)", Array("\(name)\n".utf8), durability: .handedOver)
        }
        for _ in 0..<40 { try await harness.advance() }
        await harness.ssc.stop()
        #expect(seen.batches.flatMap(\.elements) == ["seen"])
        #expect(harness.errors.isEmpty)
    }

    @Test(
        "6: intervals are compared by value, rates are kept, zeros refused", .timeLimit(.minutes(5))
    )
    func intervals() async throws {
        #expect(Duration.seconds(60) == .milliseconds(60_000))
        #expect(
            Interval(begin: .seconds(1), end: .seconds(2))
                == Interval(begin: .milliseconds(1000), end: .milliseconds(2000)))
        let configuration = try StreamingContext.Configuration(
            sparkProperties: ["spark.streaming.receiver.maxRate": "30"])
        #expect(configuration.receiver.rate.maximumRate == 30)
        let harness = StreamHarness()
        harness.input([[1]]).window(.zero).foreachRDD { _ in }
        harness.input([[1]]).window(.seconds(1), slide: .zero).foreachRDD { _ in }
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        #expect(error?.parts.count == 2)
    }

    @Test("8: any number of contexts run in a process", .timeLimit(.minutes(5)))
    func contexts() async throws {
        let harnesses = (0..<5).map { _ in StreamHarness() }
        let recorders = harnesses.map { $0.record($0.input([[1], [2]])) }
        for harness in harnesses { try await harness.ssc.start() }
        #expect(harnesses.allSatisfy { $0.ssc.state == .active })
        for harness in harnesses { try await harness.advance() }
        for harness in harnesses { await harness.ssc.stop() }
        for recorder in recorders { #expect(recorder.batches.map(\.elements) == [[1]]) }
    }

    @Test("8: getActive gives the context started last", .timeLimit(.minutes(5)))
    func active() async {
        // In a process of its own, where no other test starts contexts.
        await #expect(processExitsWith: .success) {
            let harnesses = (0..<3).map { _ in StreamHarness() }
            for harness in harnesses {
                _ = harness.record(harness.input([[1]]))
                try await harness.ssc.start()
                precondition(StreamingContext.getActive() === harness.ssc)
            }
            await harnesses[2].ssc.stop()
            precondition(StreamingContext.getActive() === harnesses[1].ssc)
            await harnesses[0].ssc.stop()
            precondition(StreamingContext.getActive() === harnesses[1].ssc)
            await harnesses[1].ssc.stop()
            precondition(StreamingContext.getActive() == nil)
        }
    }

    @Test(
        "9: start() throws all bad declarations, late ones change nothing", .timeLimit(.minutes(5)))
    func declarations() async throws {
        let harness = StreamHarness()
        let input = harness.input([[1]])
        input.window(.milliseconds(1)).foreachRDD { _ in }
        input.window(.milliseconds(2)).foreachRDD { _ in }
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        #expect(error?.parts.compactMap(\.site).map(\.name) == ["window", "window"])

        let other = StreamHarness()
        let stream = other.input([[1]])
        let seen = other.record(stream)
        try await other.ssc.start()
        let late = other.record(stream)
        await #expect(throws: StreamError.self) { try await other.ssc.awaitTermination() }
        other.clock.advance(by: .seconds(1))
        try await other.listener.batchSettled(.seconds(1))
        await other.ssc.stop()
        #expect(seen.batches.count == 1 && late.batches.isEmpty)
    }

    @Test("10: no RDD is nil", .timeLimit(.minutes(5)))
    func noNull() async throws {
        let harness = StreamHarness()
        let seen = harness.record(harness.input([[1], nil, [3]]))
        try await harness.run(batches: 3)
        #expect(seen.batches.map(\.time) == [.seconds(1), .seconds(3)])
        #expect(harness.errors.isEmpty)
    }

    @Test(
        "11: batches of the next window are computed for the checkpoint", .timeLimit(.minutes(5)))
    func earlyPanes() async throws {
        for hasCheckpoints in [true, false] {
            let directory = try FileSystem.createTemporaryDirectory(prefix: "dstreams")
            defer { try? FileSystem.removeTree(directory) }
            let harness = StreamHarness()
            if hasCheckpoints { harness.ssc.checkpoint(directory) }
            let computed = Locked<[Int]>([])
            let seen = harness.record(
                harness.input([[1], [2], [3]]).map { number in
                    computed.withLock { $0.append(number) }
                    return number
                }.window(.seconds(3), slide: .seconds(3)))
            try await harness.ssc.start()
            for _ in 0..<2 { try await harness.advance() }
            #expect(computed.withLock { $0 } == (hasCheckpoints ? [1, 2] : []))
            try await harness.advance()
            await harness.ssc.stop()
            #expect(computed.withLock { $0.sorted() } == [1, 2, 3])
            #expect(seen.batches.map { $0.elements.sorted() } == [[1, 2, 3]])
        }
    }
}
