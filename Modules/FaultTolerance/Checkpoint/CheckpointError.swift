/// What is wrong with a checkpoint directory.
public struct CheckpointError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of trouble.
    public enum Code: Sendable, Hashable {
        /// No checkpoint in the directory can be read.
        case damaged
        /// It was written by a newer version.
        case unsupported
        /// Another program has it open.
        case locked
        /// It holds what an earlier run left, and this run was to start afresh.
        case notEmpty
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
