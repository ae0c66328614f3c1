extension Bool: StreamCodable {
    /// Appends one byte, 0 or 1.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeByte(self ? 1 : 0)
    }

    /// Reads one byte, 0 or 1.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Bool {
        switch try reader.readByte() {
        case 0: return false
        case 1: return true
        default: throw CodecError.invalid("Bool")
        }
    }

    /// The name of the type.
    public static var codecShape: String { "Bool" }
}

extension Double: StreamCodable {
    /// Appends the eight bytes of the bit pattern; a key's are those of its normal form.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeFixed(writer.purpose == .key ? keyBitPattern : bitPattern)
    }

    /// Reads the eight bytes of a bit pattern.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Double {
        Double(bitPattern: try reader.readFixed(as: UInt64.self))
    }

    /// The name of the type.
    public static var codecShape: String { "Double" }

    /// The bit pattern, with one zero and one NaN only.
    @inlinable
    var keyBitPattern: UInt64 {
        if self == 0 { return 0 }
        return isNaN ? Double.nan.bitPattern : bitPattern
    }
}

extension Float: StreamCodable {
    /// Appends the four bytes of the bit pattern; a key's are those of its normal form.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeFixed(writer.purpose == .key ? keyBitPattern : bitPattern)
    }

    /// Reads the four bytes of a bit pattern.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Float {
        Float(bitPattern: try reader.readFixed(as: UInt32.self))
    }

    /// The name of the type.
    public static var codecShape: String { "Float" }

    /// The bit pattern, with one zero and one NaN only.
    @inlinable
    var keyBitPattern: UInt32 {
        if self == 0 { return 0 }
        return isNaN ? Float.nan.bitPattern : bitPattern
    }
}

extension String: StreamCodable {
    /// Appends the count of the UTF-8 bytes and the bytes.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeString(self)
    }

    /// Reads a count and as many bytes of valid UTF-8.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> String {
        try reader.readString()
    }

    /// The name of the type.
    public static var codecShape: String { "String" }
}

extension Character: StreamCodable {
    /// Appends the character as a string.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeString(String(self))
    }

    /// Reads a string of exactly one character.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Character {
        let string = try reader.readString()
        guard let first = string.first, string.index(after: string.startIndex) == string.endIndex
        else { throw CodecError.invalid("Character") }
        return first
    }

    /// The name of the type.
    public static var codecShape: String { "Character" }
}

extension Duration: StreamCodable {
    /// Appends the whole seconds and the attoseconds.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeZigzag(components.seconds)
        writer.writeZigzag(components.attoseconds)
    }

    /// Reads whole seconds and attoseconds.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Duration {
        let (seconds, attoseconds) = (try reader.readZigzag(), try reader.readZigzag())
        // As components are: others may add up to more seconds than can be written again.
        let isSplit = seconds == 0 || attoseconds == 0 || (seconds < 0) == (attoseconds < 0)
        guard isSplit, attoseconds.magnitude < 1_000_000_000_000_000_000 else {
            throw CodecError.invalid("Duration")
        }
        return Duration(secondsComponent: seconds, attosecondsComponent: attoseconds)
    }

    /// The name of the type.
    public static var codecShape: String { "Duration" }
}
