import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// What dead letters keep of each kind of input, and of state that is retried.
@Suite("Inputs of dead letters", .timeLimit(.minutes(5)))
struct DeadLetterInputTests {
    private let medium = SimulatedStorageMedium()

    /// The texts that the only letter keeps of its only input.
    private func keptTexts() async throws -> [String]? {
        guard case .inputs(let inputs)? = try await LetterRun.letter(medium)?.contents else {
            return nil
        }
        return try inputs.first?.elements?.decode(as: String.self)
    }

    @Test("blocks of receivers are kept, those of another batch are not")
    func receivers() async throws {
        for level in [StorageLevel.memoryOnly, .memoryOnlySerialized] {
            let medium = SimulatedStorageMedium()
            let harness = LetterRun.harness(medium, policy: .deadLetter)
            let feed = FeedReceiver<String>(storageLevel: level)
            let sink = ScriptedSink()
            harness.ssc.receiverStream(feed).map { text in
                if text == "bad" { throw SinkDown() }
                return text
            }.foreachRDD { rdd, time in try sink.insert(try await rdd.collect(), at: time) }
            try await harness.ssc.start()
            try await feed.store(block: ["a", "bad"])
            try await feed.store(block: ["b"])
            try await harness.advanceAndSettle()
            try await feed.store(block: ["c"])
            try await harness.advanceAndSettle()
            await harness.ssc.stop()
            #expect(sink.rows == ["2:c"])
            guard case .inputs(let inputs)? = try await LetterRun.letter(medium)?.contents else {
                Issue.record("no inputs")
                return
            }
            #expect(try inputs.first?.elements?.decode(as: String.self) == ["a", "bad", "b"])
            #expect(inputs.first?.elements?.partitions.map(\.count) == [2, 1])
        }
    }

    @Test(
        "lines of files are kept and replayed, also when the files are gone",
        arguments: [false, true])
    func files(isPersisted: Bool) async throws {
        let directory = try WatchedDirectory()
        let sink = ScriptedSink()
        func harness(_ poison: String?) -> StreamHarness {
            let harness = LetterRun.harness(
                medium, policy: .deadLetter, startTime: .seconds(100))
            let lines = harness.ssc.textFileStream(directory.path)
            if isPersisted { lines.persist() }
            lines.map { line in
                if line == poison { throw SinkDown() }
                return line
            }.foreachRDD { rdd, time in try sink.insert(try await rdd.collect(), at: time) }
            return harness
        }
        let first = harness("bad")
        try await first.ssc.start()
        try directory.write("one", "good\nbad\n", at: 100_500)
        try await first.advanceAndSettle()
        await first.ssc.stop()
        #expect(try await keptTexts() == ["good", "bad"])
        try directory.remove("one")
        let report = try await harness(nil).ssc.replayDeadLetters()
        #expect(report.replayed.count == 1, "\(report)")
        #expect(sink.rows == ["101:good", "101:bad"])
    }

    @Test("a file that is gone before its lines are kept is named in the letter")
    func lostFile() async throws {
        let directory = try WatchedDirectory()
        let harness = LetterRun.harness(medium, policy: .deadLetter, startTime: .seconds(100))
        harness.ssc.textFileStream(directory.path).map { line -> String in
            try directory.remove("one")
            throw SinkDown()
        }.foreachRDD { rdd in _ = try await rdd.count() }
        try await harness.ssc.start()
        try directory.write("one", "x\n", at: 100_500)
        try await harness.advanceAndSettle()
        #expect(await harness.ssc.stop().pendingBatches.isEmpty && harness.errors.isEmpty)
        let letter = try #require(try await LetterRun.letter(medium))
        #expect(letter.entry.reason.contains("\(SinkDown())"))
        let input = try #require(letter.inputs.first)
        #expect(input.elements == nil && input.unread.map(\.name) == ["\(directory.path)/one"])
        #expect(input.unread[0].reason.contains("cannot be read"), "\(input)")
    }

    @Test(
        "state that fails at first and succeeds in a retry is not lost", arguments: [false, true])
    func retriedState(usesMapWithState: Bool) async throws {
        let harness = LetterRun.harness(
            medium, checkpoints: try await FileCheckpointStore.open("/state", on: medium))
        let directory = try FileSystem.createTemporaryDirectory(prefix: "letters")
        defer { try? FileSystem.removeTree(directory) }
        harness.ssc.checkpoint(directory)
        let failures = Locked(2)
        let pairs = harness.input(
            [[("a", 1)], [("a", 2)], [("a", 4)], [("a", 8)]], from: .seconds(1)
        )
        .map { pair -> (String, Int) in
            let isDown = failures.withLock { failures in
                defer { if pair.1 == 2 { failures -= 1 } }
                return pair.1 == 2 && failures > 0
            }
            if isDown { throw SinkDown() }
            return pair
        }
        let sums: DStream<(String, Int)>
        if usesMapWithState {
            let spec = StateSpec<String, Int, Int, (String, Int)>.function { key, value, state in
                let sum = (state.getOption() ?? 0) + (value ?? 0)
                try state.update(sum)
                return (key, sum)
            }
            sums = pairs.mapWithState(spec).mapped
        } else {
            sums = pairs.updateStateByKey { values, sum in (sum ?? 0) + values.reduce(0, +) }
        }
        let sink = ScriptedSink()
        sums.foreachRDD { rdd, time in
            try sink.insert(try await rdd.collect().map { "\($0.1)" }, at: time)
        }.onFailure(
            retry: RetryPolicy(
                maxAttempts: 3, initialBackoff: .milliseconds(1500), multiplier: 1))
        try await harness.ssc.start()
        try await harness.advanceAndSettle()
        // More batches are made while the second waits.
        harness.clock.advance(by: .seconds(1))
        for batch in [BatchTime.seconds(3), .seconds(5)] {
            await harness.clock.waitForSleepers(count: 2)
            harness.clock.advance(by: .milliseconds(1500))
            try await harness.listener.first { event in
                if case .batchSubmitted(let info) = event {
                    info.batchTime == batch
                } else {
                    false
                }
            }
        }
        try await harness.listener.batchSettled(.seconds(5))
        await harness.ssc.stop()
        #expect(sink.rows.prefix(4) == ["1:1", "2:3", "3:7", "4:15"])
        #expect(harness.errors.isEmpty)
    }
}
