import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// Direct sources whose records are gone, or that cannot be asked for a while.
@Suite("Direct sources that lose records", .timeLimit(.minutes(5)))
struct DirectLossTests {
    struct Away: Error, CustomStringConvertible { let description = "the broker is away" }
    struct Expired: Error, CustomStringConvertible { let description = "expired" }

    /// Partitions of a topic that last from one offset to another; a record is its offset as text.
    private final class Broker: DirectSource {
        struct Contents: Sendable {
            var partitions: [Int: Range<Int64>] = [0: 0..<0]
            var knowsEarliest = true
            /// How many questions are to fail.
            var failures = 0
            var questions = 0
        }
        private let contents = Locked(Contents())

        init(_ range: Range<Int64>) { set([0: range]) }

        func set(_ partitions: [Int: Range<Int64>]) {
            contents.withLock { $0.partitions = partitions }
        }

        func change(_ body: @Sendable (inout Contents) -> Void) {
            contents.withLock { body(&$0) }
        }

        var questions: Int { contents.withLock { $0.questions } }

        private func offsets(_ offset: (Range<Int64>) -> Int64) -> [TopicPartition: Int64] {
            let partitions = contents.withLock { $0.partitions }
            return Dictionary(
                uniqueKeysWithValues: partitions.map {
                    (TopicPartition(topic: "t", partition: $0), offset($1))
                })
        }

        func latestOffsets() async throws -> [TopicPartition: Int64] {
            try contents.withLock { contents in
                contents.questions += 1
                if contents.failures > 0 {
                    contents.failures -= 1
                    throw Away()
                }
            }
            return offsets(\.upperBound)
        }

        func earliestOffsets() async throws -> [TopicPartition: Int64] {
            contents.withLock { $0.knowsEarliest } ? offsets(\.lowerBound) : [:]
        }

        /// The first record for partition 0, and the end for others, as for those who want news only.
        func startingOffset(of partition: TopicPartition) async throws -> Int64 {
            let range = contents.withLock { $0.partitions[partition.partition] } ?? 0..<0
            return partition.partition == 0 ? range.lowerBound : range.upperBound
        }

        func read(_ range: OffsetRange, _ body: (String) throws -> Void) throws {
            let known = contents.withLock { $0.partitions[range.partition] } ?? 0..<0
            guard range.fromOffset >= known.lowerBound, range.untilOffset <= known.upperBound else {
                throw Expired()
            }
            for offset in range.fromOffset..<range.untilOffset {
                try body("\(range.partition):\(offset)")
            }
        }
    }

    private static func declare(
        _ harness: StreamHarness, _ broker: Broker, _ sink: ScriptedSink,
        _ onDataLoss: DataLossPolicy = .fail
    ) {
        harness.ssc.directStream(
            broker, onDataLoss: onDataLoss,
            retry: RetryPolicy(maxAttempts: 3, initialBackoff: .milliseconds(100))
        ).stream.foreachRDD { rdd, time in
            try sink.insert(try await rdd.collect(), at: time)
        }
    }

    private func rows(_ sink: ScriptedSink, after time: Int64) -> [String] {
        sink.rows.filter { row in
            row.split(separator: ":").first.flatMap { Int64($0) }.map { $0 > time } ?? false
        }
    }

    @Test(
        "a topic made anew fails by name until a policy is chosen, however long it has grown",
        arguments: [DataLossPolicy.earliest, .skip])
    func madeAnew(_ way: DataLossPolicy) async throws {
        let (broker, sink, run) = (Broker(0..<5), ScriptedSink(), DurableRun())
        let first = try await run.start(from: .zero) { Self.declare($0, broker, sink) }
        try await first.advanceAndSettle()
        #expect(sink.rows.count == 5)
        broker.set([0: 0..<2])
        try await first.advanceAndSettle()
        await first.ssc.stop()
        let text = "t-0 ended at offset 2, and earlier batches ended at 5"
        #expect("\(first.errors)".contains(text), "\(first.errors)")
        #expect("\(first.errors)".contains("onDataLoss: .earliest or .skip"))

        // By now nobody could tell by the offsets.
        broker.set([0: 0..<9])
        let second = try await run.start(from: .seconds(2)) { Self.declare($0, broker, sink) }
        try await second.listener.batchSettled(.seconds(2))
        await second.ssc.stop()
        #expect("\(second.errors)".contains(text), "\(second.errors)")
        #expect(sink.rows.count == 5)
        let pending = try await run.pendingInputs()
        #expect(pending.map(\.kind) == [.lostOffsets])

        let third = try await run.start(from: .seconds(2)) { Self.declare($0, broker, sink, way) }
        try await third.listener.batchSettled(.seconds(2))
        broker.set([0: 0..<10])
        try await third.advanceAndSettle()
        await third.ssc.stop(graceful: true)
        let old = way == .earliest ? (0..<9).map { "2:0:\($0)" } : []
        #expect(rows(sink, after: 1) == old + ["3:0:9"])
        #expect(third.errors.isEmpty && third.skipped.count == 1, "\(third.skipped)")
        #expect(third.skipped.first?.contains(text) == true)
        #expect(run.warnings.all.contains { $0.contains(text) })
    }

