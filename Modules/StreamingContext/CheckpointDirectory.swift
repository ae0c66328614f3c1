internal import FaultTolerance

/// The checkpoint directory.
enum CheckpointDirectory {
    /// Creates the directory and checks that it can be written.
    static func prepare(_ path: String, on medium: any StorageMedium) throws {
        try refuseEmpty(path)
        try medium.createDirectories(path)
        // Others may do the same here: one name for all, which no crash leaves more than once.
        let probe = path + "/.probe"
        var isMade = false
        while !isMade {
            // A link that lies there is removed, not followed.
            try medium.remove(probe)
            do {
                _ = try medium.open(probe, .createNew)
                isMade = true
            } catch let error as StorageError where error.code == .alreadyThere {
                // Another program was here in between.
            }
        }
        try medium.remove(probe)
    }

    /// Refuses the empty path, below which names would be those of the root directory.
    static func refuseEmpty(_ path: String) throws {
        guard path.isEmpty else { return }
        throw StorageError(
            .notFound, "mkdir", "\"\"", "the path of the checkpoint directory is empty; name one")
    }

    /// Why it cannot be used, and what to do.
    static func text(_ error: any Error) -> String {
        guard let error = error as? StorageError else { return "\(error)" }
        let advice: String? =
            switch error.code {
            case .alreadyThere: "it is no directory; name one, which is created when missing"
            case .denied, .readOnly: "let this program write there, or name another directory"
            case .full: "make room, or name a directory on another disk"
            default: nil
            }
        return advice.map { "\(error); \($0)" } ?? "\(error)"
    }
}
