// Integers of more than eight bits are variable in length: most counts and identifiers are small.
// Decoding a number that does not fit the asked-for type throws, so a form written as Int64 can be
// read as Int32 as long as the values allow it.

extension ByteReader {
    /// Reads an unsigned number that fits `Value`.
    @inlinable
    mutating func readUnsigned<Value: FixedWidthInteger>(as type: Value.Type) throws -> Value {
        guard let value = Value(exactly: try readVarint()) else {
            throw CodecError.invalid("\(type)")
        }
        return value
    }

    /// Reads a signed number that fits `Value`.
    @inlinable
    mutating func readSigned<Value: FixedWidthInteger>(as type: Value.Type) throws -> Value {
        guard let value = Value(exactly: try readZigzag()) else {
            throw CodecError.invalid("\(type)")
        }
        return value
    }
}

extension Int: StreamCodable {
    /// Appends the number in ZigZag form, 1 to 10 bytes.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeZigzag(Int64(self))
    }

    /// Reads the number in ZigZag form, 1 to 10 bytes.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Int {
        try reader.readSigned(as: Int.self)
    }

    /// The name of the type.
    public static var codecShape: String { "Int" }
}

extension Int16: StreamCodable {
    /// Appends the number in ZigZag form, 1 to 10 bytes.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeZigzag(Int64(self))
    }

    /// Reads the number in ZigZag form, 1 to 10 bytes.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Int16 {
        try reader.readSigned(as: Int16.self)
    }

    /// The name of the type.
    public static var codecShape: String { "Int16" }
}

extension Int32: StreamCodable {
    /// Appends the number in ZigZag form, 1 to 10 bytes.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeZigzag(Int64(self))
    }

    /// Reads the number in ZigZag form, 1 to 10 bytes.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Int32 {
        try reader.readSigned(as: Int32.self)
    }

    /// The name of the type.
    public static var codecShape: String { "Int32" }
}

extension Int64: StreamCodable {
    /// Appends the number in ZigZag form, 1 to 10 bytes.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeZigzag(Int64(self))
    }

    /// Reads the number in ZigZag form, 1 to 10 bytes.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Int64 {
        try reader.readSigned(as: Int64.self)
    }

    /// The name of the type.
    public static var codecShape: String { "Int64" }
}

extension UInt: StreamCodable {
    /// Appends the number in LEB128 form, 1 to 10 bytes.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeVarint(UInt64(self))
    }

    /// Reads the number in LEB128 form, 1 to 10 bytes.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> UInt {
        try reader.readUnsigned(as: UInt.self)
    }

    /// The name of the type.
    public static var codecShape: String { "UInt" }
}

extension UInt16: StreamCodable {
    /// Appends the number in LEB128 form, 1 to 10 bytes.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeVarint(UInt64(self))
    }

    /// Reads the number in LEB128 form, 1 to 10 bytes.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> UInt16 {
        try reader.readUnsigned(as: UInt16.self)
    }

    /// The name of the type.
    public static var codecShape: String { "UInt16" }
}

extension UInt32: StreamCodable {
    /// Appends the number in LEB128 form, 1 to 10 bytes.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeVarint(UInt64(self))
    }

    /// Reads the number in LEB128 form, 1 to 10 bytes.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> UInt32 {
        try reader.readUnsigned(as: UInt32.self)
    }

    /// The name of the type.
    public static var codecShape: String { "UInt32" }
}

extension UInt64: StreamCodable {
    /// Appends the number in LEB128 form, 1 to 10 bytes.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeVarint(UInt64(self))
    }

    /// Reads the number in LEB128 form, 1 to 10 bytes.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> UInt64 {
        try reader.readUnsigned(as: UInt64.self)
    }

    /// The name of the type.
    public static var codecShape: String { "UInt64" }
}

extension Int8: StreamCodable {
    /// Appends the number as one byte.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeByte(UInt8(bitPattern: self))
    }

    /// Reads the number as one byte.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Int8 {
        Int8(bitPattern: try reader.readByte())
    }

    /// The name of the type.
    public static var codecShape: String { "Int8" }
}

extension UInt8: StreamCodable {
    /// Appends the number as one byte.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeByte(self)
    }

    /// Reads the number as one byte.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> UInt8 {
        try reader.readByte()
    }

    /// The name of the type.
    public static var codecShape: String { "UInt8" }
}

extension Int128: StreamCodable {
    /// Appends the number as sixteen bytes.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeFixed(self)
    }

    /// Reads the number as sixteen bytes.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Int128 {
        try reader.readFixed(as: Int128.self)
    }

    /// The name of the type.
    public static var codecShape: String { "Int128" }
}

extension UInt128: StreamCodable {
    /// Appends the number as sixteen bytes.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeFixed(self)
    }

    /// Reads the number as sixteen bytes.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> UInt128 {
        try reader.readFixed(as: UInt128.self)
    }

    /// The name of the type.
    public static var codecShape: String { "UInt128" }
}
