extension Optional: StreamCodable where Wrapped: StreamCodable {
    /// Appends one byte, 0 or 1, and after 1 the wrapped value.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        guard let self else { return writer.writeByte(0) }
        writer.writeByte(1)
        self.encode(to: &writer)
    }

    /// Reads one byte, 0 or 1, and after 1 the wrapped value.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Wrapped? {
        try Bool.decode(from: &reader) ? .some(try Wrapped.decode(from: &reader)) : .none
    }

    /// `Optional<…>` around the shape of the wrapped type.
    public static var codecShape: String { "Optional<\(Wrapped.codecShape)>" }
}

extension Array: StreamCodable where Element: StreamCodable {
    /// Appends the count and the elements; bytes are copied at once.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        if Element.self == UInt8.self {
            writer.writeVarint(UInt64(count))
            writer.footprint &+= MemoryFootprint.buffer(byteCount: count)
            withUnsafeBytes { writer.writeBytes($0) }
        } else {
            writer.writeElements(self, .array(of: Element.self)) { $0.encode(to: &$1) }
        }
    }

    /// Reads a count and the elements.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> [Element] {
        if Element.self == UInt8.self {
            let count = try reader.readCount()
            let bytes = try reader.readBytes(count: count)
            try reader.charge(MemoryFootprint.buffer(byteCount: count))
            return Array(unsafeUninitializedCapacity: count) { buffer, initialized in
                UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
                initialized = count
            }
        }
        var array: [Element] = []
        try reader.readElements(
            .array(of: Element.self), { try Element.decode(from: &$0) },
            reserve: { array.reserveCapacity($0) }, append: { array.append($0) })
        return array
    }

    /// `Array<…>` around the shape of the elements.
    public static var codecShape: String { "Array<\(Element.codecShape)>" }
}

extension Set: StreamCodable where Element: StreamCodable {
    /// Appends the count and the elements, in an order that differs from run to run.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeElements(self, .set(of: Element.self)) { $0.encode(to: &$1) }
    }

    /// Reads a count and the elements.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> Set<Element> {
        var set: Set<Element> = []
        try reader.readElements(
            .set(of: Element.self), { try Element.decode(from: &$0) },
            reserve: { set.reserveCapacity($0) }, append: { set.insert($0) })
        return set
    }

    /// `Set<…>` around the shape of the elements.
    public static var codecShape: String { "Set<\(Element.codecShape)>" }
}

extension Dictionary: StreamCodable where Key: StreamCodable, Value: StreamCodable {
    /// Appends the count and the pairs, in an order that differs from run to run.
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.writeElements(self, .dictionary(of: (Key, Value).self)) { pair, writer in
            pair.key.encode(to: &writer)
            pair.value.encode(to: &writer)
        }
    }

    /// Reads a count and the pairs; of pairs with equal keys the last counts.
    @inlinable
    public static func decode(from reader: inout ByteReader) throws -> [Key: Value] {
        var dictionary: [Key: Value] = [:]
        try reader.readElements(
            .dictionary(of: (Key, Value).self),
            { (try Key.decode(from: &$0), try Value.decode(from: &$0)) },
            reserve: { dictionary.reserveCapacity($0) }, append: { dictionary[$0.0] = $0.1 })
        return dictionary
    }

    /// `Dictionary<…,…>` around the shapes of keys and values.
    public static var codecShape: String { "Dictionary<\(Key.codecShape),\(Value.codecShape)>" }
}
