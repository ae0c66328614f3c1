package import DStreamCore

/// The logs in a checkpoint directory.
package enum InputLogs {
    /// The log of operators' state.
    package static let state = "state"
    /// The log of what happened to received blocks.
    package static let events = received + "/events"
    /// The log of a stream's blocks.
    package static func blocks(of stream: StreamID) -> String { "\(received)/stream-\(stream)" }
    /// Where the logs of received blocks are.
    package static let received = "received"
    /// The log of what streams chose for their batches.
    package static let chosen = "chosen"

    /// The logs of inputs that are there, relative to the checkpoint directory.
    ///
    /// - Throws: ``StorageError`` when the directory cannot be listed.
    package static func names(
        in directory: String, on medium: some StorageMedium
    ) throws -> [String] {
        let all = try medium.list(directory)
        var names: [String] = []
        if all.contains(received) {
            names += try medium.list(directory + "/" + received).map { received + "/" + $0 }
                .filter { $0 == events || $0.hasPrefix(received + "/stream-") }
        }
        if all.contains(chosen) { names.append(chosen) }
        return names
    }

    /// The logs of inputs that are there, and those that must be.
    ///
    /// - Parameter reliedOn: how far a checkpoint relies on them.
    /// - Throws: ``StorageError`` when the directory cannot be listed.
    package static func names(
        in directory: String, on medium: some StorageMedium, reliedOn: [String: LogPosition]
    ) throws -> [String] {
        Set(try names(in: directory, on: medium)).union(reliedOn.keys).sorted()
    }

    /// What the logs say of an earlier run, in words, where there is no checkpoint of it; none when
    /// nothing was run.
    ///
    /// - Throws: ``LogError`` `.unsupported`, ``StorageError``.
    package static func remains(
        in directory: String, on medium: some StorageMedium
    ) async throws -> [String] {
        var remains: [String] = []
        let logs: [String]
        do { logs = try await medium.perform { try names(in: directory, on: $0) } } catch let error
            as StorageError where error.code == .notFound
        {
            return []
        }
        if try await holdsState(of: directory, on: medium) {
            remains.append("\(directory)/\(state) holds state of several checkpoints")
        }
        for name in logs {
            let path = directory + "/" + name
            do {
                if try await LogInspection(of: path, on: medium).hasHadRecords {
                    remains.append("\(path) has had records")
                }
            } catch let error as LogError where error.code == .damaged {
                remains.append("\(path) cannot be read")
            }
        }
        return remains
    }

    /// Whether the state log has pieces of more than a first write, which may have ended before its
    /// checkpoint was there.
    private static func holdsState(
        of directory: String, on medium: some StorageMedium
    ) async throws -> Bool {
        for try await record in try await LogInspection(
            of: directory + "/" + state, on: medium
        ).records where try CheckpointFormat.piece(of: record.bytes).0 > 1 {
            return true
        }
        return false
    }
}
