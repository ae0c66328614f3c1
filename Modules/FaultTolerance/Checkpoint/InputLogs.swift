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
        }
        if all.contains(chosen) { names.append(chosen) }
        return names
    }
}
