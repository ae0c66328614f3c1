import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// Dead letters run again.
@Suite("Replay of dead letters", .timeLimit(.minutes(5)))
struct ReplayTests {
    /// A program with a map that may be poisoned and a sink that may be down.
    private struct Program {
        let medium: SimulatedStorageMedium
        let sink: ScriptedSink
        var poison: Int?
        var mustRefuse = false

        func harness(_ batches: [[Int]] = []) -> StreamHarness {
            let harness = LetterRun.harness(medium, policy: .deadLetter)
            let (sink, poison) = (sink, poison)
            var texts = harness.input(batches).map { number -> String in
                if number == poison { throw SinkDown() }
                return "\(number)"
            }
            if mustRefuse { texts = texts.window(.seconds(2)) }
            texts.foreachRDD { rdd, time in
                try sink.insert(try await rdd.collect(), at: time)
            }
            return harness
        }
    }

    @Test("the elements of an output go to its body again, with the time of their batch")
    func output() async throws {
        let program = Program(
            medium: SimulatedStorageMedium(), sink: ScriptedSink(down: [.seconds(1), .seconds(3)]))
        try await program.harness([[1, 2], [3], [4]]).run(batches: 3)
        #expect(program.sink.rows == ["2:3"])

        // Still down for one: it stays.
        program.sink.setDown([.seconds(3)])
        let second = try await program.harness().ssc.replayDeadLetters()
        #expect(second.replayed.map(\.id.batchTime) == [.seconds(1)])
        #expect(second.failed.map(\.entry.id.batchTime) == [.seconds(3)])
        #expect("\(second.failed[0].error)".contains("the sink is down"))
        #expect(program.sink.rows == ["2:3", "1:1", "1:2"])

        program.sink.setDown([])
        let third = try await program.harness().ssc.replayDeadLetters()
        #expect(third.replayed.map(\.id.batchTime) == [.seconds(3)] && third.failed.isEmpty)
        let fourth = try await program.harness().ssc.replayDeadLetters()
        #expect(fourth.replayed.isEmpty && fourth.failed.isEmpty)
        #expect(program.sink.rows == ["2:3", "1:1", "1:2", "3:4"])
    }

    @Test("a program with state replays without a checkpoint directory, and gives back what it had")
    func besideState() async throws {
        let program = Program(
            medium: SimulatedStorageMedium(), sink: ScriptedSink(down: [.seconds(1)]))
        try await program.harness([[1]]).run(batches: 1)
        program.sink.setDown([])
        let harness = program.harness()
        harness.input([[("a", 1)]]).updateStateByKey { _, _ in 1 }.foreachRDD { _ in }
        let report = try await harness.ssc.replayDeadLetters()
        #expect(report.replayed.count == 1, "\(report)")
        #expect(program.sink.rows == ["1:1"])
    }

