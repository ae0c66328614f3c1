import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// Inputs that cannot give a batch again: a restart never runs one without them in silence.
@Suite("Restarts without input", .timeLimit(.minutes(5)))
struct QueueRecoveryTests {
    /// Sums of a queue stream; the sink is down when the test says so.
    private struct Program {
        let run = DurableRun()
        let queue = RDDQueue<(String, Int)>()
        let sink = ScriptedSink()

        func declare(_ harness: StreamHarness) {
            sums(harness.ssc.queueStream(queue))
        }

        func sums(_ stream: DStream<(String, Int)>) {
            let sink = sink
            stream.updateStateByKey { values, sum in (sum ?? 0) + values.reduce(0, +) }
                .foreachRDD { rdd, time in
                    try sink.insert(try await rdd.collect().map { "\($0.1)" }, at: time)
                }
        }

        func push(_ harness: StreamHarness, _ value: Int) {
            queue.append(harness.ssc.batchContext.parallelize([("a", value)], partitions: 1))
        }
    }

    @Test("start() warns by name and place where there is a checkpoint directory, else not")
    func warns() async throws {
        let program = Program()
        let line = #line + 4
        let harness = try await program.run.start(from: .zero) { harness in
            let one = harness.ssc.batchContext.parallelize([1])
            harness.ssc.constantStream(one).foreachRDD { _ in }
            harness.ssc.queueStream(program.queue).foreachRDD { _ in }
            harness.ssc.inputStream { _, context in context.batch.parallelize([1]) }
                .foreachRDD { _ in }
            harness.ssc.inputStream(isReplayable: true) { _, context in
                context.batch.parallelize([1])
            }.foreachRDD { _ in }
            // Nothing uses it.
            _ = harness.ssc.queueStream(program.queue)
        }
        await harness.ssc.stop()
        let warnings = program.run.warnings.all
        #expect(warnings.count == 2, "\(warnings)")
        #expect(warnings[0].contains("queueStream at") && warnings[0].contains(":\(line)"))
        #expect(warnings[1].contains("inputStream at") && warnings[1].contains(":\(line + 1)"))

        let notes = Notes<String>()
        let plain = StreamHarness.forFiles(remember: .seconds(60), notes)
        plain.ssc.queueStream(RDDQueue<Int>()).foreachRDD { _ in }
        try await plain.ssc.start()
        await plain.ssc.stop()
        #expect(notes.all.isEmpty)
    }

    @Test("a batch that failed is not run again without its elements, unless somebody says so")
    func refused() async throws {
        let program = Program()
        program.sink.setDown([.seconds(2)])
        let first = try await program.run.start(from: .zero, program.declare)
        program.push(first, 1)
        try await first.advanceAndSettle()
        program.push(first, 10)
        try await first.advanceAndSettle()
        await first.ssc.stop()
        #expect(program.sink.rows == ["1:1"])

        program.sink.setDown([])
        let error = try #require(
            try await program.run.refusal(from: .seconds(2), program.declare))
        #expect(error.code == .inputNotReplayable && error.batchTime == .seconds(2))
        #expect(error.site?.name == "queueStream")
        let command = "inspect inputs forget /checkpoints 2000 0"
        #expect(error.message.contains(command), "\(error)")
        let check = try await StreamingContext.checkRecovery(
            checkpointDirectory: DurableRun.directory
        ) {
            let harness = StreamHarness(components: program.run.quietComponents)
            program.declare(harness)
            return harness.ssc
        }
        #expect(!check.canStart && "\(check)".contains("queueStream"), "\(check)")
        #expect("\(check)".contains(command), "\(check)")

