import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// A store that gives a record without its state does not make a program begin from nothing.
@Suite("State that a checkpoint store has lost", .timeLimit(.minutes(5)))
struct LostStateTests {
    enum Program: CaseIterable {
        case updates, maps, window, slidWindow
    }

    enum Loss: CaseIterable {
        case all, newest
    }

    private final class Store: CheckpointStore {
        let loses = Mutex<Loss?>(nil)
        private let base = InMemoryCheckpointStore()

        func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
            try await base.write(record, state: state)
        }

        func recover() async throws -> RecoveredCheckpoint? {
            guard var found = try await base.recover() else { return nil }
            let newest = Dictionary(grouping: found.state, by: \.operatorID)
                .mapValues { $0.map(\.time).max() }
            switch loses.withLock({ $0 }) {
            case .all: found.state = []
            case .newest: found.state.removeAll { $0.time == newest[$0.operatorID] }
            case nil: break
            }
            return found
        }
    }

    private static func declare(
        _ program: Program, on numbers: DStream<(Int, Int)>
    ) -> DStream<(Int, Int)> {
        switch program {
        case .updates: numbers.updateStateByKey { $0.reduce($1 ?? 0, +) }
        case .maps:
            numbers.mapWithState(
                StateSpec<Int, Int, Int, (Int, Int)>.function { key, value, state in
                    let sum = (state.getOption() ?? 0) + (value ?? 0)
                    try state.update(sum)
                    return (key, sum)
                })
        case .window: numbers.window(.seconds(3))
        case .slidWindow: numbers.reduceByKeyAndWindow(+, inverse: -, window: .seconds(3))
        }
    }

    /// Runs some batches, from a second on; what came out.
    private static func run(
        _ program: Program, _ batches: [[(Int, Int)]?], on store: some CheckpointStore,
        from second: Int, count: Int, _ prepare: (StreamingContext) -> Void = { _ in }
    ) async throws -> [[Int]] {
        var components = StreamHarness.quietComponents
        components.checkpointStore = store
        let harness = StreamHarness(startTime: .seconds(Int64(second)), components: components)
        let numbers = harness.ssc.inputStream(isReplayable: true) { time, context in
            let index = Int(time.milliseconds / 1000) - 1
            guard batches.indices.contains(index) else { return nil as RDD<(Int, Int)>? }
            return batches[index].map { context.batch.parallelize($0, partitions: 2) }
        }
        let sums = harness.record(declare(program, on: numbers))
        let directory = try FileSystem.createTemporaryDirectory(prefix: "lost")
        defer { try? FileSystem.removeTree(directory) }
        _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) { harness.ssc }
        prepare(harness.ssc)
        try await harness.run(batches: count)
        #expect(harness.errors.isEmpty, "\(harness.errors)")
        return sums.batches.map { $0.elements.map { $0.0 * 100 + $0.1 }.sorted() }
    }

    private static let batches: [[(Int, Int)]?] = [
        [(1, 1), (2, 1)], [(1, 1)], [(1, 2)], [(2, 1)], [(1, 1)],
    ]

    @Test("is missed by operator", arguments: Program.allCases, Loss.allCases)
    func missed(_ program: Program, _ loss: Loss) async throws {
        let store = Store()
        _ = try await Self.run(program, Self.batches, on: store, from: 0, count: 3)
        store.loses.withLock { $0 = loss }
        let name =
            switch program {
            case .updates: "updateStateByKey"
            case .maps: "mapWithState"
            case .window: "inputStream"
            case .slidWindow: "reduceByKeyAndWindow"
            }
        let error = await #expect(throws: StreamError.self) {
            _ = try await Self.run(program, Self.batches, on: store, from: 3, count: 1)
        }
        #expect(error?.code == .checkpointUnreadable)
        let text = error?.description ?? ""
        #expect(text.contains("lacks the state that \(name)"), "\(text)")
        #expect(text.contains("left after batch 3000 ms"), "\(text)")
    }

    @Test("can be given up")
    func givenUp() async throws {
        let store = Store()
        _ = try await Self.run(.updates, Self.batches, on: store, from: 0, count: 3)
        store.loses.withLock { $0 = .all }
        let sums = try await Self.run(.updates, Self.batches, on: store, from: 3, count: 1) { ssc in
            ssc.discardState(of: "updateStateByKey of (Int,Int) #0")
        }
        #expect(sums == [[201]])
    }

    /// Also where there is nothing yet, or nothing in the window any more, and in each batch.
    @Test("is missed by no restart that has it", arguments: Program.allCases)
    func present(_ program: Program) async throws {
        let nothing: [[(Int, Int)]?] = [nil, nil, nil, nil, nil, [(1, 5)]]
        let little: [[(Int, Int)]?] = [[], [(1, 1)], [(1, -1)], nil, nil, nil, nil, [(1, 1)]]
        for batches in [Self.batches, nothing, little] {
            let expected = try await Self.run(program, batches, on: Store(), from: 0, count: 9)
            for step in [1, 3] {
                let store = Store()
                var sums: [[Int]] = []
                for second in stride(from: 0, to: 9, by: step) {
                    sums += try await Self.run(
                        program, batches, on: store, from: second, count: step)
                }
                #expect(sums == expected, "restarted each \(step) batches")
            }
        }
    }
}
