import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// Promises S21 to S25 of `Docs/Semantics.md`; `SinkRecoveryTests` tries them at every crash.
@Suite("Outputs once", .timeLimit(.minutes(5)))
struct SinkPromises {
    private func committed(_ medium: SimulatedStorageMedium) async throws -> [BatchTime: [String]] {
        let batches = try await FileSink<String>.committedBatches(in: "/out", on: medium)
        return try Dictionary(
            uniqueKeysWithValues: batches.map { batch in
                let texts = try batch.files.map { file in
                    String(decoding: try medium.readAll("/out/" + file.path), as: UTF8.self)
                }
                return (batch.batch, texts.joined().split(separator: "\n").map(String.init))
            })
    }

    @Test("S21: a batch is in a sink as a whole or not at all")
    func whole() async throws {
        let medium = SimulatedStorageMedium()
        var configuration = StreamingContext.Configuration()
        configuration.failurePolicy = .continue
        configuration.maxTaskFailures = 2
        let harness = StreamHarness(configuration: configuration)
        harness.input([["a", "b"], ["c", "bad"], ["d"]]).map { element in
            if TaskContext.current?.attempt == 0 || element == "bad" { throw Boom() }
            return element
        }.write(to: FileSink("/out", on: medium))
        try await harness.run(batches: 3)
        #expect(try await committed(medium) == [.seconds(1): ["a", "b"], .seconds(3): ["d"]])
    }

    @Test("S22: a batch that a sink holds is neither written nor computed again")
    func once() async throws {
        let medium = SimulatedStorageMedium()
        let computed = Locked<[String]>([])
        // Each run begins anew, as if no checkpoint of the first had been kept.
        for _ in 0..<2 {
            let store = RecordedCheckpoints(pending: [.seconds(1)])
            var components = StreamHarness.quietComponents
            components.checkpointStore = store
            let harness = StreamHarness(components: components)
            harness.input([["a"]]).map { element in
                computed.withLock { $0.append(element) }
                return element
            }.write(to: FileSink("/out", on: medium))
            let directory = try FileSystem.createTemporaryDirectory(prefix: "sinks")
            defer { try? FileSystem.removeTree(directory) }
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                harness.ssc
            }
            try await harness.ssc.start()
            try await harness.listener.batchSettled(.seconds(1))
            await harness.ssc.stop()
            #expect(harness.errors.isEmpty, "\(harness.errors)")
        }
        #expect(computed.withLock { $0 } == ["a"])
        #expect(try await committed(medium) == [.seconds(1): ["a"]])
    }

    @Test("S23: what a batch reads is durable before any of its jobs runs")
    func inputFirst() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "sinks")
        defer { try? FileSystem.removeTree(directory) }
        let harness = StreamHarness()
        let durable = Locked<[Int]>([])
        harness.ssc.directStream(Numbers()).stream.foreachRDD { _ in
            var count = 0
            for try await _ in try await LogInspection(of: directory + "/chosen").records {
                count += 1
            }
            durable.withLock { [count] in $0.append(count) }
        }
        harness.ssc.checkpoint(directory)
        try await harness.run(batches: 3)
        #expect(harness.errors.isEmpty, "\(harness.errors)")
        #expect(durable.withLock { $0 } == [1, 2, 3])
    }

    private struct Numbers: DirectSource {
        func latestOffsets() async throws -> [TopicPartition: Int64] {
            [TopicPartition(topic: "numbers", partition: 0): 1]
        }
        func startingOffset(of partition: TopicPartition) async throws -> Int64 { 0 }
        func read(_ range: OffsetRange, _ body: (Int64) throws -> Void) throws {
            for number in range.fromOffset..<range.untilOffset { try body(number) }
        }
    }

    @Test("S24: two outputs on one sink, and a sink of another run, are refused")
    func refused() async throws {
        let medium = SimulatedStorageMedium()
        let twice = StreamHarness()
        let input = twice.input([["a"]])
        input.write(to: FileSink("/out", on: medium))
        input.write(to: FileSink("/out", on: medium))
        let declared = await #expect(throws: StreamError.self) { try await twice.ssc.start() }
        #expect(declared?.code == .badDeclaration)

        let first = StreamHarness()
        first.input([["a"]]).write(to: FileSink("/out", on: medium))
        try await first.ssc.start()
        try await first.advance()
        let second = StreamHarness(startTime: .seconds(5))
        second.input([["a"]]).write(to: FileSink("/out", on: medium))
        let inUse = await #expect(throws: StreamError.self) { try await second.ssc.start() }
        #expect(inUse?.code == .sinkUnusable)
        #expect((inUse?.underlying as? SinkError)?.code == .locked)
        await first.ssc.stop()

        let earlier = StreamHarness()
        earlier.input([["b"]]).write(to: FileSink("/out", on: medium))
        let foreign = await #expect(throws: StreamError.self) { try await earlier.ssc.start() }
        #expect(foreign?.code == .sinkUnusable)
        #expect(try await committed(medium) == [.seconds(1): ["a"]])
    }

    @Test("S25: a task knows batch, partition and try")
    func tasks() async throws {
        let seen = Locked<[String]>([])
        var configuration = StreamingContext.Configuration()
        configuration.maxTaskFailures = 3
        for _ in 0..<2 {
            let harness = StreamHarness(configuration: configuration)
            harness.input([["a", "b"], ["c"]]).foreachPartition { chunks, task in
                let elements = chunks.flatMap { Array($0) }
                let time = try #require(task.batchTime)
                seen.withLock {
                    $0.append("\(time) \(task.partition) \(task.attempt) \(elements)")
                }
                if task.partition == 1, task.attempt < 2 { throw Boom() }
            }
            try await harness.run(batches: 2)
            #expect(harness.errors.isEmpty, "\(harness.errors)")
        }
        let once =
            ["1000 ms 0 0 [\"a\"]", "2000 ms 0 0 []"]
            + (0..<3).flatMap { ["1000 ms 1 \($0) [\"b\"]", "2000 ms 1 \($0) [\"c\"]"] }
        #expect(seen.withLock { $0.sorted() } == (once + once).sorted())
    }
}

/// A store that always finds the same: a run that had begun some batches and completed none.
private struct RecordedCheckpoints: CheckpointStore {
    let pending: [BatchTime]

    func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {}

    func recover() async throws -> RecoveredCheckpoint? {
        RecoveredCheckpoint(
            record: CheckpointRecord(
                time: pending.last ?? .zero, appName: "harness", zeroTime: .zero,
                batchInterval: .seconds(1), fingerprint: "", pendingBatches: pending,
                isCompleted: false), state: [])
    }
}
