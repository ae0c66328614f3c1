/// What is wrong with a directory of dead letters.
public struct DeadLetterError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of trouble.
    public enum Code: Sendable, Hashable {
        /// The file cannot be read; the others can.
        case damaged
        /// It was written by a newer version.
        case unsupported
        /// There is no such dead letter, or it was replayed.
        case missing
        /// Another program replays.
        case locked
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
