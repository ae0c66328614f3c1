/// A value that has a compact binary form of its own.
///
/// Elements, states and keys need such a form only where they leave memory: in the log, a
/// checkpoint, a spilled or serialized block, or another process. The standard library's types have
/// one, and any `Codable` type gets one by declaring it:
///
/// ```swift
/// struct Click: Codable { var page: String, milliseconds: Int }
/// extension Click: StreamCodable {}
/// ```
///
/// That form names its fields, so fields can be added and reordered as with any `Codable` type, at
/// the price of some size and speed. Where this matters, write the two methods by hand:
///
/// ```swift
/// extension Point: StreamCodable {
///     func encode(to writer: inout ByteWriter) {
///         x.encode(to: &writer)
///         y.encode(to: &writer)
///     }
///     static func decode(from reader: inout ByteReader) throws -> Point {
///         Point(x: try .decode(from: &reader), y: try .decode(from: &reader))
///     }
/// }
/// ```
///
/// A form must delimit itself: `decode` reads exactly what `encode` wrote, whatever follows.
///
/// `checkStreamCodable` of DStreamTestKit checks a form of your own.
public protocol StreamCodable: Sendable {
    /// Appends the binary form of this value.
    ///
    /// A value that cannot be encoded calls ``ByteWriter/fail(_:)``; it does not trap.
    func encode(to writer: inout ByteWriter)

    /// Reads a value from the binary form that ``encode(to:)`` wrote.
    ///
    /// - Throws: ``CodecError`` if the bytes are not such a form. Any bytes may come: no trap.
    static func decode(from reader: inout ByteReader) throws -> Self

    /// A name of the binary form, such as `Int`, `Array<Int>` or `(String,Int)`.
    ///
    /// It goes into fingerprints that tell whether a checkpoint fits the program, so it must be the
    /// same in every build, and change when the form changes incompatibly. By default it is the
    /// type's name without its module; override it to rename a type and still read old data, or to
    /// refuse old data on purpose (`"Click/2"`).
    static var codecShape: String { get }
}

extension StreamCodable {
    /// The name of the type, without its module.
    public static var codecShape: String { "\(Self.self)" }
}

extension StreamCodable where Self: RawRepresentable, RawValue: StreamCodable {
    /// Appends the binary form of the raw value.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        rawValue.encode(to: &writer)
    }

    /// Reads a raw value and the value that it stands for.
    ///
    /// - Throws: ``CodecError/Code/invalidValue`` if it stands for none.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Self {
        let rawValue = try RawValue.decode(from: &reader)
        guard let value = Self(rawValue: rawValue) else { throw CodecError.invalid(codecShape) }
        return value
    }
}

extension StreamCodable where Self: RawRepresentable & Codable, RawValue: StreamCodable {
    /// Appends the binary form of the raw value.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        rawValue.encode(to: &writer)
    }

    /// Reads a raw value and the value that it stands for.
    ///
    /// - Throws: ``CodecError/Code/invalidValue`` if it stands for none.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Self {
        let rawValue = try RawValue.decode(from: &reader)
        guard let value = Self(rawValue: rawValue) else { throw CodecError.invalid(codecShape) }
        return value
    }
}
