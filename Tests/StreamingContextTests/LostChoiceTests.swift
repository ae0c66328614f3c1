import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Testing

/// A log of inputs that has lost what batches had read which a sink holds already.
@Suite("Lost choices", .timeLimit(.minutes(5)))
struct LostChoiceTests {
    /// Runs batches from 100 s on; the checkpoints of the last one fail, and the program is killed.
    ///
    /// - Returns: the log as it was before the last batch.
    private func killedBehindItsSink(
        _ run: inout DurableRun, _ log: String = "chosen", batches: Int,
        _ declare: (StreamHarness) -> Void, give: (_ batch: Int) async throws -> Void
    ) async throws -> (path: String, bytes: [UInt8]) {
        let harness = try await run.start(from: .seconds(100), declare)
        let directory = DurableRun.directory + "/" + log
        var log: (path: String, bytes: [UInt8]) = ("", [])
        for batch in 1...batches {
            try await give(batch)
            if batch < batches {
                try await harness.advanceAndSettle()
                continue
            }
            let name = try run.medium.list(directory).last { $0.hasPrefix("log-") }
            log.path = directory + "/" + (try #require(name))
            log.bytes = try #require(run.medium.contents(of: log.path))
            run.medium.fail {
                $0.kind == .create && $0.path.contains("/checkpoint-") ? .failed : nil
            }
            let due = harness.clock.now + .seconds(1)
            harness.clock.advance(by: .seconds(1))
            try await harness.listener.first { event in
                if case .batchCompleted(let info) = event { info.batchTime == due } else { false }
            }
        }
        let medium = run.medium.restarted()
        await harness.ssc.stop()
        run.medium = medium
        return log
    }

    @Test("a sink that holds a batch whose choice is lost refuses the start")
    func sinkAhead() async throws {
        let root = try WatchedDirectory()
        var run = DurableRun()
        func declare(_ names: [String] = []) -> (StreamHarness) -> Void {
            let medium = run.medium
            return { harness in
                for name in names { harness.ssc.acceptLoss(in: name) }
                harness.ssc.textFileStream(root.path).write(to: FileSink("/out", on: medium))
            }
        }
        let log = try await killedBehindItsSink(&run, batches: 2, declare(), give: root.give)
        // As it was, it goes on.
        let whole = run.medium
        run.medium = whole.restarted()
        #expect(try await run.refusal(from: .seconds(102), declare()) == nil)
        run.medium = whole.restarted()
        run.medium.setContents(of: log.path, to: log.bytes)
        let error = try #require(try await run.refusal(from: .seconds(102), declare()))
        #expect(error.code == .checkpointUnreadable && error.site?.name == "textFileStream")
        #expect(error.message.contains("/checkpoints/chosen has lost its end"), "\(error)")
        #expect(error.message.contains("file:/out holds batch 102000 ms"), "\(error)")
        #expect(try await run.refusal(from: .seconds(102), declare(["chosen"])) == nil)
    }

    @Test("a stream that chooses for every other batch refuses nothing")
    func sinkOfOthers() async throws {
        let root = try WatchedDirectory()
        var run = DurableRun()
        func declare() -> (StreamHarness) -> Void {
            let medium = run.medium
            return { harness in
                let lines = harness.ssc.textFileStream(root.path)
                lines.window(.seconds(2), slide: .seconds(2))
                    .write(to: FileSink("/windows", on: medium))
                harness.input([["a"], ["b"], ["c"], ["d"]]).write(to: FileSink("/out", on: medium))
            }
        }
        for batches in 2...4 {
            run.medium = SimulatedStorageMedium()
            _ = try await killedBehindItsSink(
                &run, batches: batches, declare(), give: root.give)
            let start = BatchTime.seconds(Int64(100 + batches))
            #expect(try await run.refusal(from: start, declare()) == nil, "\(batches)")
        }
    }

    /// What a file sink holds, by the second of its batch, sorted.
    private func rows(_ medium: SimulatedStorageMedium) async throws -> [Int64: [String]] {
        var rows: [Int64: [String]] = [:]
        for batch in try await FileSink<String>.committedBatches(in: "/out", on: medium) {
            let texts = try batch.files.map { file in
                String(decoding: try medium.readAll("/out/" + file.path), as: UTF8.self)
            }
            rows[batch.batch.milliseconds / 1000] =
                texts.joined().split(separator: "\n").map(String.init).sorted()
        }
        return rows
    }

    /// Lets the log of choices lose its end, or all of it.
    private func cut(
        _ medium: SimulatedStorageMedium, _ log: (path: String, bytes: [UInt8]), isRemoved: Bool
    ) throws {
        if !isRemoved { return medium.setContents(of: log.path, to: log.bytes) }
        let directory = DurableRun.directory + "/chosen"
        for name in try medium.list(directory) { try medium.remove(directory + "/" + name) }
    }

    @Test(
        "where that is accepted, what is new is in the batches after the sink's",
        arguments: [LateBatches.generate, .skip], [false, true])
    func newInput(_ lateBatches: LateBatches, isRemoved: Bool) async throws {
        for isDirect in [false, true] {
            let (root, topic) = (try WatchedDirectory(), NumberTopic())
            var run = DurableRun()
            run.lateBatches = lateBatches
            func declare(_ names: [String] = []) -> (StreamHarness) -> Void {
                let medium = run.medium
                return { harness in
                    for name in names { harness.ssc.acceptLoss(in: name) }
                    let lines =
                        isDirect
                        ? harness.ssc.directStream(topic).stream.map { "\($0 + 1)" }
                        : harness.ssc.textFileStream(root.path)
                    lines.write(to: FileSink("/out", on: medium))
                }
            }
            func give(_ batch: Int) throws {
                try root.give(batch)
                topic.grow(by: 1)
            }
            let log = try await killedBehindItsSink(&run, batches: 2, declare(), give: give)
            try cut(run.medium, log, isRemoved: isRemoved)
            try give(3)
            let second = try await run.start(from: .seconds(102), declare(["chosen"]))
            try await second.advanceAndSettle()
            try give(4)
            try await second.advanceAndSettle()
            await second.ssc.stop(graceful: true)
            #expect(second.errors.isEmpty, "\(second.errors)")
            // What the sink holds of batch 102 is not known, and is read once more.
            let held = try await rows(run.medium)
            #expect(
                held == [101: ["1"], 102: ["2"], 103: ["2", "3"], 104: ["4"]],
                "\(isDirect) \(held)")
            let name = isDirect ? "directStream" : "textFileStream"
            let told = run.warnings.all.filter { $0.contains("gives nothing to them") }
            #expect(told.count == 1, "\(run.warnings.all)")
            #expect(told.first?.contains("stream 0 (\(name)") == true, "\(told)")
            #expect(told.first?.contains("gave to batches 102000 ms, and") == true, "\(told)")
            // The loss need not be accepted again.
            #expect(try await run.refusal(from: .seconds(104), declare()) == nil)
        }
    }