    @Test("under .continue no batch reads past the loss, and none is silent about it")
    func staysLost() async throws {
        let (broker, sink) = (Broker(0..<5), ScriptedSink())
        var run = DurableRun()
        run.policy = .continue
        let harness = try await run.start(from: .zero) { Self.declare($0, broker, sink) }
        try await harness.advanceAndSettle()
        for end in [Int64(2), 5, 7] {
            broker.set([0: 0..<end])
            try await harness.advanceAndSettle()
        }
        let report = await harness.ssc.stop()
        #expect(sink.rows.count == 5)
        #expect(harness.errors.map(\.batchTime) == [.seconds(2), .seconds(3), .seconds(4)])
        #expect(report.failedBatches == [.seconds(2), .seconds(3), .seconds(4)])

        // The first of them reads all there is; the others leave nothing out and read nothing twice.
        let second = try await run.start(from: .seconds(4)) {
            Self.declare($0, broker, sink, .earliest)
        }
        try await second.listener.batchSettled(.seconds(4))
        await second.ssc.stop(graceful: true)
        #expect(rows(sink, after: 1) == (0..<7).map { "2:0:\($0)" })
        #expect(second.skipped.count == 1)
    }

    @Test(
        "a loss that was none is forgotten by hand, and the stream reads on where it was",
        arguments: [FailurePolicy.stop, .continue], [false, true])
    func isBack(_ policy: FailurePolicy, wasGone: Bool) async throws {
        let (broker, sink) = (Broker(0..<5), ScriptedSink())
        var run = DurableRun()
        run.policy = policy
        let first = try await run.start(from: .zero) { Self.declare($0, broker, sink) }
        try await first.advanceAndSettle()
        // The answer of a replica that lags.
        broker.set(wasGone ? [:] : [0: 0..<2])
        try await first.advanceAndSettle()
        if policy == .continue { try await first.advanceAndSettle() }
        await first.ssc.stop()
        broker.set([0: 0..<7])
        let end = BatchTime.seconds(policy == .continue ? 3 : 2)
        let second = try await run.start(from: end) { Self.declare($0, broker, sink) }
        try await second.listener.batchSettled(.seconds(2))
        await second.ssc.stop()
        let text = "stop, and run: inspect inputs forget DIR 2000 0"
        #expect("\(second.errors)".contains(text), "\(second.errors)")
        #expect(sink.rows.count == 5)

        try await run.forget(for: .seconds(2))
        let third = try await run.start(from: end) { Self.declare($0, broker, sink) }
        try await third.listener.batchSettled(end)
        try #require(third.errors.isEmpty, "\(third.errors)")
        broker.set([0: 0..<8])
        try await third.advanceAndSettle()
        let report = await third.ssc.stop(graceful: true)
        let next = end.milliseconds / 1000 + 1
        #expect(rows(sink, after: 1) == ["2:0:5", "2:0:6", "\(next):0:7"])
        #expect(third.errors.isEmpty && third.skipped.isEmpty && report.pendingBatches.isEmpty)
    }

    @Test("a partition that appears after the first batch is read from its beginning")
    func created() async throws {
        for isRestarted in [false, true] {
            let (broker, sink, run) = (Broker(0..<0), ScriptedSink(), DurableRun())
            broker.set([:])
            var harness = try await run.start(from: .zero) { Self.declare($0, broker, sink) }
            try await harness.advanceAndSettle()
            if isRestarted {
                await harness.ssc.stop(graceful: true)
                harness = try await run.start(from: .seconds(1)) { Self.declare($0, broker, sink) }
            }
            broker.set([1: 0..<3])
            try await harness.advanceAndSettle()
            await harness.ssc.stop(graceful: true)
            #expect(sink.rows == (0..<3).map { "2:1:\($0)" } && harness.errors.isEmpty)
        }
    }

