import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// A state that is written again in slices over several checkpoints comes back exactly.
@Suite("Recovery of large state", .timeLimit(.minutes(5)))
struct LargeStateRecoveryTests {
    private struct WriteError: Error {}

    /// Counts what is kept, and fails some writes.
    private final class WatchedStore: CheckpointStore {
        private struct State {
            var writes = 0
            var counts: [Int] = []
            var bases = 0
            var wholes = 0
        }

        private let store: FileCheckpointStore
        private let failing: @Sendable (Int, BatchTime) -> Bool
        private let state = Mutex(State())

        init(_ store: FileCheckpointStore, failing: @escaping @Sendable (Int, BatchTime) -> Bool) {
            self.store = store
            self.failing = failing
        }

        func write(_ record: CheckpointRecord, state pieces: [OperatorState]) async throws {
            let number = state.withLock { state in
                state.writes += 1
                state.counts.append(pieces.reduce(0) { $0 + $1.values.count })
                return state.writes
            }
            if failing(number, record.time) { throw WriteError() }
            try await store.write(record, state: pieces)
            state.withLock { state in
                state.bases += pieces.count { $0.kind == .base }
                state.wholes += pieces.count { $0.kind == .whole }
            }
        }

        func recover() async throws -> RecoveredCheckpoint? { try await store.recover() }

        /// The most states in one write, bases kept, and pieces of wholes.
        var seen: (most: Int, bases: Int, wholes: Int) {
            state.withLock { ($0.counts.max() ?? 0, $0.bases, $0.wholes) }
        }
    }

    private static let keyCount = 12_000
    private static let batches: [[(Int, Int)]?] = {
        var random = SeededRandom(7)
        let all = (0..<keyCount).map { ($0, 1) }
        var batches = stride(from: 0, to: keyCount, by: 4000).map { Array(all[$0..<$0 + 4000]) }
        for _ in 0..<25 {
            batches.append(
                (0..<2000).map { _ in (random.int(0...keyCount - 1), random.int(0...9)) })
        }
        return batches
    }()

    private struct Run {
        /// All keys with their states after the last batch.
        var states: [[Int]] = []
        var seen = (most: 0, bases: 0, wholes: 0)
    }

    /// Runs some batches, going on from what the medium has.
    private func run(
        on medium: SimulatedStorageMedium, from first: Int, to last: Int,
        input: [[(Int, Int)]?] = LargeStateRecoveryTests.batches,
        initial: [(Int, Int)]? = nil, failing: (@Sendable (Int, BatchTime) -> Bool)? = nil
    ) async throws -> Run {
        let files = try await FileCheckpointStore.open("/state", on: medium)
        let store = WatchedStore(files, failing: failing ?? { _, _ in false })
        var components = StreamHarness.quietComponents
        components.checkpointStore = store
        let harness = StreamHarness(
            startTime: .seconds(Int64(first)), components: components)
        // A removal for every ninth value, and time-outs.
        var spec = StateSpec<Int, Int, Int, Int>.function { key, value, state in
            guard let value else { return key }
            if value == 9, state.exists {
                try state.remove()
            } else {
                try state.update((state.getOption() ?? 0) + value)
            }
            return key
        }.timeout(.seconds(22))
        if let initial {
            spec = spec.initialState(harness.ssc.batchContext.parallelize(initial))
        }
        let mapped: MapWithStateDStream<Int, Int, Int> = harness.input(input, from: .seconds(1))
            .mapWithState(spec)
        mapped.foreachRDD { _ = try await $0.count() }
        let states = Mutex<[(Int, Int)]>([])
        mapped.stateSnapshots().foreachRDD { rdd, time in
            guard time == .seconds(Int64(last)) else { return }
            let found = try await rdd.collect()
            states.withLock { $0 = found }
        }
        try await harness.goOn(for: first..<last, isSettled: failing == nil)
        await files.close()
        #expect(harness.errors.isEmpty, "\(harness.errors)")
        let found = states.withLock { $0 }.sorted { $0 < $1 }
        return Run(states: found.map { [$0.0, $0.1] }, seen: store.seen)
    }

    @Test("a restart anywhere in a whole changes nothing, also when writes fail")
    func restarts() async throws {
        let whole = try await run(on: SimulatedStorageMedium(), from: 0, to: 30)
        #expect(whole.states.count > 10_000)
        // The first, and wholes that were written slice by slice; never much at once.
        #expect(whole.seen.bases >= 2)
        #expect(whole.seen.wholes == 0)
        #expect(whole.seen.most < 8192 + 2048 + 2 * 4000)
        for cut in [13, 15, 16] {
            let medium = SimulatedStorageMedium()
            let fails: @Sendable (Int, BatchTime) -> Bool = { number, time in
                number % 5 > 2 && time < .seconds(Int64(cut))
            }
            _ = try await run(on: medium, from: 0, to: cut, failing: cut % 2 == 0 ? fails : nil)
            let rest = try await run(on: medium, from: cut, to: 30)
            #expect(rest.states == whole.states, "after \(cut)")
            // What was kept is gone on from.
            #expect(rest.seen.wholes == 0)
        }
    }

    @Test("where most keys change, a whole that is due takes the place of the changes")
    func replacedChanges() async throws {
        let batches = (0..<12).map { batch in
            (0..<Self.keyCount).filter { ($0 + batch) % 8 > 0 }.map { ($0, batch % 9) }
        }
        let whole = try await run(
            on: SimulatedStorageMedium(), from: 0, to: 12, input: batches)
        #expect(whole.states.count == Self.keyCount)
        // A whole, in six parts, with every third batch, and never one beside changes.
        #expect(whole.seen.wholes > 12 && whole.seen.most <= Self.keyCount)
        for cut in [3, 4, 7] {
            let medium = SimulatedStorageMedium()
            // How many there are depends on how many were passed over; the last one must count.
            let fails: @Sendable (Int, BatchTime) -> Bool = { number, time in
                number % 4 == 2 && time < .seconds(Int64(cut))
            }
            _ = try await run(
                on: medium, from: 0, to: cut, input: batches, failing: cut == 7 ? fails : nil)
            let rest = try await run(on: medium, from: cut, to: 12, input: batches)
            #expect(rest.states == whole.states, "after \(cut)")
        }
    }

    @Test("an initial state is written as a whole, once")
    func initialState() async throws {
        let initial = (0..<Self.keyCount).map { ($0 + 5000, 100) }
        let whole = try await run(
            on: SimulatedStorageMedium(), from: 0, to: 12, initial: initial)
        let medium = SimulatedStorageMedium()
        let first = try await run(on: medium, from: 0, to: 3, initial: initial)
        #expect(first.seen.wholes > 0)
        let rest = try await run(on: medium, from: 3, to: 12, initial: initial)
        #expect(rest.states == whole.states)
        #expect(rest.seen.wholes == 0)
    }
}
