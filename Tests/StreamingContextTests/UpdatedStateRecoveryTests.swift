import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// Checkpoints of `updateStateByKey` have what changed, and it comes back.
@Suite("Recovery of updated state", .timeLimit(.minutes(5)))
struct UpdatedStateRecoveryTests {
    private struct WriteError: Error {}

    /// A write: how many states it has as a whole, how many changed ones, and removed keys.
    private struct Counts: Hashable {
        var whole = 0
        var changed = 0
        var removed = 0
    }

    private final class WatchedStore: CheckpointStore {
        private let store: FileCheckpointStore
        private let failing: BatchTime?
        private let counts = Mutex<[BatchTime: Counts]>([:])

        init(_ store: FileCheckpointStore, failing: BatchTime?) {
            self.store = store
            self.failing = failing
        }

        func write(_ record: CheckpointRecord, state pieces: [OperatorState]) async throws {
            if let failing, record.newestCompleted == failing { throw WriteError() }
            try await store.write(record, state: pieces)
            counts.withLock { counts in
                for piece in pieces {
                    var sum = counts[piece.time] ?? Counts()
                    if piece.kind == .whole { sum.whole += piece.values.count }
                    if piece.kind == .changes { sum.changed += piece.values.count }
                    sum.removed += piece.removed.count
                    counts[piece.time] = sum
                }
            }
        }

        func recover() async throws -> RecoveredCheckpoint? { try await store.recover() }

        var seen: [BatchTime: Counts] { counts.withLock { $0 } }
    }

    private static let keyCount = 1000
    /// All keys once; then some, of which zero removes one; nothing in the fourth batch.
    private static let batches: [[(Int, Int)]?] = [
        (0..<keyCount).map { ($0, 1) }, [(3, 5), (7, 2)], [(5, 0), (3, 1)], [],
        [(5, 4), (999, 1), (1000, 1), (0, 0)], [(8, 1)],
    ]

    private struct Run {
        var states: [[Int]] = []
        var seen: [BatchTime: Counts] = [:]
    }

    private func run(
        on medium: SimulatedStorageMedium, from first: Int, to last: Int, failing: Int? = nil,
        partitions: Int = 3
    ) async throws -> Run {
        let files = try await FileCheckpointStore.open("/state", on: medium)
        let store = WatchedStore(files, failing: failing.map { .seconds(Int64($0)) })
        var components = StreamHarness.quietComponents
        components.checkpointStore = store
        let harness = StreamHarness(startTime: .seconds(Int64(first)), components: components)
        let states = Mutex<[(Int, Int)]>([])
        harness.input(Self.batches, from: .seconds(1))
            .updateStateByKey(partitions: partitions) { values, state -> Int? in
                if values.contains(0) { return nil }
                return (state ?? 0) + values.reduce(0, +)
            }
            .foreachRDD { rdd in
                let found = try await rdd.collect()
                states.withLock { $0 = found }
            }
        try await harness.goOn(for: first..<last, isSettled: failing == nil)
        await files.close()
        #expect(harness.errors.isEmpty, "\(harness.errors)")
        let found = states.withLock { $0 }.sorted { $0 < $1 }
        return Run(states: found.map { [$0.0, $0.1] }, seen: store.seen)
    }

    private static func expected() -> [[Int]] {
        var states = [Int: Int](uniqueKeysWithValues: (0..<keyCount).map { ($0, 1) })
        states[3] = 7
        states[7] = 3
        states[5] = 4
        states[999] = 2
        states[1000] = 1
        states[0] = nil
        states[8] = 2
        return states.sorted { $0.key < $1.key }.map { [$0.key, $0.value] }
    }

    @Test("only what differs is written, and what was not kept is written again")
    func changes() async throws {
        let medium = SimulatedStorageMedium()
        let run = try await run(on: medium, from: 0, to: 6)
        #expect(run.states == Self.expected())
        var wholes = 0
        var rest = Counts()
        for (_, counts) in run.seen {
            wholes += counts.whole
            rest.changed += counts.changed
            rest.removed += counts.removed
        }
        #expect(wholes == Self.keyCount)
        #expect(rest.changed == 2 + 1 + 3 + 1)
        #expect(rest.removed == 2)
    }

    @Test("a restart goes on with it", arguments: [1, 2, 3, 4, 5])
    func restart(cut: Int) async throws {
        for failing in [nil, cut - 1] {
            let medium = SimulatedStorageMedium()
            _ = try await run(on: medium, from: 0, to: cut, failing: failing)
            let rest = try await run(on: medium, from: cut, to: 6)
            #expect(rest.states == Self.expected(), "without \(failing ?? -1)")
            #expect(rest.seen.values.allSatisfy { $0.whole == 0 })
            let moved = try await run(on: medium, from: 6, to: 6, partitions: 2)
            #expect(moved.seen.values.allSatisfy { $0.whole == 0 })
        }
        // Another number of partitions: all keys have moved, and are written as a whole.
        let medium = SimulatedStorageMedium()
        _ = try await run(on: medium, from: 0, to: cut)
        let rest = try await run(on: medium, from: cut, to: 6, partitions: 2)
        #expect(rest.states == Self.expected())
        #expect(rest.seen.values.contains { $0.whole > 900 })
    }
}
