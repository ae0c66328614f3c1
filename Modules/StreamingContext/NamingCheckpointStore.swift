internal import BatchEngine
internal import DStreamCore
internal import FaultTolerance
internal import Synchronization

/// Writes with each checkpoint how far the logs of inputs reach, which state belongs to it, and which
/// dead letters wait.
struct NamingCheckpointStore: CheckpointStore {
    let base: any CheckpointStore
    let logs: ReceiverLogs?
    let newestState: NewestState
    /// nil: their store is the user's, or there is none.
    let letters: KeptLetters?

    init(
        _ checkpoints: StreamingContext.Checkpoints, _ logs: ReceiverLogs?, _ letters: KeptLetters?
    ) {
        base = checkpoints.store
        newestState = NewestState(checkpoints.found)
        self.logs = logs
        self.letters = letters
    }

    func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
        var record = record
        record.logs = logs?.ends ?? [:]
        if let letters {
            record.configuration.merge(await letters.settings()) { own, _ in own }
        }
        let newest = newestState.including(state)
        record.setNewestState(newest)
        try await base.write(record, state: state)
        newestState.keep(newest)
    }

    func recover() async throws -> RecoveredCheckpoint? { try await base.recover() }

    func close() async { await base.close() }
}

/// Which batch left the newest piece of each operator's state that is in the store: a start misses it
/// when the store gives the record without it.
final class NewestState: Sendable {
    private let batches: Locked<[String: BatchTime]>

    /// - Parameter found: what the run resumes from.
    init(_ found: RecoveredCheckpoint?) {
        var batches: [String: BatchTime] = [:]
        if let found {
            // Later pieces are not restored, but written again.
            let last = found.record.newestCompleted ?? found.record.zeroTime
            batches.include(found.state.filter { $0.time <= last })
        }
        self.batches = Locked(batches)
    }

    func including(_ pieces: [OperatorState]) -> [String: BatchTime] {
        var batches = batches.withLock { $0 }
        batches.include(pieces)
        return batches
    }

    /// Takes note of pieces that have been written.
    func keep(_ newest: [String: BatchTime]) { batches.withLock { $0 = newest } }
}

extension [String: BatchTime] {
    fileprivate mutating func include(_ pieces: [OperatorState]) {
        for piece in pieces {
            self[piece.operatorID] = Swift.max(self[piece.operatorID] ?? piece.time, piece.time)
        }
    }
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
