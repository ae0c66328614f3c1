internal import DStreamCore

/// Why a log could not do what it was asked.
public struct LogError: Error, Hashable, CustomStringConvertible {
    /// What went wrong.
    ///
    /// More kinds may be added: keep a default branch where you switch over them.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case closed, missing, damaged, unsupported, locked, recordTooLarge, writeFailed
        }
        private let kind: Kind
        /// The log was closed; open it again.
        public static let closed = Code(kind: .closed)
        /// There is no such record; it was cleaned or is another log's.
        public static let missing = Code(kind: .missing)
        /// Bytes that were durable are not what was written.
        ///
        /// Nothing was changed; restore the file.
        public static let damaged = Code(kind: .damaged)
        /// A file that this version of the program does not know; nothing was changed.
        public static let unsupported = Code(kind: .unsupported)
        /// Another log has the directory open, in this program or another.
        public static let locked = Code(kind: .locked)
        /// The record is longer than the log's options allow; it was not written.
        public static let recordTooLarge = Code(kind: .recordTooLarge)
        /// The medium failed.
        ///
        /// The record may or may not be found after a restart; write it again.
        public static let writeFailed = Code(kind: .writeFailed)
        /// The code's name.
        public var description: String { kind.rawValue }
    }

    /// What went wrong.
    public let code: Code
    /// The same in words.
    public let message: String
    /// What the medium reported, for `.writeFailed` and `.locked`.
    public let storage: StorageError?

    init(_ code: Code, _ message: String, storage: StorageError? = nil) {
        self.code = code
        self.message = message
        self.storage = storage
    }

    /// Code and message.
    public var description: String { "\(code): \(message)" }
}

extension LogError {
    /// Damage in a file: where, what had to be there, and what is.
    static func damaged(
        _ path: String, at offset: Int, expected: String, found: String
    ) -> LogError {
        LogError(
            .damaged,
            "\(path) at byte \(offset): expected \(expected), found \(found); nothing was changed. "
                + MessageTable.see("damaged log"))
    }
}
