// The form of a `Codable` type. A value is a varint count of bytes, then a table of the names of
// all keys that occur in it, then its root node. A node is a tag, then by tag:
//
//     empty, none, no, yes         nothing
//     positive, negative           varint: the number, or its one's complement
//     float, double                4 or 8 bytes
//     string                       count and bytes
//     unkeyed                      count of bytes, count of elements, elements as nodes
//     keyed                        count of bytes, then pairs: index in the table of names, node
//
// Nodes describe themselves, so a decoder can skip what it does not know and can try one type after
// another, as hand-written `init(from:)` do.

/// The first byte of a node.
enum BridgeTag: UInt8 {
    case empty, none, no, yes, positive, negative, float, double, string, unkeyed, keyed
}

/// A type that is a node without parts.
protocol BridgeScalar {
    /// Appends the node.
    func write(to writer: inout ByteWriter)
    /// Reads the rest of a node, or nil if nodes with this tag are not of this type.
    static func read(_ tag: BridgeTag, from reader: inout ByteReader) throws -> Self?
}

extension Bool: BridgeScalar {
    func write(to writer: inout ByteWriter) {
        writer.writeByte((self ? BridgeTag.yes : BridgeTag.no).rawValue)
    }

    static func read(_ tag: BridgeTag, from reader: inout ByteReader) -> Bool? {
        switch tag {
        case .no: false
        case .yes: true
        default: nil
        }
    }
}

extension BridgeScalar where Self: FixedWidthInteger {
    func write(to writer: inout ByteWriter) {
        let isNegative = self < 0
        writer.writeByte((isNegative ? BridgeTag.negative : BridgeTag.positive).rawValue)
        writer.writeVarint(UInt64(isNegative ? ~self : self))
    }

    static func read(_ tag: BridgeTag, from reader: inout ByteReader) throws -> Self? {
        switch tag {
        case .positive: return Self(exactly: try reader.readVarint())
        case .negative:
            let complement = try reader.readVarint()
            guard Self.isSigned, let value = Self(exactly: complement) else { return nil }
            return ~value
        default: return nil
        }
    }
}

extension Int: BridgeScalar {}
extension Int8: BridgeScalar {}
extension Int16: BridgeScalar {}
extension Int32: BridgeScalar {}
extension Int64: BridgeScalar {}
extension UInt: BridgeScalar {}
extension UInt8: BridgeScalar {}
extension UInt16: BridgeScalar {}
extension UInt32: BridgeScalar {}
extension UInt64: BridgeScalar {}

extension Float: BridgeScalar {
    func write(to writer: inout ByteWriter) {
        writer.writeByte(BridgeTag.float.rawValue)
        encode(to: &writer)
    }

    static func read(_ tag: BridgeTag, from reader: inout ByteReader) throws -> Float? {
        tag == .float ? try decode(from: &reader) : nil
    }
}

extension Double: BridgeScalar {
    func write(to writer: inout ByteWriter) {
        writer.writeByte(BridgeTag.double.rawValue)
        encode(to: &writer)
    }

    static func read(_ tag: BridgeTag, from reader: inout ByteReader) throws -> Double? {
        switch tag {
        case .double: try decode(from: &reader)
        case .float: Double(try Float.decode(from: &reader))
        default: nil
        }
    }
}

extension String: BridgeScalar {
    func write(to writer: inout ByteWriter) {
        writer.writeByte(BridgeTag.string.rawValue)
        writer.writeString(self)
    }

    static func read(_ tag: BridgeTag, from reader: inout ByteReader) throws -> String? {
        tag == .string ? try reader.readString() : nil
    }
}

/// A key of an unkeyed container, or of a superclass.
struct BridgeKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    /// The key of a superclass that did not ask for another one.
    static let superclass = BridgeKey("super")

    init(_ name: String) {
        stringValue = name
        intValue = nil
    }

    init(index: Int) {
        stringValue = "\(index)"
        intValue = index
    }

    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { self.init(index: intValue) }
}

extension StreamCodable where Self: Codable {
    /// Appends the fields, each with its name.
    ///
    /// What the type's `encode(to: any Encoder)` throws is recorded as the writer's failure.
    public func encode(to writer: inout ByteWriter) {
        writer.nested { writer in
            BridgeEncodingSession.encode(self, to: &writer)
        }
    }

    /// Reads the fields by their names.
    ///
    /// - Throws: ``CodecError``; what the type's `init(from: any Decoder)` throws becomes
    ///   ``CodecError/Code/invalidValue``.
    public static func decode(from reader: inout ByteReader) throws -> Self {
        try reader.nested { try BridgeDecodingSession.decode(Self.self, from: &$0) }
    }
}
