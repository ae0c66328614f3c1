import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// Streams that read ranges of offsets, and what their batches read after a crash.
@Suite("Direct streams", .timeLimit(.minutes(5)))
struct DirectStreamTests {
    /// A topic in memory, whose first records may have expired.
    private final class Topic: DirectSource {
        struct Expired: Error {}

        private let partitions = Mutex<[Int: [String]]>([:])
        private let expired = Mutex(0)

        func add(_ records: String..., to partition: Int = 0) {
            partitions.withLock { $0[partition, default: []] += records }
        }

        func expire(before offset: Int) { expired.withLock { $0 = offset } }

        func latestOffsets() async throws -> [TopicPartition: Int64] {
            partitions.withLock { partitions in
                Dictionary(
                    uniqueKeysWithValues: partitions.map {
                        (TopicPartition(topic: "t", partition: $0), Int64($1.count))
                    })
            }
        }

        func startingOffset(of partition: TopicPartition) async throws -> Int64 { 0 }

        func read(_ range: OffsetRange, _ body: (String) throws -> Void) throws {
            if range.fromOffset < expired.withLock({ $0 }) { throw Expired() }
            let records = partitions.withLock { $0[range.partition] ?? [] }
            for record in records[Int(range.fromOffset)..<Int(range.untilOffset)] {
                try body(record)
            }
        }
    }

    /// A store that keeps the first checkpoint only, as when the disk fails from then on.
    private final class ForgetfulStore: CheckpointStore {
        struct Full: Error {}
        private let kept = Mutex<RecoveredCheckpoint?>(nil)

        func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
            try kept.withLock { kept in
                if kept != nil { throw Full() }
                kept = RecoveredCheckpoint(record: record, state: state)
            }
        }

