internal import DStreamCore

/// Writes with each checkpoint how far the logs of inputs reach.
struct NamingCheckpointStore: CheckpointStore {
    let base: any CheckpointStore
    let logs: ReceiverLogs?

    func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
        var record = record
        record.logs = logs?.ends ?? [:]
        try await base.write(record, state: state)
    }

    func recover() async throws -> RecoveredCheckpoint? { try await base.recover() }

    func close() async { await base.close() }
}