        #expect(try await program.run.pendingInputs().map(\.kind) == [.taken])
        try await program.run.forget(for: .seconds(2))
        let second = try await program.run.start(from: .seconds(2), program.declare)
        try await second.listener.batchSettled(.seconds(2))
        program.push(second, 100)
        try await second.advanceAndSettle()
        await second.ssc.stop(graceful: true)
        #expect(program.sink.rows == ["1:1", "2:1", "3:101"])
        #expect(
            second.skipped.count == 1
                && second.skipped[0].hasPrefix("2000 0 somebody made the batch forget"))
    }

    @Test("a run whose batches have all completed is gone on from")
    func completed() async throws {
        let program = Program()
        let first = try await program.run.start(from: .zero, program.declare)
        program.push(first, 1)
        try await first.advanceAndSettle()
        await first.ssc.stop()
        let second = try await program.run.start(from: .seconds(1), program.declare)
        program.push(second, 10)
        try await second.advanceAndSettle()
        await second.ssc.stop()
        #expect(program.sink.rows == ["1:1", "2:11"])
    }

    @Test("a failed batch that took nothing runs again")
    func tookNothing() async throws {
        let program = Program()
        program.sink.setDown([.seconds(2)])
        let first = try await program.run.start(from: .zero, program.declare)
        program.push(first, 1)
        try await first.advanceAndSettle()
        try await first.advanceAndSettle()
        await first.ssc.stop()
        program.sink.setDown([])
        let second = try await program.run.start(from: .seconds(2), program.declare)
        try await second.listener.batchSettled(.seconds(2))
        await second.ssc.stop()
        #expect(program.sink.rows == ["1:1", "2:1"])
    }

    /// Keeps the first checkpoint only, as when the program is killed before the next.
    private final class EarlyStore: CheckpointStore {
        struct Full: Error {}
        private let kept = Locked<RecoveredCheckpoint?>(nil)

        func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
            try kept.withLock { kept in
                if kept != nil { throw Full() }
                kept = RecoveredCheckpoint(record: record, state: state)
            }
        }

        func recover() async throws -> RecoveredCheckpoint? { kept.withLock { $0 } }
    }

    @Test("elements of batches that no checkpoint knows are missed, too")
    func beforeTheCheckpoint() async throws {
        let program = Program()
        let store = EarlyStore()
        let first = try await program.run.harness(from: .zero, store: store, program.declare)
        try await first.ssc.start()
        program.push(first, 1)
        first.clock.advance(by: .seconds(1))
        try await first.listener.first { $0.completedBatch != nil }
        await first.ssc.stop()
        #expect(program.sink.rows == ["1:1"])
        let second = try await program.run.harness(
            from: .seconds(1), store: store, program.declare)
        let error = await #expect(throws: StreamError.self) { try await second.ssc.start() }
        #expect(error?.code == .inputNotReplayable && error?.batchTime == .seconds(1))
    }

    @Test("a computed input says itself whether it can give a batch again")
    func computed() async throws {
        for isReplayable in [false, true] {
            let program = Program()
            program.sink.setDown([.seconds(2)])
            let declare = { (harness: StreamHarness) in
                program.sums(
                    harness.ssc.inputStream(isReplayable: isReplayable) { time, context in
                        context.batch.parallelize(
                            [("a", Int(time.milliseconds / 1000))], partitions: 1)
                    })
            }
            let first = try await program.run.start(from: .zero, declare)
            for _ in 0..<2 { try await first.advanceAndSettle() }
            await first.ssc.stop()
            program.sink.setDown([])
            if isReplayable {
                let second = try await program.run.start(from: .seconds(2), declare)
                try await second.listener.batchSettled(.seconds(2))
                await second.ssc.stop()
                #expect(program.sink.rows == ["1:1", "2:3"])
            } else {
                let error = try await program.run.refusal(from: .seconds(2), declare)
                #expect(error?.code == .inputNotReplayable && error?.site?.name == "inputStream")
            }
        }
    }

    @Test("nothing is taken from a queue when that cannot be noted")
    func notNoted() async throws {
        let program = Program()
        let harness = try await program.run.start(from: .zero, program.declare)
        program.push(harness, 1)
        program.run.medium.fail { $0.path.contains("/chosen/") ? .full : nil }
        try await harness.advanceAndSettle()
        await harness.ssc.stop()
        #expect(program.queue.count == 1)
        #expect(harness.errors.map(\.code) == [.generationFailed])
    }

    @Test("an input that takes elements and fails is not run again without them")
    func tookAndFailed() async throws {
        let program = Program()
        let taken = Notes<BatchTime>()
        struct Failed: Error {}
        let declare = { (harness: StreamHarness) in
            program.sums(
                harness.ssc.inputStream { time, _ in
                    taken.add(time)
                    throw Failed()
                })
        }
        let first = try await program.run.start(from: .zero, declare)
        try await first.advanceAndSettle()
        await first.ssc.stop()
        #expect(taken.all == [.seconds(1)])
        let error = try await program.run.refusal(from: .seconds(1), declare)
        #expect(error?.code == .inputNotReplayable && error?.batchTime == .seconds(1))
    }

    @Test("a computed input is not asked when that cannot be noted")
    func notNotedComputed() async throws {
        let program = Program()
        let asked = Notes<BatchTime>()
        let harness = try await program.run.start(from: .zero) { harness in
            program.sums(
                harness.ssc.inputStream { time, context in
                    asked.add(time)
                    return context.batch.parallelize([("a", 1)])
                })
        }
        program.run.medium.fail { $0.path.contains("/chosen/") ? .full : nil }
        try await harness.advanceAndSettle()
        await harness.ssc.stop()
        #expect(asked.all.isEmpty)
        #expect(harness.errors.map(\.code) == [.generationFailed])
    }

    @Test("a queue gives only what was there before that was noted")
    func noting() async throws {
        struct Full: Error {}
        let rdd = StreamHarness().ssc.batchContext.parallelize([1])
        let queue = RDDQueue<Int>()
        let none = try await queue.take(oneAtATime: false) { Issue.record("noted") }
        #expect(none.isEmpty)
        queue.append(rdd)
        queue.append(rdd)
        await #expect(throws: Full.self) {
            _ = try await queue.take(oneAtATime: false) { throw Full() }
        }
        #expect(queue.count == 2)
        let one = try await queue.take(oneAtATime: true) { #expect(queue.count == 2) }
        #expect(one.count == 1 && queue.count == 1)
    }

    @Test("a restart warns of batches that lack what receivers without a log had received")
    func receivers() async throws {
        let run = DurableRun()
        let sink = ScriptedSink(down: [.seconds(1)])
        func declare(_ harness: StreamHarness, _ feed: Feed<Int>) {
            harness.ssc.receiverStream(feed).foreachRDD { rdd, time in
                try sink.insert(try await rdd.collect().map { "\($0)" }, at: time)
            }
        }
        let feed = Feed<Int>()
        let first = try await run.start(from: .zero) { declare($0, feed) }
        try await feed.store(block: [1])
        try await first.advanceAndSettle()
        await first.ssc.stop()
        #expect(!run.warnings.all.contains { $0.contains("write-ahead log") })
        let second = try await run.start(from: .seconds(1)) { declare($0, Feed<Int>()) }
        await second.ssc.stop()
        let text = "batch 1000 ms runs again without what receiverStream at"
        #expect(run.warnings.all.contains { $0.contains(text) }, "\(run.warnings.all)")
    }
}
