import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// A window with inverse is in few checkpoints, and comes back exactly from what its batches left.
@Suite("Recovery of windows with inverse", .timeLimit(.minutes(5)))
struct IncrementalWindowRecoveryTests {
    private struct Failure: Error {}

    /// Notes of which batches checkpoints have the window, and of which its panes.
    private final class WatchedStore: CheckpointStore {
        private let store: FileCheckpointStore
        private let failing: BatchTime?
        private let times = Mutex<[String: [Int64]]>([:])

        init(_ store: FileCheckpointStore, failing: BatchTime?) {
            self.store = store
            self.failing = failing
        }

        func write(_ record: CheckpointRecord, state pieces: [OperatorState]) async throws {
            if let failing, record.newestCompleted == failing { throw Failure() }
            try await store.write(record, state: pieces)
            let shapes = record.operators.map { ($0.stateID, $0.shape) }
            times.withLock { times in
                for piece in pieces where piece.partition == 0 {
                    let shape = shapes.first { $0.0 == piece.operatorID }?.1 ?? ""
                    times[shape, default: []].append(piece.time.milliseconds / 1000)
                }
            }
        }

        func recover() async throws -> RecoveredCheckpoint? { try await store.recover() }

        var windows: [Int64] { times.withLock { $0["(String,(Int,Int))"] ?? [] } }
        var panes: [Int64] { times.withLock { $0["(String,Int)"] ?? [] } }
    }

    private struct Run {
        var output: [BatchTime: [String]] = [:]
        var windows: [Int64] = []
        var panes: [Int64] = []
    }

    private static let batches: [[(String, Int)]?] = (0..<40).map { number in
        (0..<3).map { ("key\((number * 5 + $0 * 3) % 6)", (number + 1) * 10 + $0) }
    }

    /// Runs from one batch to another, going on from what the medium holds; the batch `bad` fails.
    private func run(
        on medium: SimulatedStorageMedium, from first: Int, to last: Int, interval: Duration? = nil,
        bad: Int? = nil, unwritten: Int? = nil
    ) async throws -> Run {
        let files = try await FileCheckpointStore.open("/state", on: medium)
        let store = WatchedStore(files, failing: unwritten.map { .seconds(Int64($0)) })
        var components = StreamHarness.quietComponents
        components.checkpointStore = store
        var configuration = StreamingContext.Configuration()
        configuration.failurePolicy = .continue
        let harness = StreamHarness(
            startTime: .seconds(Int64(first)), configuration: configuration,
            components: components)
        // What earlier runs had is gone: it must come from the checkpoint, not be made again.
        let input = Self.batches.enumerated().map { number, batch in
            number < first ? [("gone", 1000)] : batch
        }
        let sums = harness.input(input, from: .seconds(1)).map { pair in
            if let bad, pair.1 / 10 == bad { throw Failure() }
            return pair
        }.reduceByKeyAndWindow(+, inverse: -, window: .seconds(6))
        if let interval { sums.checkpoint(interval) }
        let seen = harness.record(sums.map { "\($0)" })
        try await harness.goOn(for: first..<last, isSettled: unwritten == nil)
        await files.close()
        var run = Run(windows: store.windows, panes: store.panes)
        for batch in seen.batches { run.output[batch.time] = batch.elements.sorted() }
        return run
    }

    @Test("of ten windows one is written, of panes all")
    func written() async throws {
        let run = try await run(on: SimulatedStorageMedium(), from: 0, to: 30)
        #expect(run.windows == [1, 11, 21])
        #expect(run.panes == Array(1...30))
    }

    @Test("a restart anywhere between two written windows changes nothing", arguments: 1...23)
    func restart(after first: Int) async throws {
        let whole = try await run(on: SimulatedStorageMedium(), from: 0, to: 26)
        let medium = SimulatedStorageMedium()
        var output = try await run(on: medium, from: 0, to: first).output
        output.merge(try await run(on: medium, from: first, to: first + 1).output) { $1 }
        output.merge(try await run(on: medium, from: first + 1, to: 26).output) { $1 }
        #expect(output == whole.output)
    }

    @Test("after batches that failed the window is written, and a restart changes nothing")
    func failure() async throws {
        let whole = try await run(on: SimulatedStorageMedium(), from: 0, to: 30, bad: 13)
        let missing = (1...30).filter { whole.output[.seconds(Int64($0))] == nil }
        #expect(missing == Array(13...18))
        // The nineteenth is early: what is between cannot be made again.
        #expect(whole.windows == [1, 11, 19, 29])
        for first in 19...27 {
            let medium = SimulatedStorageMedium()
            let before = try await run(on: medium, from: 0, to: first, bad: 13)
            let after = try await run(on: medium, from: first, to: 30, bad: 13)
            // Batches that failed run again, and what they were of is gone.
            var output = before.output.merging(after.output) { $1 }
            for batch in missing { output[.seconds(Int64(batch))] = nil }
            #expect(output == whole.output, "\(first)")
        }
    }

    @Test("what a checkpoint that was not kept had is not built on", arguments: [1, 11, 12, 21])
    func unkept(unwritten: Int) async throws {
        let whole = try await run(on: SimulatedStorageMedium(), from: 0, to: 26)
        let medium = SimulatedStorageMedium()
        let last = unwritten + 2
        let before = try await run(on: medium, from: 0, to: last, unwritten: unwritten)
        let after = try await run(on: medium, from: last, to: 26)
        #expect(before.output.merging(after.output) { $1 } == whole.output)
    }

    @Test("a window of another length does not continue from the old one", arguments: [2, 6])
    func otherLength(seconds: Int64) async throws {
        let run = DurableRun()
        func declare(_ harness: StreamHarness, _ window: Int64) {
            let input = harness.input([[("a", 1)], [("a", 2)], [("a", 3)], [("a", 4)]])
            _ = harness.record(
                input.reduceByKeyAndWindow(+, inverse: -, window: .seconds(window)))
        }
        let harness = try await run.start(from: .zero) { declare($0, 3) }
        for _ in 0..<4 { try await harness.advance() }
        await harness.ssc.stop(graceful: true)
        let refusal = try await run.refusal(from: .seconds(5)) { declare($0, seconds) }
        #expect(refusal?.code == .checkpointMismatch)
        let text = "\(refusal as Any)"
        #expect(text.contains("a window of 3000 ms"), "\(text)")
        #expect(text.contains("discardState(of:"), "\(text)")
        #expect(try await run.refusal(from: .seconds(5)) { declare($0, 3) } == nil)
    }
}