    @Test("records that expired unread are told, and the stream reads on where they end")
    func expired() async throws {
        for way in [DataLossPolicy.fail, .earliest, .skip] {
            let (broker, sink) = (Broker(0..<2), ScriptedSink())
            var run = DurableRun()
            run.policy = .continue
            let harness = try await run.start(from: .zero) { Self.declare($0, broker, sink, way) }
            try await harness.advanceAndSettle()
            broker.set([0: 6..<8])
            try await harness.advanceAndSettle()
            broker.set([0: 6..<9])
            try await harness.advanceAndSettle()
            await harness.ssc.stop()
            let text = "t-0 begins at offset 6, and earlier batches ended at 2"
            switch way {
            case .fail:
                #expect(rows(sink, after: 1).isEmpty && harness.errors.count == 2)
                #expect("\(harness.errors)".contains(text), "\(harness.errors)")
            case .earliest: #expect(rows(sink, after: 1) == ["2:0:6", "2:0:7", "3:0:8"])
            case .skip: #expect(rows(sink, after: 1) == ["3:0:8"])
            }
            if way != .fail {
                #expect(harness.skipped.count == 1, "\(harness.skipped)")
                #expect(harness.skipped.first?.contains(text) == true)
            }
        }
    }

    @Test("a partition that is gone is told; one that is new is read from its beginning")
    func partitions() async throws {
        for way in [DataLossPolicy.fail, .earliest] {
            let (broker, sink) = (Broker(0..<1), ScriptedSink())
            var run = DurableRun()
            run.policy = .continue
            let harness = try await run.start(from: .zero) { Self.declare($0, broker, sink, way) }
            try await harness.advanceAndSettle()
            broker.set([0: 0..<2, 1: 3..<5])
            try await harness.advanceAndSettle()
            #expect(rows(sink, after: 1) == ["2:0:1", "2:1:3", "2:1:4"])
            broker.set([0: 0..<3])
            try await harness.advanceAndSettle()
            broker.set([0: 0..<3, 1: 0..<9])
            try await harness.advanceAndSettle()
            await harness.ssc.stop()
            let text = "t-1 was found to be gone; earlier batches ended at offset 5"
            if way == .fail {
                #expect(rows(sink, after: 2).isEmpty && harness.errors.count == 2)
                #expect("\(harness.errors)".contains(text), "\(harness.errors)")
            } else {
                let back = (0..<9).map { "4:1:\($0)" }
                #expect(rows(sink, after: 2) == ["3:0:2"] + back, "\(harness.errors)")
                #expect(harness.skipped.count == 1 && harness.skipped[0].contains(text))
            }
        }
    }

    @Test("without the oldest offsets it is the reading that fails, and the letter names the range")
    func unread() async throws {
        let (broker, sink) = (Broker(0..<2), ScriptedSink())
        broker.change { $0.knowsEarliest = false }
        var run = DurableRun()
        run.policy = .deadLetter
        let harness = try await run.start(from: .zero) { Self.declare($0, broker, sink) }
        try await harness.advanceAndSettle()
        broker.change { $0.partitions = [0: 3..<5] }
        try await harness.advanceAndSettle()
        broker.set([0: 3..<6])
        try await harness.advanceAndSettle()
        await harness.ssc.stop(graceful: true)
        #expect(rows(sink, after: 1) == ["3:0:5"] && harness.errors.isEmpty)
        let unread = try #require(try await run.letters().first?.inputs.first?.unread)
        #expect(unread.map(\.name) == ["t-0: 2..<5"])
        #expect(unread[0].reason.contains("expired"), "\(unread)")

        broker.set([0: 2..<6])
        let replay = StreamHarness(components: run.quietComponents)
        replay.ssc.checkpoint(DurableRun.directory)
        Self.declare(replay, broker, sink)
        let report = try await replay.ssc.replayDeadLetters()
        #expect(report.replayed.count == 1, "\(report)")
        #expect(sink.rows.suffix(3) == ["2:0:2", "2:0:3", "2:0:4"])
    }

    @Test("what an operator throws is not blamed on the source")
    func notTheSource() async throws {
        let harness = StreamHarness()
        harness.ssc.directStream(Broker(0..<1)).stream.map { _ -> Int in throw Boom() }
            .foreachRDD { rdd in _ = try await rdd.count() }
        await #expect(throws: StreamError.self) { try await harness.run(batches: 1) }
        let text = "\(harness.errors)"
        #expect(text.contains("boom") && !text.contains("cannot be read"), "\(text)")
        #expect(harness.errors.first?.site?.name == "map")
    }

    // MARK: A source that cannot be asked for a while

    /// Lets the clock pass the waits before the next attempts.
    private func wait(_ harness: StreamHarness, _ waits: [Int64]) async throws {
        for wait in waits {
            let end = harness.clock.now + .milliseconds(wait)
            await harness.clock.waitForSleeper(until: end)
            harness.clock.set(to: end)
        }
    }

