internal import BatchEngine
internal import DStreamCore
internal import FaultTolerance
internal import Synchronization

/// Writes with each checkpoint how far the logs of inputs reach, and which dead letters wait.
struct NamingCheckpointStore: CheckpointStore {
    let base: any CheckpointStore
    let logs: ReceiverLogs?
    /// nil: their store is the user's, or there is none.
    let letters: KeptLetters?

    func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
        var record = record
        record.logs = logs?.ends ?? [:]
        if let letters {
            record.configuration.merge(await letters.settings()) { own, _ in own }
        }
        try await base.write(record, state: state)
    }

    func recover() async throws -> RecoveredCheckpoint? { try await base.recover() }

    func close() async { await base.close() }
}

/// What checkpoints say of the dead letters that wait: a start misses them when their directory is
/// gone.
final class KeptLetters: Sendable {
    private static let marksKey = "deadLetters.waiting"
    private static let directoryKey = "deadLetters.directory"

    private let store: FileDeadLetterStore
    private let marks = Locked(FileDeadLetterStore.Marks())

    init(_ store: FileDeadLetterStore) { self.store = store }

    /// What a record says in its configuration: marks, and the directory of them.
    static func waiting(in record: CheckpointRecord?) -> (marks: [String], directory: String?) {
        let text = record?.configuration[marksKey] ?? ""
        return (text.split(separator: " ").map(String.init), record?.configuration[directoryKey])
    }

    /// What a record is to say now; what it said before, when the index cannot be read.
    func settings() async -> [String: String] {
        let last = marks.withLock { $0 }
        let now = (try? await store.marks(after: last)) ?? last
        marks.withLock { $0 = now }
        if now.all.isEmpty { return [:] }
        return [
            Self.marksKey: now.all.joined(separator: " "), Self.directoryKey: store.directory,
        ]
    }
}
