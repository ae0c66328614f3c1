internal import BatchEngine
internal import DStreamCore
internal import FaultTolerance
internal import ReceiverRuntime
internal import Synchronization

extension StreamingContext {
    /// Starts although a log of inputs has lost records that the checkpoint relies on, or cannot be
    /// read: what is left of it counts, and what is lost is reported.
    ///
    /// Without this call such a start is refused. Called before ``start()``, and taken out of the
    /// program again once it has started.
    ///
    /// - Parameter log: its directory in the checkpoint directory, as the error names it, such as
    ///   `received/events`, `received/stream-0` or `chosen`. State has no part in this: a state log
    ///   that cannot be read is restored, or a new checkpoint directory begun.
    public func acceptLoss(in log: String) { acceptedLosses.withLock { _ = $0.insert(log) } }

    /// What an error of opening or reading means: damage is none of writing.
    static func code(of error: any Error) -> StreamError.Code {
        switch error {
        case let error as LogError where error.code == .damaged || error.code == .unsupported:
            .checkpointUnreadable
        case let error as CheckpointError
        where error.code == .damaged || error.code == .unsupported: .checkpointUnreadable
        default: .checkpointUnwritable
        }
    }

    /// Takes up what the logs say, and compares them with one another and with the sinks.
    ///
    /// - Parameter committed: the newest batch that a sink holds.
    /// - Throws: ``StreamError`` `.checkpointUnreadable` for a log that has lost something.
    func recover(
        _ tracker: ReceiverTracker, _ logs: ReceiverLogs?, _ record: CheckpointRecord?,
        committed: DStreamGraph.NewestCommitted?
    ) async throws {
        let directory = checkpointDirectory.withLock { $0 } ?? ""
        let last: [StreamID: [LogRecordHandle]]
        do { last = try await tracker.recover() } catch let error as LogError {
            throw StreamError(
                .checkpointUnreadable, "the write-ahead logs in \(directory): \(error)")
        }
        guard let logs, let events = logs.events else { return }
        let newest = await tracker.lastAllocated
        if let record, record.logs[InputLogs.events] != nil, let committed,
            committed.batch > max(record.time, newest ?? record.time),
            !logs.accepted.contains(InputLogs.events)
        {
            throw StreamError(
                .checkpointUnreadable,
                "\(events.directory) has lost its end: the sink \(committed.sink) holds batch "
                    + "\(committed.batch), and the log knows of no batch after "
                    + "\(newest.map { "\($0)" } ?? "its beginning"). "
                    + MessageTable.see("damaged log"))
        }
        for (stream, log) in logs.blocks.sorted(by: { $0.key < $1.key }) {
            let known = record?.logs[InputLogs.blocks(of: stream)]
            let count = log.byteCount(after: last[stream] ?? [], or: known)
            if count == 0 { continue }
            components.logger.log(
                level: .warning,
                "\(appName): \(log.directory) ends with \(count) bytes of blocks that "
                    + "\(events.directory) does not know. Either the program ended while it stored "
                    + "them, or the events have lost their end. "
                    + MessageTable.see("unknown blocks"))
        }
    }

    /// Stores again what an earlier run had received.
    ///
    /// - Throws: ``StreamError`` `.checkpointUnreadable` for a block that its log has lost.
    func restoreBlocks(
        _ tracker: ReceiverTracker, pending: [BatchTime]
    ) async throws -> [StoredBlock] {
        do { return try await tracker.restoreBlocks(pending: pending) } catch let error as LogError
        {
            throw StreamError(
                .checkpointUnreadable,
                "a received block is not in its write-ahead log: \(error.message). "
                    + MessageTable.see("damaged log"))
        }
    }

    /// Says that an earlier run was here, though no checkpoint is left of it.
    func warnOfMissingCheckpoints(
        _ checkpoints: Checkpoints, _ logs: ReceiverLogs?, _ tracker: ReceiverTracker
    ) async {
        let directory = checkpointDirectory.withLock { $0 } ?? ""
        var signs: [String] = []
        if let orphans = (checkpoints.store as? FileCheckpointStore)?.orphans {
            signs.append(orphans)
        }
        if let batch = await tracker.lastAllocated {
            signs.append("\(directory)/\(InputLogs.events) knows of batch \(batch)")
        }
        if await tracker.hasUnallocatedBlocks {
            signs.append("\(directory)/\(InputLogs.events) knows of received blocks")
        }
        if let batch = logs?.choices?.newest {
            signs.append("\(directory)/\(InputLogs.chosen) knows of batch \(batch)")
        }
        if signs.isEmpty { return }
        components.logger.log(
            level: .error,
            "\(appName): there is no checkpoint in \(directory), though \(signs.joined(separator: ", ")): "
                + "state and windows begin anew, without what an earlier run had counted. "
                + MessageTable.see("checkpoints are gone"))
    }
}

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