    @Test("received records that are new are in the batches after the sink's, too")
    func newRecords() async throws {
        let feed = Feed<Int>()
        var run = DurableRun()
        func declare(_ feed: Feed<Int>, _ names: [String] = []) -> (StreamHarness) -> Void {
            let medium = run.medium
            return { harness in
                for name in names { harness.ssc.acceptLoss(in: name) }
                harness.ssc.receiverStream(feed, protection: .writeAheadLog).map { "\($0)" }
                    .write(to: FileSink("/out", on: medium))
            }
        }
        let log = try await killedBehindItsSink(
            &run, "received/events", batches: 2, declare(feed)
        ) { try await feed.store(block: [$0]) }
        run.medium.setContents(of: log.path, to: log.bytes)
        let again = Feed<Int>()
        // Before the sink's batch is due once more.
        let second = try await run.start(
            from: .seconds(101), declare(again, ["received/events"]))
        for batch in 3...4 {
            try await again.store(block: [batch])
            try await second.advanceAndSettle()
        }
        try await second.advanceAndSettle()
        await second.ssc.stop(graceful: true)
        #expect(second.errors.isEmpty, "\(second.errors)")
        let held = try await rows(run.medium)
        #expect(held.filter { $0.key < 103 } == [101: ["1"], 102: ["2"]], "\(held)")
        // What the sink holds of batch 102 is not known, and may come once more.
        let later = Set(held.filter { $0.key > 102 }.flatMap(\.value))
        #expect(
            later.isSuperset(of: ["3", "4"]) && later.isSubset(of: ["2", "3", "4"]), "\(held)")
        let told = run.warnings.all.filter { $0.contains("batches up to it get no received") }
        #expect(told.count == 1, "\(run.warnings.all)")
    }

    /// A topic that does not say what there is for the second batch until it may.
    private final class SlowTopic: DirectSource {
        let numbers = NumberTopic()
        let questions = Notes<Bool>()
        let mayAnswer = TestGate()

        func latestOffsets() async throws -> [TopicPartition: Int64] {
            questions.add(true)
            if questions.all.count == 2 { try await mayAnswer.wait() }
            return try await numbers.latestOffsets()
        }

        func startingOffset(of partition: TopicPartition) async throws -> Int64 { 0 }

        func read(_ range: OffsetRange, _ body: (Int64) throws -> Void) throws {
            try numbers.read(range, body)
        }
    }

    @Test("a batch that had begun at the last checkpoint, and chose after it, counts as well")
    func begunBefore() async throws {
        let (topic, mayEnd, written) = (SlowTopic(), TestGate(), Notes<Bool>())
        var run = DurableRun()
        func declare(_ names: [String] = []) -> (StreamHarness) -> Void {
            let medium = run.medium
            return { harness in
                for name in names { harness.ssc.acceptLoss(in: name) }
                let lines = harness.ssc.directStream(topic).stream.map { "\($0 + 1)" }
                lines.write(to: FileSink("/out", on: medium))
                lines.foreachRDD { _, time in if time == .seconds(1) { try await mayEnd.wait() } }
            }
        }
        run.medium.observe { operation in
            if operation.kind == .rename, operation.path.contains("/checkpoint-") {
                written.add(true)
            }
        }
        let harness = try await run.start(from: .zero, declare())
        topic.numbers.grow(by: 1)
        harness.clock.advance(by: .seconds(1))
        try await written.all(atLeast: 2)
        harness.clock.advance(by: .seconds(1))
        try await topic.questions.all(atLeast: 2)
        mayEnd.open()
        // The last one: it says that batch 2 has begun, and batch 1 has completed.
        try await written.all(atLeast: 3)
        let directory = DurableRun.directory + "/chosen"
        let name = try #require(
            try run.medium.list(directory).last { $0.hasPrefix("log-") })
        let log = (
            directory + "/" + name, try #require(run.medium.contents(of: "\(directory)/\(name)"))
        )
        run.medium.fail {
            $0.kind == .create && $0.path.contains("/checkpoint-") ? .failed : nil
        }
        topic.numbers.grow(by: 1)
        topic.mayAnswer.open()
        try await harness.listener.first { event in
            if case .batchCompleted(let info) = event {
                info.batchTime == .seconds(2)
            } else {
                false
            }
        }
        let medium = run.medium.restarted()
        await harness.ssc.stop()
        run.medium = medium
        try cut(medium, log, isRemoved: false)
        topic.numbers.grow(by: 1)
        let error = try await run.refusal(from: .seconds(2), declare())
        #expect(error?.code == .checkpointUnreadable, "\(String(describing: error))")
        let second = try await run.start(from: .seconds(2), declare(["chosen"]))
        try await second.advanceAndSettle()
        await second.ssc.stop(graceful: true)
        let held = try await rows(medium)
        #expect(held == [1: ["1"], 2: ["2"], 3: ["2", "3"]], "\(held)")
    }

    @Test("nothing is said, and nothing changed, where the log is whole")
    func acceptedForNothing() async throws {
        let root = try WatchedDirectory()
        var run = DurableRun()
        func declare(_ names: [String] = []) -> (StreamHarness) -> Void {
            let medium = run.medium
            return { harness in
                for name in names { harness.ssc.acceptLoss(in: name) }
                harness.ssc.textFileStream(root.path).write(to: FileSink("/out", on: medium))
            }
        }
        _ = try await killedBehindItsSink(&run, batches: 2, declare(), give: root.give)
        try root.give(3)
        let second = try await run.start(from: .seconds(102), declare(["chosen"]))
        try await second.advanceAndSettle()
        await second.ssc.stop(graceful: true)
        #expect(try await rows(run.medium) == [101: ["1"], 102: ["2"], 103: ["3"]])
        #expect(run.warnings.all.filter { $0.contains("gives nothing") }.isEmpty)
    }
}

extension WatchedDirectory {
    /// Puts a file there for a batch, of those that begin after 100 s.
    fileprivate func give(_ batch: Int) throws {
        try write("\(batch)", "\(batch)\n", at: Int64(99_500 + 1000 * batch))
    }
}
