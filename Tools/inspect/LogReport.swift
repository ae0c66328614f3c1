import BatchEngine
import DStreamCore
import FaultTolerance
import ReceiverRuntime

/// What a write-ahead log holds.
struct LogReport {
    private let directory: String
    private let reliedOn: [LogPosition]

    /// Makes a report.
    ///
    /// - Parameter end: how far a checkpoint relies on the log; nil: not known.
    private init(_ directory: String, through end: LogPosition? = nil) {
        self.directory = directory
        reliedOn = end.map { [$0] } ?? []
    }

    /// Prints the log, or those of a checkpoint directory; false: one is damaged or has lost
    /// something, or there is none.
    static func printAll(in directory: String, showsRecords: Bool = false) async throws -> Bool {
        let medium = FileStorageMedium()
        let newest: CheckpointFormat.Contents?
        var isGood = true
        do {
            newest = try await CheckpointFiles(in: directory, medium).newest
        } catch let error as CheckpointError {
            Swift.print("what the logs must hold is not known: \(error)")
            (newest, isGood) = (nil, false)
        }
        let hasState = try medium.list(directory).contains(InputLogs.state)
        let hasInputs = try !InputLogs.names(in: directory, on: medium).isEmpty
        if newest == nil, !hasState, !hasInputs {
            return try await LogReport(directory).print(showsRecords: showsRecords)
        }
        if hasState || newest?.stateEnd != nil {
            let report = LogReport(
                directory + "/" + InputLogs.state, through: newest?.stateEnd)
            isGood = try await report.print(showsRecords: showsRecords) && isGood
        }
        let areGood = try await printInputs(
            of: directory, reliedOn: newest?.record.logs ?? [:], showsRecords: showsRecords)
        return areGood && isGood
    }

    /// Prints the logs of inputs in a checkpoint directory.
    ///
    /// - Parameter reliedOn: how far the checkpoint relies on them.
    static func printInputs(
        of directory: String, reliedOn: [String: LogPosition], showsRecords: Bool = false
    ) async throws -> Bool {
        var isGood = true
        for name in try InputLogs.names(
            in: directory, on: FileStorageMedium(), reliedOn: reliedOn)
        {
            let report = LogReport(directory + "/" + name, through: reliedOn[name])
            isGood = try await report.print(showsRecords: showsRecords) && isGood
        }
        return isGood
    }

    /// Prints it; false: it is damaged, or none.
    private func print(showsRecords: Bool) async throws -> Bool {
        do {
            let log = try await LogInspection(of: directory, reliedOn: reliedOn)
            if log.segments.isEmpty {
                // An empty log has its lock, and a segment whose creation was interrupted, at most.
                let isEmpty = try FileStorageMedium().list(directory).allSatisfy {
                    ["lock", "extent"].contains($0) || $0.hasPrefix("log-")
                        || $0.hasPrefix("quarantined-")
                }
                Swift.print(
                    isEmpty
                        ? "log \(directory): empty"
                        : "there is no log in \(directory): name a log's directory, or a checkpoint "
                            + "directory")
                return isEmpty
            }
            Swift.print("log \(directory)")
            for segment in log.segments {
                let torn = segment.tornByteCount
                Swift.print(
                    "  \(segment.name): \(segment.byteCount) bytes"
                        + (torn == 0 ? "" : ", then \(torn) that a crash left, not counted"))
            }
            var (count, byteCount) = (0, 0)
            for try await record in log.records {
                count += 1
                byteCount += record.bytes.count
                if showsRecords { show(record) }
            }
            Swift.print("  \(count) records of \(byteCount) bytes, all intact")
            return true
        } catch let error as LogError {
            // Its code comes first.
            Swift.print("\(error)")
            return false
        }
    }

    private func show(_ record: LogRecord) {
        Swift.print(
            "  \(record.handle.place) of \(record.time), \(record.bytes.count) bytes\(words(record))"
        )
    }

    /// What a record says, where the log's name tells what its records are.
    private func words(_ record: LogRecord) -> String {
        if directory.hasSuffix("/events"),
            let event = try? Codec<BlockTrackingEvent>.of().value(of: record.bytes)
        {
            return ": " + words(event)
        }
        if directory.hasSuffix("/state"),
            let (number, piece) = try? CheckpointFormat.piece(
                of: record.bytes)
        {
            return ": write \(number), \(piece.kind) of \(piece.operatorID) at \(piece.time), "
                + "partition \(piece.partition) of \(piece.partitionCount), "
                + "\(piece.values.count) set, \(piece.removed.count) removed"
        }
        return ""
    }

    private func words(_ event: BlockTrackingEvent) -> String {
        switch event {
        case .blockAdded(let block): "block \(block.id) added, \(block.recordCount) records"
        case .batchAllocated(let time, let blocks):
            "batch \(time) takes "
                + blocks.sorted { $0.key < $1.key }.map { stream, blocks in
                    "\(blocks.count) blocks of stream \(stream)"
                }.joined(separator: ", ")
        case .batchesCleaned(let times):
            "batches forgotten: " + times.map { "\($0)" }.joined(separator: ", ")
        case .blocksLost(let blocks):
            "blocks given up: " + blocks.map { "\($0.id)" }.joined(separator: ", ")
        }
    }
}
