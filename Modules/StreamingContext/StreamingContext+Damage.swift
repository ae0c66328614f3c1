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
    /// program again once it has started and a batch has completed.
    ///
    /// - Parameter log: its directory in the checkpoint directory, as the error names it:
    ///   `received/events`, `received/stream-0` or `chosen`; or `checkpoints`, when all checkpoint
    ///   files are gone: state and windows begin anew then. Another name is refused by ``start()``. A
    ///   state log that cannot be read is restored, or a new checkpoint directory begun.
    public func acceptLoss(in log: String, file: String = #fileID, line: UInt = #line) {
        let site = OperatorSite("acceptLoss", file: file, line: line)
        acceptedLosses.withLock { $0[log] = site }
    }

    /// The name of a loss that is none of a log: all checkpoint files.
    static let allCheckpoints = "checkpoints"

    /// The logs of inputs that the program has, by their names in the checkpoint directory.
    func inputLogNames(_ registrations: [Registration]) -> [String] {
        let blocks = registrations.filter { $0.protection == .writeAheadLog }.map {
            InputLogs.blocks(of: $0.receiver.streamID)
        }
        return (blocks.isEmpty ? [] : [InputLogs.events] + blocks)
            + (graph.choosesInput ? [InputLogs.chosen] : [])
    }

    /// Notes accepted losses of what the program does not have: the name was mistyped.
    func recordUnknownLosses(_ registrations: [Registration]) {
        let known = inputLogNames(registrations) + [Self.allCheckpoints]
        let accepted = acceptedLosses.withLock { $0 }
        for (name, site) in accepted.sorted(by: { $0.key < $1.key }) where !known.contains(name) {
            graph.record(
                StreamError(
                    .badDeclaration,
                    "the loss of \"\(name)\" cannot be accepted; this program has "
                        + known.map { "\"\($0)\"" }.joined(separator: ", "),
                    site: site))
        }
    }

    /// Whether the loss of a log was accepted.
    func acceptsLoss(in log: String) -> Bool { acceptedLosses.withLock { $0[log] != nil } }

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
    /// - Parameter committed: the newest batch that each sink holds.
    /// - Throws: ``StreamError`` `.checkpointUnreadable` for a log that has lost something.
    func recover(
        _ tracker: ReceiverTracker, _ logs: ReceiverLogs?, _ record: CheckpointRecord?,
        committed: [DStreamGraph.NewestCommitted]
    ) async throws {
        let directory = checkpointDirectory.withLock { $0 } ?? ""
        let last: [StreamID: [LogRecordHandle]]
        do { last = try await tracker.recover() } catch let error as LogError {
            throw StreamError(
                .checkpointUnreadable, "the write-ahead logs in \(directory): \(error)")
        }
        if let record {
            let held = await tracker.heldBlocks
            try graph.refuseMovedInputs(Set(held.map(\.streamID)), since: record)
            try await checkEvents(logs, tracker, record, committed)
            if acceptsLoss(in: InputLogs.chosen) {
                try await replaceLostChoices(logs, record, committed, tracker)
            } else {
                try checkChoices(logs, record, committed)
            }
        }
        guard let logs, let events = logs.events else { return }
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

    /// Refuses events that know of fewer batches than a sink holds; if that loss was accepted, these
    /// batches get no blocks: the sink would skip them.
    private func checkEvents(
        _ logs: ReceiverLogs?, _ tracker: ReceiverTracker, _ record: CheckpointRecord,
        _ committed: [DStreamGraph.NewestCommitted]
    ) async throws {
        let newest = await tracker.lastAllocated
        guard let events = logs?.events, record.logs[InputLogs.events] != nil,
            let last = committed.max(by: { $0.batch < $1.batch }),
            last.batch > max(record.time, newest ?? record.time)
        else { return }
        let message =
            "\(events.directory) has lost its end: the sink \(last.sink) holds batch "
            + "\(last.batch), and the log knows of no batch after "
            + "\(newest.map { "\($0)" } ?? "its beginning"). "
        guard acceptsLoss(in: InputLogs.events) else {
            throw StreamError(
                .checkpointUnreadable, message + MessageTable.see("damaged log"))
        }
        components.logger.log(
            level: .error,
            "\(appName): \(message)That was accepted: batches up to it get no received records, "
                + "and records that are left may come again. " + MessageTable.see("damaged log"))
        do { try await tracker.allocateNothing(through: last.batch) } catch {
            throw StreamError(Self.code(of: error), "\(events.directory): \(error)")
        }
    }

    /// Refuses choices that have not what a sink's batch was made of: the batch would choose anew, and
    /// the sink would skip what it has chosen.
    private func checkChoices(
        _ logs: ReceiverLogs?, _ record: CheckpointRecord,
        _ committed: [DStreamGraph.NewestCommitted]
    ) throws {
        guard let choices = logs?.choices, record.logs[InputLogs.chosen] != nil else { return }
        for last in committed where record.runsAgain(last.batch) {
            let missing = last.choosingInputs.first { isLost(last.batch, of: $0, in: choices) }
            guard let missing else { continue }
            throw StreamError(
                .checkpointUnreadable,
                "\(chosenPath) has lost its end: the sink \(last.sink) holds batch "
                    + "\(last.batch), and the log does not say what stream \(missing) gave to it. "
                    + MessageTable.see("damaged log"), site: graph.site(of: missing))
        }
    }

    private var chosenPath: String {
        "\(checkpointDirectory.withLock { $0 } ?? "")/\(InputLogs.chosen)"
    }

    /// Whether a batch that a stream had chosen for would choose anew.
    private func isLost(
        _ batch: BatchTime, of stream: StreamID, in choices: LoggedInputChoices
    ) -> Bool {
        !choices.holds(batch, of: stream) && graph.mayChooseAgain(stream, for: batch)
    }

    /// Has streams give nothing to batches up to a sink's newest whose choices are lost.
    ///
    /// What they chose anew the sink would skip; so the first batch after these takes what is new.
    private func replaceLostChoices(
        _ logs: ReceiverLogs?, _ record: CheckpointRecord,
        _ committed: [DStreamGraph.NewestCommitted], _ tracker: ReceiverTracker
    ) async throws {
        guard let choices = logs?.choices else { return }
        let ahead = committed.filter { record.runsAgain($0.batch) }
        for stream in Set(ahead.flatMap(\.choosingInputs)).sorted() {
            let sinks = ahead.filter { $0.choosingInputs.contains(stream) }
            guard let newest = sinks.max(by: { $0.batch < $1.batch }) else { continue }
            var again = Set(record.pendingBatches + sinks.map(\.batch))
            if configuration.lateBatches == .skip {
                again.formUnion(choices.batches(after: record.time))
                again.formUnion(await tracker.allocatedBatches(after: record.time))
            } else {
                var batch = record.time + batchInterval
                while batch <= newest.batch {
                    again.insert(batch)
                    batch = batch + batchInterval
                }
            }
            let lost = again.filter {
                $0 <= newest.batch && isLost($0, of: stream, in: choices)
            }.sorted()
            if lost.isEmpty { continue }
            reportReplaced(lost, of: stream, newest)
            do {
                let nothing = try graph.emptyChoice(of: stream)
                for batch in lost { try await choices.keep(nothing, of: stream, for: batch) }
            } catch {
                throw StreamError(Self.code(of: error), "\(chosenPath): \(error)")
            }
        }
    }

    private func reportReplaced(
        _ batches: [BatchTime], of stream: StreamID, _ newest: DStreamGraph.NewestCommitted
    ) {
        let shown = batches.prefix(10).map { "\($0)" }.joined(separator: ", ")
        let more = batches.count > 10 ? " and \(batches.count - 10) more" : ""
        let source = graph.site(of: stream).map { " (\($0))" } ?? ""
        components.logger.log(
            level: .error,
            "\(appName): \(chosenPath) does not say what stream \(stream)\(source) gave to batches "
                + "\(shown)\(more), and the sink \(newest.sink) holds \(newest.batch). That was "
                + "accepted: the stream gives nothing to them now, and what they had read is not "
                + "known. Later batches may read those files or records again. "
                + MessageTable.see("damaged log"))
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

    /// Says why blocks of an earlier run are gone.
    func warnOfLost(_ blocks: [StoredBlock]) {
        let directory = checkpointDirectory.withLock { $0 } ?? ""
        for block in blocks {
            let name = InputLogs.blocks(of: block.streamID)
            let reason =
                if block.logHandle == nil {
                    "they are in no write-ahead log"
                } else if acceptsLoss(in: name) {
                    "\(directory)/\(name) has lost them, and that was accepted"
                } else {
                    "the stream is not declared with protection: .writeAheadLog any more"
                }
            components.logger.log(
                level: .warning,
                "\(appName): \(block.recordCount) records of stream \(block.streamID) ended with "
                    + "the earlier run: \(reason)")
        }
    }

    /// Refuses to begin anew where an earlier run was, though no checkpoint is left of it.
    ///
    /// - Throws: ``StreamError`` `.checkpointUnreadable`, unless that loss was accepted.
    func refuseMissingCheckpoints(in directory: String) async throws {
        let remains: [String]
        do {
            remains = try await InputLogs.remains(in: directory, on: components.storageMedium)
        } catch {
            throw StreamError(Self.code(of: error), CheckpointDirectory.text(error))
        }
        if remains.isEmpty { return }
        let message =
            "there is no checkpoint in \(directory), though \(remains.joined(separator: ", "))"
        guard acceptsLoss(in: Self.allCheckpoints) else {
            throw StreamError(
                .checkpointUnreadable,
                "\(message). Nothing was changed. " + MessageTable.see("checkpoints are gone"))
        }
        components.logger.log(
            level: .error,
            "\(appName): \(message). That was accepted: state and windows begin anew. "
                + MessageTable.see("checkpoints are gone"))
    }
}
