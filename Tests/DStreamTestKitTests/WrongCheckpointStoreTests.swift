import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import Synchronization
import Testing

@Suite("Checkpoint stores are checked", .timeLimit(.minutes(5)))
struct WrongCheckpointStoreTests {
    @Test("those in memory and in files keep their promises")
    func right() async throws {
        try await checkCheckpointStore { InMemoryCheckpointStore() }
        try await checkCheckpointStore { InMemoryCheckpointStore(retainedCount: 1) }
        let medium = SimulatedStorageMedium()
        let count = Mutex(0)
        for retained in [1, 10] {
            try await checkCheckpointStore {
                let number = count.withLock { count in
                    count += 1
                    return count
                }
                return try await FileCheckpointStore.open(
                    "/\(number)", on: medium, retainedCount: retained)
            } reopen: { store in
                guard let store = store as? FileCheckpointStore else { return store }
                return try await FileCheckpointStore.open(
                    store.directory, on: medium, retainedCount: retained)
            }
        }
    }

    @Test(
        "wrong ones are noticed",
        arguments: zip(
            WrongCheckpointStore.Fault.allCases,
            [
                "all state since the record's oldestState", "all state since the record's",
                "all state since the record's", "the newest record is recovered",
                "recovered as it was written", "is there after reopening",
                "in the order of the writes", "of the record's oldestState and later stays",
            ]))
    func fault(_ fault: WrongCheckpointStore.Fault, promise: String) async {
        let failure = await failure {
            try await checkCheckpointStore {
                WrongCheckpointStore(fault)
            } reopen: { store in
                (store as? WrongCheckpointStore)?.reopened() ?? store
            }
        }
        #expect(failure.contains(promise))
    }
}

final class WrongCheckpointStore: CheckpointStore {
    enum Fault: CaseIterable {
        case dropsState, keepsLastState, dropsRemovedKeys, keepsFirstRecord
        case dropsConfiguration, forgetsWhenClosed, turnsState, forgetsTooMuch
    }
    private struct Kept {
        var record: CheckpointRecord?
        var state: [OperatorState] = []
    }

    private let fault: Fault
    private let kept = Mutex(Kept())

    init(_ fault: Fault) { self.fault = fault }

    func reopened() -> WrongCheckpointStore {
        if fault == .forgetsWhenClosed { kept.withLock { $0 = Kept() } }
        return self
    }

    func write(_ record: CheckpointRecord, state pieces: [OperatorState]) async throws {
        kept.withLock { kept in
            if fault != .keepsFirstRecord || kept.record == nil { kept.record = record }
            if fault == .dropsConfiguration { kept.record?.configuration = [:] }
            let needed = fault == .forgetsTooMuch ? record.time : record.oldestState
            kept.state.removeAll {
                fault == .keepsLastState || $0.time < needed && record.oldestState > .zero
            }
            if fault != .dropsState { kept.state += pieces }
        }
    }

    func recover() async throws -> RecoveredCheckpoint? {
        kept.withLock { kept in
            var state = kept.state
            if fault == .turnsState { state.reverse() }
            if fault == .dropsRemovedKeys {
                for index in state.indices {
                    state[index].removed = EncodedValues(bytes: [], count: 0)
                }
            }
            return kept.record.map { RecoveredCheckpoint(record: $0, state: state) }
        }
    }
}
