internal import BatchEngine
public import DStreamCore
internal import Synchronization

/// Keeps checkpoints in memory: they survive neither a crash nor the process.
public final class InMemoryCheckpointStore: CheckpointStore {
    /// How many records are kept.
    public let retainedCount: Int
    private let state = Locked<[CheckpointRecord]>([])

    /// Makes an empty store.
    ///
    /// - Parameter retainedCount: records kept, at least 1.
    public init(retainedCount: Int = 10) {
        self.retainedCount = max(1, retainedCount)
    }

    /// Keeps `record` as the newest.
    public func write(_ record: CheckpointRecord) async throws {
        state.withLock { records in
            records.append(record)
            if records.count > retainedCount {
                records.removeFirst(records.count - retainedCount)
            }
        }
    }

    /// The newest record.
    public func latest() async throws -> CheckpointRecord? { state.withLock { $0.last } }

    /// The records kept, oldest first.
    public var records: [CheckpointRecord] { state.withLock { $0 } }
}
