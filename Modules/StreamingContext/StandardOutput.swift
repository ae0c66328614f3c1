internal import BatchEngine

/// Standard output, written by whole pieces of text.
enum StandardOutput {
    /// Writes `text` in one piece; what a closed output does not take is dropped.
    static func write(_ text: String) { ProcessOutput.writeStandardOutput(text) }
}

/// The checkpoint directory.
enum CheckpointDirectory {
    /// Creates the directory and checks that it can be written.
    static func prepare(_ path: String) throws {
        try FileSystem.createDirectory(path)
        // A name of its own: other contexts may be looking at the same directory.
        let probe = path + "/.probe-" + String(UInt64.random(in: 0...(.max)), radix: 16)
        try FileSystem.writeAtomically(probe, [], durability: .handedOver)
        try FileSystem.remove(probe)
    }
}