    @Test("a question that fails is asked again, and the batch has its records")
    func transient() async throws {
        let (broker, sink, run) = (Broker(0..<2), ScriptedSink(), DurableRun())
        broker.change { $0.failures = 2 }
        let harness = try await run.start(from: .zero) { Self.declare($0, broker, sink) }
        harness.clock.advance(by: .seconds(1))
        try await wait(harness, [100, 200])
        try await harness.listener.batchSettled(.seconds(1))
        await harness.ssc.stop()
        #expect(sink.rows == ["1:0:0", "1:0:1"] && harness.errors.isEmpty)
        #expect(broker.questions == 3)
        let waits = harness.listener.events.compactMap { event -> Duration? in
            guard case .inputRetrying(_, _, _, let delay, let reason) = event else { return nil }
            #expect(reason == "the broker is away")
            return delay
        }
        #expect(waits == [.milliseconds(100), .milliseconds(200)])
        #expect(run.warnings.all.contains { $0.contains("the broker is away") })
    }

    @Test("when it fails for longer, the policy decides and later batches take the records")
    func away() async throws {
        for policy in [FailurePolicy.stop, .continue, .deadLetter] {
            let (broker, sink) = (Broker(0..<2), ScriptedSink())
            var run = DurableRun()
            run.policy = policy
            broker.change { $0.failures = 3 }
            let harness = try await run.start(from: .zero) { Self.declare($0, broker, sink) }
            harness.clock.advance(by: .seconds(1))
            try await wait(harness, [100, 200])
            try await harness.listener.batchSettled(.seconds(1))
            #expect(broker.questions == 3)
            if policy == .stop {
                await harness.ssc.stop()
                #expect("\(harness.errors)".contains("the broker is away"))
                continue
            }
            harness.clock.advance(by: .milliseconds(700))
            try await harness.listener.batchSettled(.seconds(2))
            let report = await harness.ssc.stop(graceful: true)
            #expect(sink.rows == ["2:0:0", "2:0:1"])
            #expect(report.failedBatches == (policy == .continue ? [.seconds(1)] : []))
            guard policy == .deadLetter else { continue }
            #expect(harness.errors.isEmpty, "\(harness.errors)")
            let letter = try #require(try await run.letters().first)
            #expect(letter.entry.reason.contains("the broker is away"))
            #expect(letter.entry.elementCount == 0 && letter.entry.unreadCount == 0)
            // There is nothing to run again: a later batch has it.
            let replay = StreamHarness(components: run.quietComponents)
            replay.ssc.checkpoint(DurableRun.directory)
            Self.declare(replay, broker, sink)
            #expect(try await replay.ssc.replayDeadLetters().replayed.count == 1)
            #expect(sink.rows == ["2:0:0", "2:0:1"])
        }
    }

    @Test(
        "a window that asks for the failed batch takes nothing from the next one",
        arguments: [FailurePolicy.continue, .deadLetter])
    func awayBelowWindow(_ policy: FailurePolicy) async throws {
        let (broker, sink) = (Broker(0..<2), ScriptedSink())
        var run = DurableRun()
        run.policy = policy
        broker.change { $0.failures = 3 }
        let counts = Notes<Int>()
        let harness = try await run.start(from: .zero) { harness in
            let lines = harness.ssc.directStream(
                broker, retry: RetryPolicy(maxAttempts: 3, initialBackoff: .milliseconds(100))
            ).stream
            lines.map { ($0, 1) }.reduceByKeyAndWindow(+, window: .seconds(3)).foreachRDD {
                counts.add(try await $0.count())
            }
            lines.foreachRDD { rdd, time in try sink.insert(try await rdd.collect(), at: time) }
        }
        harness.clock.advance(by: .seconds(1))
        try await wait(harness, [100, 200])
        try await harness.listener.batchSettled(.seconds(1))
        harness.clock.advance(by: .milliseconds(700))
        try await harness.listener.batchSettled(.seconds(2))
        await harness.ssc.stop(graceful: true)
        #expect(sink.rows == ["2:0:0", "2:0:1"] && counts.all == [2])
    }

    @Test("a stop ends the wait for the next attempt")
    func stopped() async throws {
        let (broker, sink, run) = (Broker(0..<2), ScriptedSink(), DurableRun())
        broker.change { $0.failures = 3 }
        let harness = try await run.start(from: .zero) { Self.declare($0, broker, sink) }
        harness.clock.advance(by: .seconds(1))
        await harness.clock.waitForSleeper(until: .seconds(1) + .milliseconds(100))
        let report = await harness.ssc.stop()
        #expect(report.pendingBatches == [.seconds(1)] && harness.errors.isEmpty)
        #expect(broker.questions == 1)
    }

    @Test("a retry that cannot work is refused with its place")
    func badRetry() async throws {
        let harness = StreamHarness()
        harness.ssc.directStream(Broker(0..<1), retry: RetryPolicy(maxAttempts: 0)).stream
            .foreachRDD { _ in }
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        #expect(error?.code == .badDeclaration && error?.site?.name == "directStream")
    }
}
