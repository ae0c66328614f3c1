/// A call that a ``SimulatedStorageMedium`` was asked to perform.
public struct StorageOperation: Sendable, Hashable, CustomStringConvertible {
    /// What was called.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// The names of a directory were asked for.
        case list
        /// A directory was created, or was there already.
        case createDirectory
        /// The names in a directory were made durable.
        case syncDirectory
        /// A file was opened that has to exist.
        case open
        /// A file was opened that was created, if missing.
        case create
        /// Bytes were added to a file.
        case append
        /// The bytes of a file were made durable.
        case sync
        /// Bytes were read.
        case read
        /// The length of a file was asked for.
        case byteCount
        /// A file was cut.
        case truncate
        /// A file got another name.
        case rename
        /// A file was removed.
        case remove
        /// A lock was asked for.
        case lock

        /// Whether a crash before and one after it can leave different things.
        public var isChange: Bool {
            switch self {
            case .list, .open, .read, .byteCount: false
            default: true
            }
        }
    }

    /// The operation's number; the first is 1.
    public let number: Int
    /// What was called.
    public let kind: Kind
    /// The file or directory.
    public let path: String
    /// The bytes added or asked for, 0 for other operations.
    public let byteCount: Int

    /// Number, kind, path and bytes.
    public var description: String {
        "\(number) \(kind.rawValue) \(path)" + (byteCount > 0 ? " \(byteCount) bytes" : "")
    }
}
