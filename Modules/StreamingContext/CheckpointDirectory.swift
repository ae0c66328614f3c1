internal import FaultTolerance

/// The checkpoint directory.
enum CheckpointDirectory {
    /// Creates the directory and checks that it can be written.
    static func prepare(_ path: String, on medium: any StorageMedium) throws {
        try medium.createDirectories(path)
        // Others may do the same here: one name for all, which no crash leaves more than once.
        let probe = path + "/.probe"
        _ = try medium.open(probe, .append)
        try medium.remove(probe)
    }
}
