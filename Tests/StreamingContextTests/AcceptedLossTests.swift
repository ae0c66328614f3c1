import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// A start that is refused because something is lost, and one that accepts the loss.
@Suite("Accepted losses", .timeLimit(.minutes(5)))
struct AcceptedLossTests {
    /// Counts what it receives and, in a queue, what it is given.
    private struct Program {
        var run = DurableRun()
        let queue = RDDQueue<Int>()
        let sink = ScriptedSink()

        func declare(
            _ feed: Feed<Int>, accepting names: [String] = []
        ) -> (StreamHarness) -> Void {
            { harness in
                for name in names { harness.ssc.acceptLoss(in: name) }
                let received = harness.ssc.receiverStream(feed, protection: .writeAheadLog)
                let all = received.union(harness.ssc.queueStream(queue))
                let sums = all.map { ("sum", $0) }.updateStateByKey { values, sum -> Int? in
                    (sum ?? 0) + values.reduce(0, +)
                }
                sums.foreachRDD { rdd, time in
                    let rows = try await rdd.collect().map { "\($0.1)" }
                    try sink.insert(rows, at: time)
                }
            }
        }

        /// Receives 1 and takes 10 in the first batch, receives 2 after it, and ends.
        func runOnce() async throws {
            let feed = Feed<Int>()
            let harness = try await run.start(from: .zero, declare(feed))
            try await feed.store(block: [1])
            queue.append(harness.ssc.batchContext.parallelize([10], partitions: 1))
            try await harness.advanceAndSettle()
            try await feed.store(block: [2])
            await harness.ssc.stop()
        }

        /// Goes on for a batch; with the loss of some logs.
        func goOn(from start: BatchTime, accepting names: [String] = []) async throws {
            let harness = try await run.start(from: start, declare(Feed(), accepting: names))
            try await harness.advanceAndSettle()
            await harness.ssc.stop()
            #expect(harness.errors.isEmpty, "\(harness.errors)")
        }

        func remove(_ log: String) throws {
            let directory = DurableRun.directory + "/" + log
            for name in try run.medium.list(directory) {
                try run.medium.remove(directory + "/" + name)
            }
        }

        func check(accepting names: [String]) async throws -> StreamingContext.RecoveryCheck {
            try await StreamingContext.checkRecovery(checkpointDirectory: DurableRun.directory) {
                let harness = StreamHarness(components: run.quietComponents)
                declare(Feed(), accepting: names)(harness)
                return harness.ssc
            }
        }

        func warnings(with text: String) -> [String] {
            run.warnings.all.filter { $0.contains(text) }
        }
    }

    @Test(
        "a log of inputs that is gone",
        arguments: [
            ("received/events", "11"), ("received/stream-0", "11"), ("chosen", "13"),
        ])
    func log(name: String, sum: String) async throws {
        let program = Program()
        try await program.runOnce()
        try program.remove(name)
        let path = DurableRun.directory + "/" + name
        let error = try #require(
            try await program.run.refusal(from: .seconds(1), program.declare(Feed())))
        #expect(error.code == .checkpointUnreadable && error.message.contains(path), "\(error)")
        let refused = try await program.check(accepting: [])
        #expect(!refused.canStart && "\(refused)".contains(path), "\(refused)")

        let check = try await program.check(accepting: [name])
        #expect(check.canStart, "\(check)")
        #expect("\(check)".contains("is lost, which is accepted"), "\(check)")
        try await program.goOn(from: .seconds(1), accepting: [name])
        let accepted = program.warnings(with: "\(path) cannot be read, and that was accepted")
        #expect(accepted.count == 1, "\(program.run.warnings.all)")
        #expect(program.sink.rows == ["1:11", "2:\(sum)"])
        let lost = program.warnings(with: "\(path) has lost them, and that was accepted")
        #expect(lost.isEmpty == (name != "received/stream-0"))
        #expect(program.warnings(with: "no write-ahead log").isEmpty)

