internal import BatchEngine

/// Why a storage medium could not do what it was asked: on which path, and what.
public struct StorageError: Error, Hashable, CustomStringConvertible {
    /// What went wrong.
    ///
    /// More kinds may be added: keep a default branch where you switch over them.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case notFound, alreadyThere, full, readOnly, denied, locked, tooLarge, crashed
            case unreadable, failed
        }
        private let kind: Kind

        /// There is no such file or directory.
        public static let notFound = Code(kind: .notFound)
        /// There is such a file already.
        public static let alreadyThere = Code(kind: .alreadyThere)
        /// The disk, or the writer's share of it, is full; works again once there is room.
        public static let full = Code(kind: .full)
        /// The medium can only be read.
        public static let readOnly = Code(kind: .readOnly)
        /// The program may not do that to this file.
        public static let denied = Code(kind: .denied)
        /// Another one holds the lock.
        public static let locked = Code(kind: .locked)
        /// The file is longer than the caller is ready to read.
        public static let tooLarge = Code(kind: .tooLarge)
        /// The medium has crashed; nothing works any more.
        public static let crashed = Code(kind: .crashed)
        /// The disk cannot read what it holds: another try would not help.
        public static let unreadable = Code(kind: .unreadable)
        /// Anything else, such as too many open files.
        public static let failed = Code(kind: .failed)
        /// The code's name.
        public var description: String { kind.rawValue }
    }

    /// What went wrong.
    public let code: Code
    /// The operation, such as `open` or `rename`.
    public let operation: String
    /// The file or directory.
    public let path: String
    /// The same in words.
    public let message: String

    /// Makes an error.
    public init(_ code: Code, _ operation: String, _ path: String, _ message: String) {
        self.code = code
        self.operation = operation
        self.path = path
        self.message = message
    }

    /// Path, reason and operation.
    public var description: String { "\(path): \(message) (\(operation))" }
}

extension StorageError {
    /// The file that was to be flushed has no name any more.
    package static func nameless(_ path: String) -> StorageError {
        StorageError(
            .notFound, "sync", path, "the file was removed while it was written; keep it in place")
    }

    /// Another program may have locked the path of a lock that is still held.
    static func replacedLock(_ path: String) -> StorageError {
        StorageError(
            .locked, "lock", path,
            "it was removed, or its directory was moved, while this program used it, and another one "
                + "may use what is there now; end this program")
    }

    /// What a system call reported.
    init(_ error: SystemError) {
        let code: Code =
            if error.isNotFound { .notFound } else if error.isAlreadyThere {
                .alreadyThere
            } else if error.isDiskFull { .full } else if error.isReadOnly {
                .readOnly
            } else if error.isDenied {
                .denied
            } else if error.isUnreadable { .unreadable } else { .failed }
        self.init(code, error.call, error.subject, error.reason)
    }
}
