import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// Programs that end anywhere and start again, with outputs into file sinks.
@Suite("Exactly-once outputs", .timeLimit(.minutes(5)))
struct SinkRecoveryTests {
    private static let batches: [[String]?] = [
        ["a b", "b"], ["c"], [], ["a", "a c", "b"], ["b b"], ["a"], [], ["c"],
    ]

    /// What a reader finds in both outputs, batch by batch, sorted.
    private struct Output: Hashable {
        var words: [BatchTime: [String]] = [:]
        var totals: [BatchTime: [String]] = [:]
    }

    private func read(_ medium: SimulatedStorageMedium) async throws -> Output {
        func lines(_ directory: String) async throws -> [BatchTime: [String]] {
            // A program that ended early has not made its directories.
            guard (try? medium.list(directory + "/manifest")) != nil else { return [:] }
            var found: [BatchTime: [String]] = [:]
            for batch in try await FileSink<String>.committedBatches(in: directory, on: medium) {
                let texts = try batch.files.map { file in
                    String(
                        decoding: try medium.readAll(directory + "/" + file.path), as: UTF8.self)
                }
                found[batch.batch] = texts.joined().split(separator: "\n").map(String.init).sorted()
            }
            return found
        }
        return Output(words: try await lines("/words"), totals: try await lines("/totals"))
    }

    /// Counts how often each batch is computed.
    private final class Computed: Sendable {
        private let counts = Locked<[Int64: Int]>([:])

        func note() {
            let time = TaskContext.current?.batchMilliseconds ?? -1
            counts.withLock { $0[time, default: 0] += 1 }
        }

        var batches: [Int64] { counts.withLock { $0.keys.sorted() } }

        /// Whether totals cannot be computed.
        let isRefusing = Locked(false)

        func check() throws {
            if isRefusing.withLock({ $0 }) { throw Refusal() }
        }

        private struct Refusal: Error {}
    }