        func recover() async throws -> RecoveredCheckpoint? {
            kept.withLock { $0 }
        }
    }

    private func start(
        _ directory: String, _ store: (any CheckpointStore)? = nil, from start: BatchTime,
        _ declare: (StreamHarness) -> Void
    ) async throws -> StreamHarness {
        var components = StreamHarness.quietComponents
        components.checkpointStore = store
        let harness = StreamHarness(startTime: start, components: components)
        declare(harness)
        _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) { harness.ssc }
        try await harness.ssc.start()
        return harness
    }

    private func inDirectory(_ body: (String) async throws -> Void) async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "direct")
        defer { try? FileSystem.removeTree(directory) }
        try await body(directory)
    }

    @Test func batchesTakeWhatWasAdded() async throws {
        let topic = Topic()
        let harness = StreamHarness()
        let direct = harness.ssc.directStream(topic, maxRatePerPartition: 2)
        let seen = harness.record(direct.stream.glom())
        try await harness.ssc.start()
        topic.add("a", "b", "c")
        topic.add("x", to: 1)
        for _ in 0..<3 { try await harness.advance() }
        await harness.ssc.stop()
        #expect(seen.batches.map(\.elements) == [[["a", "b"], ["x"]], [["c"], []], [[], []]])
        let first = TopicPartition(topic: "t", partition: 0)
        #expect(
            direct.offsetRanges(of: .seconds(3)).first == OffsetRange(first, from: 3, until: 3))
    }

    @Test func aCheckReadsWhatWasChosen() async throws {
        try await inDirectory { directory in
            let topic = Topic()
            let declare = { (harness: StreamHarness) in
                _ = harness.record(harness.ssc.directStream(topic).stream)
            }
            let harness = try await start(directory, from: .zero, declare)
            topic.add("a")
            try await harness.advance()
            await harness.ssc.stop(graceful: true)
            let check = try await StreamingContext.checkRecovery(checkpointDirectory: directory) {
                let harness = StreamHarness()
                declare(harness)
                return harness.ssc
            }
            #expect(check.canStart, "\(check)")
            #expect(check.findings.contains { $0.hasPrefix("chosen: ") }, "\(check)")
        }
    }

    @Test func aRangeThatCannotBeReadFailsItsBatch() async throws {
        let topic = Topic()
        topic.add("a")
        topic.expire(before: 1)
        let harness = StreamHarness()
        _ = harness.record(harness.ssc.directStream(topic).stream)
        await #expect(throws: StreamError.self) { try await harness.run(batches: 1) }
        #expect(harness.errors.contains { "\($0)".contains("directStream") }, "\(harness.errors)")
        #expect(harness.errors.contains { "\($0)".contains("Expired") }, "\(harness.errors)")
    }

    /// A partition that ends where it is told to.
    private final class Ends: DirectSource {
        private let start: Int64
        private let ends: Mutex<[Int64]>
        private let partitions: Int

        init(start: Int64, ends: [Int64], partitions: Int = 1) {
            self.start = start
            self.ends = Mutex(ends)
            self.partitions = partitions
        }

        func latestOffsets() async throws -> [TopicPartition: Int64] {
            let end = ends.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
            return Dictionary(
                uniqueKeysWithValues: (0..<partitions).map {
                    (TopicPartition(topic: "t", partition: $0), end)
                })
        }

        func startingOffset(of partition: TopicPartition) async throws -> Int64 { start }

        func read(_ range: OffsetRange, _ body: (Int64) throws -> Void) throws {
            try body(range.untilOffset)
        }
    }

    @Test(arguments: [(0, [3, 2], "earlier batches ended at 3"), (9, [3], "startingOffset")])
    func offsetsThatGoBackFailTheBatch(start: Int64, ends: [Int64], message: String) async throws {
        let harness = StreamHarness()
        let source = Ends(start: start, ends: ends)
        let seen = harness.record(harness.ssc.directStream(source).stream)
        try await harness.ssc.start()
        for _ in ends { try await harness.advanceAndSettle() }
        await harness.ssc.stop()
        #expect(seen.batches.flatMap(\.elements) == (ends.count > 1 ? [3] : []))
        #expect(harness.errors.contains { "\($0)".contains(message) }, "\(harness.errors)")
    }

    @Test func rangesOfAllOffsetsAreCounted() async throws {
        let harness = StreamHarness()
        let source = Ends(start: .min, ends: [.max], partitions: 3)
        let direct = harness.ssc.directStream(source)
        let seen = harness.record(direct.stream)
        try await harness.ssc.start()
        try await harness.advance()
        await harness.ssc.stop()
        #expect(seen.batches.map(\.elements) == [[.max, .max, .max]])
        #expect(direct.offsetRanges(of: .seconds(1)).map(\.count) == [.max, .max, .max])
        #expect(harness.errors.isEmpty, "\(harness.errors)")
    }

    @Test func aRestartGoesOnAtTheOffsets() async throws {
        try await inDirectory { directory in
            let topic = Topic()
            topic.add("a", "b")
            var batches: [[String]] = []
            for run in 0..<3 {
                var output: OutputRecorder<String>?
                let harness = try await start(directory, from: .seconds(Int64(run * 2))) {
                    output = $0.record($0.ssc.directStream(topic).stream)
                }
                try await harness.advance()
                topic.add("\(run)")
                try await harness.advance()
                await harness.ssc.stop(graceful: true)
                #expect(harness.errors.isEmpty, "\(harness.errors)")
                batches += output?.batches.map(\.elements) ?? []
            }
            #expect(batches == [["a", "b"], ["0"], [], ["1"], [], ["2"]])
        }
    }

    @Test func aBatchThatRunsAgainReadsTheSame() async throws {
        try await inDirectory { directory in
            let (topic, store) = (Topic(), ForgetfulStore())
            topic.add("a", "b")
            var output: OutputRecorder<String>?
            let first = try await start(directory, store, from: .zero) {
                output = $0.record($0.ssc.directStream(topic).stream)
            }
            try await first.advanceUntilCompleted()
            topic.add("c")
            try await first.advanceUntilCompleted()
            await first.ssc.stop()
            #expect(output?.batches.map(\.elements) == [["a", "b"], ["c"]])

            topic.add("d")
            let second = try await start(directory, store, from: .seconds(2)) {
                output = $0.record($0.ssc.directStream(topic).stream)
            }
            try await second.advanceUntilCompleted()
            await second.ssc.stop()
            #expect(output?.batches.map(\.elements) == [["a", "b"], ["c"], ["d"]])
        }
    }

    @Test func aFileBatchThatRunsAgainReadsTheSame() async throws {
        try await inDirectory { directory in
            let watched = try WatchedDirectory()
            let store = ForgetfulStore()
            var output: OutputRecorder<String>?
            func run(from start: BatchTime) async throws -> StreamHarness {
                try await self.start(directory, store, from: start) {
                    output = $0.record($0.ssc.textFileStream(watched.path))
                }
            }
            let first = try await run(from: .zero)
            try watched.write("one", "1\n", at: 500)
            try await first.advanceUntilCompleted()
            try watched.write("two", "2\n", at: 1500)
            try await first.advanceUntilCompleted()
            await first.ssc.stop()
            #expect(output?.batches.map(\.elements) == [["1"], ["2"]])

            // It comes late, and would have been the first batch's.
            try watched.write("late", "late\n", at: 600)
            let second = try await run(from: .seconds(2))
            try await second.advanceUntilCompleted()
            await second.ssc.stop()
            #expect(output?.batches.map(\.elements) == [["1"], ["2"], ["late"]])
        }
    }
}
