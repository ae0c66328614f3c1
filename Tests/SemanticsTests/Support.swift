import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext

/// What happened, in order, from anywhere.
final class Journal: Sendable {
    private let lines = AsyncMonitor<[String]>([])

    func note(_ line: String) { lines.update { $0.append(line) } }

    var all: [String] { lines.read { $0 } }

    /// The lines, once `line` is among them.
    @discardableResult
    func all(through line: String) async throws -> [String] {
        try await lines.wait { $0.contains(line) ? $0 : nil }
    }

    /// The lines, once there are so many.
    @discardableResult
    func all(atLeast count: Int) async throws -> [String] {
        try await lines.wait { $0.count >= count ? $0 : nil }
    }
}

struct Boom: Error, CustomStringConvertible {
    let description = "boom"
}

/// Writes checkpoints to a journal.
struct JournalCheckpoints: CheckpointStore {
    let journal: Journal

    func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
        let pending = record.pendingBatches.map { "\($0)" }.joined(separator: ",")
        journal.note("checkpoint \(record.time) pending [\(pending)]")
    }

    func recover() async throws -> RecoveredCheckpoint? { nil }
}

/// Stores blocks as usual, and notes when they come and go.
struct JournalHandler: ReceivedBlockHandler {
    let base: BlockStoreHandler
    let journal: Journal

    func store(_ block: ReceivedBlock) async throws -> StoredBlock {
        let stored = try await base.store(block)
        journal.note("stored \(block.recordCount)")
        return stored
    }

    func remove(_ blocks: [StoredBlock]) async {
        await base.remove(blocks)
        for block in blocks { journal.note("removed \(block.recordCount)") }
    }
}

/// Writes what listeners hear about batches to a journal.
final class JournalListener: StreamingListener {
    let journal: Journal

    init(_ journal: Journal) { self.journal = journal }

    func onBatchSubmitted(_ batch: BatchInfo) {
        journal.note("submitted \(batch.batchTime) with \(batch.recordCount)")
    }

    func onBatchCompleted(_ batch: BatchInfo) { journal.note("ended \(batch.batchTime)") }
}

extension StreamHarness {
    /// The times of the batches for which a kind of event came.
    func times(_ time: (StreamEvent) -> BatchTime?) -> [BatchTime] {
        listener.events.compactMap(time)
    }

    /// Waits for the submission of a batch.
    func submitted(_ time: BatchTime) async throws {
        try await listener.first { event in
            if case .batchSubmitted(let info) = event { info.batchTime == time } else { false }
        }
    }
}

extension StreamEvent {
    var isReceiverRestarting: Bool { if case .receiverRestarting = self { true } else { false } }
    var isReceiverStarted: Bool { if case .receiverStarted = self { true } else { false } }
    var isReceiverStopped: Bool { if case .receiverStopped = self { true } else { false } }
}