    /// Runs a program on a medium, going on from what is there, through a batch or until its end.
    ///
    /// - Returns: the time at which it ended.
    private func run(
        _ medium: SimulatedStorageMedium, from start: BatchTime, through last: Int64,
        store: (any CheckpointStore)? = nil, computed: Computed = Computed(), jobs: Int = 1
    ) async throws -> BatchTime {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "sinks")
        defer { try? FileSystem.removeTree(directory) }
        var components = StreamHarness.quietComponents
        if let store {
            components.checkpointStore = store
        } else {
            components.checkpointStore = try await FileCheckpointStore.open(
                "/checkpoints", on: medium)
        }
        var configuration = StreamingContext.Configuration()
        configuration.concurrentJobs = jobs
        let harness = StreamHarness(
            startTime: start, configuration: configuration, components: components)
        let words = harness.ssc.graph.inputStream("input", isReplayable: true) { time, context in
            // By the batch time, as a source that can be asked again.
            let index = Int(time.milliseconds / 1000) - 1
            let batch = index < Self.batches.count ? Self.batches[index] : []
            return batch.map { context.batch.parallelize($0, partitions: 2) }
        }.flatMap { $0.words() }
        words.map { word in
            computed.note()
            return word
        }.write(to: FileSink("/words", on: medium))
        words.map { word in
            try computed.check()
            return (word, 1)
        }.updateStateByKey { values, total -> Int? in
            (total ?? 0) + values.reduce(0, +)
        }.write(to: FileSink("/totals", on: medium))
        _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) { harness.ssc }
        try await harness.ssc.start()
        if computed.isRefusing.withLock({ $0 }) {
            let error = await #expect(throws: StreamError.self) {
                try await harness.ssc.awaitTermination()
            }
            #expect(error?.batchTime == start && error?.site?.name == "map")
            await harness.ssc.stop()
            return harness.clock.now
        }
        var isDone = harness.errors.isEmpty
        while harness.clock.now < .seconds(last), isDone {
            do { try await harness.advance() } catch { isDone = false }
        }
        await harness.ssc.stop(graceful: isDone)
        return harness.clock.now
    }

    private func whole() async throws -> Output {
        let medium = SimulatedStorageMedium()
        _ = try await run(medium, from: .zero, through: 8)
        let output = try await read(medium)
        #expect(output.words.count == 8)
        #expect(output.totals[.seconds(8)] == ["(a,4)", "(b,5)", "(c,3)"])
        return output
    }

    @Test("a batch that the sinks hold and the checkpoint does not is not written again")
    func commitAheadOfCheckpoint() async throws {
        let whole = try await whole()
        let medium = SimulatedStorageMedium()
        let store = ForgetfulStore(refusingCompletionFrom: .seconds(4))
        let first = try await run(medium, from: .zero, through: 6, store: store)
        #expect(first == .seconds(4))
        let held = try await read(medium)
        #expect(held.words.keys.max() == .seconds(4))
        #expect(held.totals.keys.max() == .seconds(4))
        store.recoverFromNow()
        let again = Computed()
        let second = medium.restarted()
        _ = try await run(second, from: first, through: 8, store: store, computed: again)
        #expect(try await read(second) == whole)
        // Its words were not even computed again, though its totals were: later batches need them.
        #expect(again.batches == [5000, 6000, 8000])
    }

    @Test("the state of a batch that was not written again is there after one more restart")
    func stateOfWhatTheSinksHold() async throws {
        let whole = try await whole()
        let store = ForgetfulStore(refusingCompletionFrom: .seconds(4))
        let first = SimulatedStorageMedium()
        let end = try await run(first, from: .zero, through: 6, store: store)
        store.recoverFromNow()
        let second = first.restarted()
        // Batch 4 runs again, which nobody computes, and is complete.
        _ = try await run(second, from: end, through: 4, store: store)
        let third = second.restarted()
        _ = try await run(third, from: end, through: 8, store: store)
        #expect(try await read(third) == whole)
    }

    @Test("a batch that the sinks hold is not complete without its state")
    func stateThatCouldNotBeComputed() async throws {
        let whole = try await whole()
        let store = ForgetfulStore(refusingCompletionFrom: .seconds(4))
        let first = SimulatedStorageMedium()
        let end = try await run(first, from: .zero, through: 6, store: store)
        store.recoverFromNow()
        let second = first.restarted()
        // The sinks hold batch 4, and nothing is written; what fails is its state.
        let computed = Computed()
        computed.isRefusing.withLock { $0 = true }
        _ = try await run(second, from: end, through: 8, store: store, computed: computed)
        let third = second.restarted()
        _ = try await run(third, from: end, through: 8, store: store)
        #expect(try await read(third) == whole)
    }

    @Test("a crash after any operation neither loses nor doubles a batch", arguments: [1, 3])
    func crashes(jobs: Int) async throws {
        let whole = try await whole()
        let counting = SimulatedStorageMedium()
        _ = try await run(counting, from: .zero, through: 5)
        let changes = counting.operations.filter { $0.kind.isChange }.map(\.number)
        for crash in changes.filter({ jobs == 1 || $0 % 3 == 0 }).crashPoints {
            let medium = SimulatedStorageMedium()
            medium.crash(afterOperation: crash)
            let end = (try? await run(medium, from: .zero, through: 5, jobs: jobs)) ?? .zero
            let after = medium.reopened(seed: UInt64(crash))
            _ = try await run(after, from: end, through: 8, jobs: jobs)
            #expect(try await read(after) == whole, "crash after operation \(crash)")
        }
    }

    @Test("a run that does not go on from a checkpoint is refused a sink of its time")
    func foreignBatches() async throws {
        let medium = SimulatedStorageMedium()
        _ = try await run(medium, from: .zero, through: 3)
        let after = medium.restarted()
        let error = try await #require(throws: StreamError.self) {
            _ = try await run(after, from: .zero, through: 3, store: InMemoryCheckpointStore())
        }
        #expect(error.parts.map(\.code) == [.sinkUnusable, .sinkUnusable])
        #expect("\(error)".contains("file:/words"), "\(error)")
        // The sinks were let go: a run that fits takes them.
        _ = try await run(after, from: .seconds(3), through: 4)
    }

    @Test("two outputs into one sink are refused, with both places")
    func sameSink() async throws {
        let medium = SimulatedStorageMedium()
        let harness = StreamHarness()
        let input = harness.input([["a"]])
        input.write(to: FileSink("/out", on: medium), file: "First.swift", line: 1)
        input.map { $0 + "!" }.write(to: FileSink("/out", on: medium), file: "Next.swift", line: 2)
        let error = try await #require(throws: StreamError.self) { try await harness.ssc.start() }
        #expect(error.code == .badDeclaration)
        #expect("\(error)".contains("First.swift:1"), "\(error)")
        #expect("\(error)".contains("Next.swift:2"), "\(error)")
        #expect(medium.operations.isEmpty)
    }

    @Test("a task that fails at first is prepared again; a batch that fails leaves nothing")
    func failures() async throws {
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
        #expect(harness.errors.map(\.batchTime) == [.seconds(2)])
        let committed = try await FileSink<String>.committedBatches(in: "/out", on: medium)
        #expect(committed.map(\.batch) == [.seconds(1), .seconds(3)])
        #expect(try medium.list("/out/staged") == [])
        #expect(try medium.list("/out/data").count == 3)
    }

    @Test("a window's slide is the step of its batches")
    func slide() async throws {
        let medium = SimulatedStorageMedium()
        let harness = StreamHarness()
        harness.input([["a"], ["b"], ["c"], ["d"], ["e"], ["f"]])
            .window(.seconds(4), slide: .seconds(2)).write(to: FileSink("/out", on: medium))
        try await harness.run(batches: 6)
        let sink = FileSink<String>("/out", on: medium)
        #expect(
            try await sink.recover(slide: .seconds(2)).ranges == [
                CommittedBatches.Range(.seconds(2), through: .seconds(6), step: .seconds(2))
            ])
    }

    private struct Boom: Error {}
}

/// A store in memory that does not take some records.
private final class ForgetfulStore: CheckpointStore {
    private struct Refused: Error {}

    private let store = InMemoryCheckpointStore()
    private let isTaken: Locked<@Sendable (CheckpointRecord) -> Bool>

    init(refusingCompletionFrom batch: BatchTime) {
        isTaken = Locked { record in (record.newestCompleted ?? .zero) < batch }
    }

    func recoverFromNow() { isTaken.withLock { $0 = { _ in true } } }

    func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
        guard isTaken.withLock({ $0 })(record) else { throw Refused() }
        try await store.write(record, state: state)
    }

    func recover() async throws -> RecoveredCheckpoint? { try await store.recover() }
}
