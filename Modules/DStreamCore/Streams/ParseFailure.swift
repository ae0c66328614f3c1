public import BatchEngine

/// A record that could not be parsed, and why.
public struct ParseFailure<Record: Sendable>: Sendable {
    /// The record as it came.
    public let record: Record
    /// The error, in words.
    public let reason: String

    /// Makes a failure.
    public init(record: Record, reason: String) {
        self.record = record
        self.reason = reason
    }
}

extension ParseFailure: Equatable where Record: Equatable {}
extension ParseFailure: Hashable where Record: Hashable {}

extension ParseFailure: StreamCodable where Record: StreamCodable {
    /// Appends the record and the reason.
    public func encode(to writer: inout ByteWriter) {
        record.encode(to: &writer)
        reason.encode(to: &writer)
    }

    /// Reads the record and the reason.
    public static func decode(from reader: inout ByteReader) throws -> ParseFailure {
        ParseFailure(record: try .decode(from: &reader), reason: try .decode(from: &reader))
    }

    /// `ParseFailure<…>` around the shape of the record.
    public static var codecShape: String { "ParseFailure<\(Record.codecShape)>" }
}

/// What follows when a record cannot be parsed, beside that it is counted.
///
/// To have its batch fail instead, use `map`.
public enum ParseErrorPolicy: Sendable, Hashable {
    /// The record is left out.
    case skip
    /// The record is left out, and kept in a dead letter of its batch.
    case deadLetter
}
