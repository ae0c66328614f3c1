/// The names under which the outputs of a batch are saved.
public enum OutputNaming {
    /// The name of a batch's directory or file: `prefix-TIME.suffix`, with the time in milliseconds.
    ///
    /// - Parameters:
    ///   - prefix: what comes before the time, with a hyphen between; nothing if nil or empty.
    ///   - suffix: what comes after the time, with a dot between; nothing if nil or empty.
    ///   - time: the time of the batch.
    public static func fileName(prefix: String?, suffix: String?, time: BatchTime) -> String {
        var name = String(time.milliseconds)
        if let prefix, !prefix.isEmpty { name = "\(prefix)-\(name)" }
        if let suffix, !suffix.isEmpty { name = "\(name).\(suffix)" }
        return name
    }
}