    @Test("partitions reach foreachPartition as they were, saved files have the batch's time")
    func otherOutputs() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "replay")
        defer { try? FileSystem.removeTree(directory) }
        let medium = SimulatedStorageMedium()
        let seen = Locked<[String]>([])
        let blocked = directory + "/out"
        func harness(_ batches: [[Int]], isDown: Bool) -> StreamHarness {
            let harness = LetterRun.harness(medium, policy: .deadLetter)
            let input = harness.input(batches, partitions: 3)
            input.foreachPartition { chunks, task in
                if isDown { throw SinkDown() }
                var elements: [Int] = []
                for chunk in chunks { elements += chunk }
                let text = "\(task.batchMilliseconds ?? 0) \(task.partition) \(elements)"
                seen.withLock { $0.append(text) }
            }
            let prefix = (isDown ? "/proc/none" : blocked) + "/rows"
            input.map { ($0, "x") }.saveAsTextFiles(prefix: prefix)
            return harness
        }
        try await harness([[1, 2, 3, 4]], isDown: true).run(batches: 1)
        #expect(try await LetterRun.entries(medium).count == 2)
        let report = try await harness([], isDown: false).ssc.replayDeadLetters()
        #expect(report.replayed.count == 2, "\(report)")
        #expect(
            seen.withLock { $0.sorted() } == ["1000 0 [1]", "1000 1 [2]", "1000 2 [3, 4]"])
        #expect(try FileSystem.list(blocked).contains("rows-1000"))
    }

    @Test("inputs go the batch's way again, once the program can take them")
    func inputs() async throws {
        var program = Program(
            medium: SimulatedStorageMedium(), sink: ScriptedSink(), poison: 2)
        try await program.harness([[1, 2], [3]]).run(batches: 2)
        #expect(program.sink.rows == ["2:3"])
        let first = try await program.harness().ssc.replayDeadLetters()
        #expect(first.failed.count == 1 && first.replayed.isEmpty)
        program.poison = nil
        let second = try await program.harness([[9]]).ssc.replayDeadLetters()
        #expect(second.replayed.count == 1, "\(second)")
        #expect(program.sink.rows == ["2:3", "1:1", "1:2"])
    }

    @Test("inputs below a window or state are refused and stay, and can be read")
    func refused() async throws {
        var program = Program(medium: SimulatedStorageMedium(), sink: ScriptedSink(), poison: 2)
        program.mustRefuse = true
        try await program.harness([[1, 2], []]).run(batches: 1)
        program.poison = nil
        let report = try await program.harness().ssc.replayDeadLetters()
        let error = try #require(report.failed.first?.error as? StreamError)
        #expect(error.code == .deadLetterNotReplayable)
        #expect(error.message.contains("window"))
        #expect(program.sink.rows.isEmpty)
        let reader = program.harness().ssc
        let entry = try #require(try await reader.deadLetters().entries.first)
        guard case .inputs(let inputs) = try await reader.deadLetter(entry.id).contents else {
            Issue.record("not the inputs")
            return
        }
        #expect(try inputs.first?.elements?.decode(as: Int.self) == [1, 2])
    }

    @Test("a changed program is told which operation or type is missing")
    func changedProgram() async throws {
        let medium = SimulatedStorageMedium()
        let first = LetterRun.harness(medium, policy: .deadLetter)
        first.input([[1]]).foreachRDD { _ in throw SinkDown() }.named("rows")
        try await first.run(batches: 1)
        let renamed = LetterRun.harness(medium)
        renamed.input([[1]]).foreachRDD { _ in }
        let report = try await renamed.ssc.replayDeadLetters()
        #expect("\(report)".contains("no such output operation"))
        let retyped = LetterRun.harness(medium)
        retyped.input([["a"]]).foreachRDD { _ in }.named("rows")
        #expect("\(try await retyped.ssc.replayDeadLetters())".contains("written as Int"))
        #expect(try await LetterRun.entries(medium).count == 1)
    }

    @Test("a context that runs or has no directory does not replay")
    func misuse() async throws {
        let harness = LetterRun.harness(SimulatedStorageMedium())
        harness.input([[1]]).foreachRDD { _ in }
        try await harness.ssc.start()
        await #expect(throws: StreamError.self) { try await harness.ssc.replayDeadLetters() }
        await harness.ssc.stop()
        let homeless = StreamHarness()
        homeless.input([[1]]).foreachRDD { _ in }
        await #expect(throws: StreamError.self) { try await homeless.ssc.replayDeadLetters() }
        await #expect(throws: StreamError.self) { try await homeless.ssc.deadLetters() }
    }

    @Test("only the letters that are asked for are replayed")
    func chosen() async throws {
        let program = Program(
            medium: SimulatedStorageMedium(), sink: ScriptedSink(down: [.seconds(1), .seconds(2)]))
        try await program.harness([[1], [2]]).run(batches: 2)
        program.sink.setDown([])
        let report = try await program.harness().ssc.replayDeadLetters {
            $0.id.batchTime > .seconds(1)
        }
        #expect(report.replayed.count == 1)
        #expect(program.sink.rows == ["2:2"])
    }
}
