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

    /// Opens a log with what is left of it; if it cannot be read, its files are set aside.
    private func openAccepting(
        _ name: String, _ path: String, _ options: FileWriteAheadLog.Options
    ) async throws -> FileWriteAheadLog {
        do {
            let log = try await FileWriteAheadLog.open(path, on: medium, options: options)
            do {
                for try await _ in log.records() {}
            } catch {
                await log.close()
                throw error
            }
            if let position = reliedOn[name], !log.reaches(position) {
                warn("\(path) has lost its end, which the checkpoint relies on; that was accepted")
            }
            return log
        } catch let error as LogError where error.code == .damaged {
            let aside = try await FileWriteAheadLog.setAside(path, on: medium)
            warn(
                "\(path) cannot be read, and that was accepted: it begins anew, and its files are "
                    + "kept as \(aside.joined(separator: ", ")). \(error.message)")
            return try await FileWriteAheadLog.open(path, on: medium, options: options)
        }
    }
}
