internal import DStreamCore
internal import FaultTolerance

/// Where the logs of inputs are, and what must be in them.
struct LogPlace: Sendable {
    let directory: String
    let medium: any StorageMedium
    /// How far each log reached when the checkpoint was written, by their names.
    let reliedOn: [String: LogPosition]
    /// The logs that may have lost something.
    let accepted: Set<String>
    /// Hears what was cut or lost.
    let warn: @Sendable (String) -> Void

    /// Opens a log.
    ///
    /// - Throws: ``LogError`` `.damaged` for what is missing, unless that is accepted.
    func open(
        _ name: String, _ options: FileWriteAheadLog.Options
    ) async throws -> FileWriteAheadLog {
        let path = directory + "/" + name
        let log: FileWriteAheadLog
        if accepted.contains(name) {
            log = try await openAccepting(name, path, options)
        } else {
            log = try await FileWriteAheadLog.open(
                path, on: medium, options: options,
                reliedOn: reliedOn[name].map { [$0] } ?? [])
        }
        if log.cutByteCount > 0, let segment = log.lastSegment {
            warn(
                "\(path)/\(segment) ended with \(log.cutByteCount) bytes that are no whole record; "
                    + "they were cut. Either the program ended while it wrote them, or the file was "
                    + "damaged. " + MessageTable.see("torn end"))
        }
        return log
    }

    /// Opens a log with what is left of it; if it cannot be read, its files are quarantined.
    private func openAccepting(
        _ name: String, _ path: String, _ options: FileWriteAheadLog.Options
    ) async throws -> FileWriteAheadLog {
        let needed = reliedOn[name]
        do {
            return try await openReadable(path, options, reliedOn: needed.map { [$0] } ?? [])
        } catch let error as LogError where error.code == .damaged {
            if let needed, let log = try await openRest(path, options, without: needed) {
                warn("\(path) has lost its end, and that was accepted. \(error.message)")
                return log
            }
            let files = try await FileWriteAheadLog.quarantine(path, reliedOn: needed, on: medium)
            let kept =
                files.isEmpty ? "" : ", and its files are kept as \(files.joined(separator: ", "))"
            warn(
                "\(path) cannot be read, and that was accepted: it begins anew\(kept). "
                    + error.message)
            return try await FileWriteAheadLog.open(path, on: medium, options: options)
        }
    }

    /// Opens a log that ends before a position; nil: nothing of it can be read.
    private func openRest(
        _ path: String, _ options: FileWriteAheadLog.Options, without lost: LogPosition
    ) async throws -> FileWriteAheadLog? {
        do {
            let log = try await openReadable(path, options, numberingFrom: lost.segment + 1)
            if (log.end?.segment ?? 0) > 0 { return log }
            await log.close()
        } catch let error as LogError where error.code == .damaged {}
        return nil
    }

    /// Opens a log and reads it through.
    private func openReadable(
        _ path: String, _ options: FileWriteAheadLog.Options, reliedOn: [LogPosition] = [],
        numberingFrom number: UInt64 = 1
    ) async throws -> FileWriteAheadLog {
        let log = try await FileWriteAheadLog.open(
            path, on: medium, options: options, reliedOn: reliedOn, numberingFrom: number)
        do {
            for try await _ in log.records() {}
        } catch {
            await log.close()
            throw error
        }
        return log
    }
}