        // The loss need not be accepted again.
        try await program.goOn(from: .seconds(2))
        #expect(program.sink.rows.last == "3:\(sum)")
    }

    @Test("a log that has lost its end")
    func end() async throws {
        var program = Program()
        let feed = Feed<Int>()
        let harness = try await program.run.start(from: .zero, program.declare(feed))
        let directory = DurableRun.directory + "/received/events"
        try await feed.store(block: [1])
        let name = try #require(
            try program.run.medium.list(directory).first { $0.hasPrefix("log-") })
        let segment = directory + "/" + name
        let before = try #require(program.run.medium.contents(of: segment))
        try await harness.advanceAndSettle()
        let medium = program.run.medium.restarted()
        await harness.ssc.stop()
        medium.setContents(of: segment, to: before)
        program.run.medium = medium
        let error = try await program.run.refusal(from: .seconds(1), program.declare(Feed()))
        #expect(error?.code == .checkpointUnreadable)
        let check = try await program.check(accepting: ["received/events"])
        #expect(check.canStart && "\(check)".contains("which is accepted"), "\(check)")
        try await program.goOn(from: .seconds(1), accepting: ["received/events"])
        let warnings = program.warnings(with: "\(directory) has lost its end")
        #expect(warnings.count == 1 && warnings.first?.contains("that was accepted") == true)
    }

    @Test("all checkpoint files")
    func checkpoints() async throws {
        let program = Program()
        try await program.runOnce()
        for name in try program.run.medium.list(DurableRun.directory)
        where name.hasPrefix("checkpoint-") {
            try program.run.medium.remove(DurableRun.directory + "/" + name)
        }
        let error = try #require(
            try await program.run.refusal(from: .seconds(1), program.declare(Feed())))
        #expect(error.code == .checkpointUnreadable, "\(error)")
        #expect(error.message.contains("there is no checkpoint in \(DurableRun.directory)"))
        #expect(try await !program.check(accepting: []).canStart)
        #expect(try await program.check(accepting: ["checkpoints"]).canStart)
        try await program.goOn(from: .seconds(1), accepting: ["checkpoints"])
        #expect(program.warnings(with: "That was accepted").count == 1)
        // The state is gone; blocks that may be in no batch are in the next one.
        #expect(program.sink.rows == ["1:11", "2:3"])
        try await program.goOn(from: .seconds(2))
        #expect(program.sink.rows.last == "3:3")
    }

    @Test("an error of the moment gives no block up")
    func passing() async throws {
        let program = Program()
        try await program.runOnce()
        let isOpened = Locked(false)
        program.run.medium.fail { operation in
            // Opened after the blocks' log and before blocks are restored.
            if operation.path.contains("/chosen/") { isOpened.withLock { $0 = true } }
            let isRestoring =
                isOpened.withLock { $0 }
                && operation.path.contains("/received/stream-0/log-")
            return isRestoring && operation.kind == .open ? .denied : nil
        }
        await #expect(throws: (any Error).self) {
            try await program.goOn(from: .seconds(1), accepting: ["received/stream-0"])
        }
        #expect(isOpened.withLock { $0 })
        program.run.medium.fail(where: nil)
        try await program.goOn(from: .seconds(1), accepting: ["received/stream-0"])
        #expect(program.sink.rows == ["1:11", "2:13"])
    }

    @Test(
        "a name that the program does not have is refused",
        arguments: ["recieved/events", "received/stream-1", "state", "/checkpoints/chosen", ""])
    func unknown(name: String) async throws {
        let program = Program()
        let error = try #require(
            try await program.run.refusal(
                from: .zero, program.declare(Feed(), accepting: [name])))
        #expect(error.code == .badDeclaration && error.site?.name == "acceptLoss", "\(error)")
        #expect(error.message.contains("\"received/stream-0\", \"chosen\", \"checkpoints\""))
    }

    // MARK: Choices

    @Test("what batches read is said, and forgotten, of the checkpoint that counts")
    func stateLoss() async throws {
        var program = Program()
        let feed = Feed<Int>()
        let harness = try await program.run.start(from: .zero, program.declare(feed))
        func push() {
            program.queue.append(harness.ssc.batchContext.parallelize([1], partitions: 1))
        }
        push()
        try await harness.advanceAndSettle()
        let directory = DurableRun.directory + "/state"
        let name = try #require(
            try program.run.medium.list(directory).last { $0.hasPrefix("log-") })
        let segment = directory + "/" + name
        let before = try #require(program.run.medium.contents(of: segment))
        push()
        try await harness.advanceAndSettle()
        let medium = program.run.medium.restarted()
        await harness.ssc.stop()
        medium.setContents(of: segment, to: before)
        program.run.medium = medium
        let error = try #require(
            try await program.run.refusal(from: .seconds(2), program.declare(Feed())))
        #expect(error.code == .inputNotReplayable && error.batchTime == .seconds(2), "\(error)")
        #expect(error.message.contains("forget /checkpoints 2000 1"), "\(error)")
        #expect(try await program.run.pendingInputs().map(\.batch) == [.seconds(2)])
        try await program.run.forget(of: 1, for: .seconds(2))
        let second = try await program.run.start(from: .seconds(2), program.declare(Feed()))
        try await second.listener.batchSettled(.seconds(2))
        await second.ssc.stop()
        #expect(program.sink.rows == ["1:1", "2:2", "2:1"])
    }

    @Test("nothing is forgotten of a log that has lost what the checkpoint relies on")
    func forgetting() async throws {
        var program = Program()
        program.sink.setDown([.seconds(1), .seconds(2)])
        program.run.policy = .continue
        let harness = try await program.run.start(from: .zero, program.declare(Feed()))
        func push() {
            program.queue.append(harness.ssc.batchContext.parallelize([1], partitions: 1))
        }
        push()
        try await harness.advanceAndSettle()
        let directory = DurableRun.directory + "/chosen"
        let name = try #require(
            try program.run.medium.list(directory).last { $0.hasPrefix("log-") })
        let segment = directory + "/" + name
        let before = try #require(program.run.medium.contents(of: segment))
        push()
        try await harness.advanceAndSettle()
        let medium = program.run.medium.restarted()
        await harness.ssc.stop()
        medium.setContents(of: segment, to: before)
        program.run.medium = medium
        await #expect(throws: LogError.self) { try await program.run.pendingInputs() }
        await #expect(throws: LogError.self) {
            try await program.run.forget(of: 1, for: .seconds(1))
        }
        #expect(medium.contents(of: segment) == before)
    }
}
