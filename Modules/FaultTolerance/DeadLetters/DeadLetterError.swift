/// What is wrong with a directory of dead letters.
public struct DeadLetterError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of trouble.
    ///
    /// More kinds may be added: keep a default branch where you switch over them.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case damaged, unsupported, missing, locked
        }
        private let kind: Kind

        /// The file cannot be read; the others can.
        public static let damaged = Code(kind: .damaged)
        /// It was written by a newer version.
        public static let unsupported = Code(kind: .unsupported)
        /// There is no such dead letter, or it was replayed.
        public static let missing = Code(kind: .missing)
        /// Another program replays.
        public static let locked = Code(kind: .locked)
        /// The code's name.
        public var description: String { kind.rawValue }
    }

    /// The kind of trouble.
    public let code: Code
    /// What is wrong, where, and what to do.
    public let message: String

    /// Makes an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
}
