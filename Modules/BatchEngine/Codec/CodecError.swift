/// A failure to turn a value into bytes or bytes into a value.
///
/// The value is lost, not the process: nothing has been half-decoded into the caller's state. The
/// same bytes fail in the same way each time, so a retry makes sense only with other bytes (another
/// replica, an older snapshot).
public struct CodecError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of a codec failure.
    ///
    /// More kinds may be added: keep a default branch where you switch over them.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case truncated, invalidValue, nestingTooDeep, tooLarge, encodingFailed
        }
        private let kind: Kind

        /// The bytes ended, or a length pointed past their end, before the value was complete.
        public static let truncated = Code(kind: .truncated)
        /// The bytes are complete, but they are not the encoding of a value of this type.
        public static let invalidValue = Code(kind: .invalidValue)
        /// The value is nested more deeply than ``ByteReader/nestingMaximum``.
        public static let nestingTooDeep = Code(kind: .nestingTooDeep)
        /// The value takes more memory than its reader allows, though its bytes may be few.
        public static let tooLarge = Code(kind: .tooLarge)
        /// An `Encodable` type threw, or used its encoder in a way that has no meaning.
        public static let encodingFailed = Code(kind: .encodingFailed)

        /// The name of this code.
        public var description: String { kind.rawValue }
    }

    /// What kind of failure it is.
    public let code: Code
    /// What happened, for people; it never quotes the user's data.
    public let message: String

    /// Creates an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The code followed by the message.
    public var description: String { "\(code): \(message)" }
}

extension CodecError {
    /// The error for a read of `count` bytes where only `remaining` are left.
    @usableFromInline @inline(never)
    static func truncated(needing count: UInt64, remaining: Int) -> CodecError {
        CodecError(.truncated, "needed \(count) bytes, but only \(remaining) are left")
    }

    /// The error for bytes that no value of the type called `type` encodes to.
    @usableFromInline @inline(never)
    static func invalid(_ type: String) -> CodecError {
        CodecError(.invalidValue, "the bytes are not a valid \(type)")
    }

    /// The error for a value that takes more memory than allowed.
    @usableFromInline @inline(never)
    static func tooLarge(maximum: Int) -> CodecError {
        CodecError(.tooLarge, "the value takes more than the \(maximum) bytes allowed")
    }

    /// The error for a value that is nested too deeply.
    @usableFromInline @inline(never)
    static func nestedTooDeeply() -> CodecError {
        CodecError(
            .nestingTooDeep, "the value is nested more than \(ByteReader.nestingMaximum) levels")
    }
}
