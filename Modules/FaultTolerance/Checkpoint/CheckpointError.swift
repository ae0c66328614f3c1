/// What is wrong with a checkpoint directory.
public struct CheckpointError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of trouble.
    ///
    /// More kinds may be added: keep a default branch where you switch over them.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case damaged, unsupported, locked, notEmpty, notFound
        }
        private let kind: Kind

        /// No checkpoint in the directory can be read.
        public static let damaged = Code(kind: .damaged)
        /// It was written by a newer version.
        public static let unsupported = Code(kind: .unsupported)
        /// Another program has it open.
        public static let locked = Code(kind: .locked)
        /// It holds what an earlier run left, and this run was to start afresh.
        public static let notEmpty = Code(kind: .notEmpty)
        /// What was named is not there.
        public static let notFound = Code(kind: .notFound)
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
