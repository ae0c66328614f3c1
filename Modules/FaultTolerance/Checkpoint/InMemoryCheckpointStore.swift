internal import BatchEngine
public import DStreamCore
internal import Synchronization

/// Keeps checkpoints in memory: they survive neither a crash nor the process.
public final class InMemoryCheckpointStore: CheckpointStore {
    private struct State {
        var records: [CheckpointRecord] = []
        var pieces: [OperatorState] = []
    }

    /// How many records are kept.
    public let retainedCount: Int
    private let state = Locked(State())

    /// Makes an empty store.
    ///
    /// - Parameter retainedCount: records kept, at least 1.
    public init(retainedCount: Int = 10) {
        self.retainedCount = max(1, retainedCount)
    }

    /// Keeps `record` as the newest, and what of the state is still needed.
    public func write(_ record: CheckpointRecord, state pieces: [OperatorState]) async throws {
        state.withLock { state in
            state.records.append(record)
            if state.records.count > retainedCount {
                state.records.removeFirst(state.records.count - retainedCount)
            }
            state.pieces.removeAll { $0.time < record.oldestState }
            state.pieces += pieces
        }
    }

    /// The newest record with its state.
    public func recover() async throws -> RecoveredCheckpoint? {
        state.withLock { state in
            state.records.last.map { RecoveredCheckpoint(record: $0, state: state.pieces) }
        }
    }

    /// The records kept, oldest first.
    public var records: [CheckpointRecord] { state.withLock { $0.records } }
}
