/// A pair of functions that turn values of one type into bytes and back.
///
/// Where ``StreamCodable`` is a property of a type, this is a value: it composes over types that
/// cannot conform to protocols, tuples above all. Operators hold a `Codec<T>?` found by
/// ``resolve()`` when the graph is frozen, and so ask nothing of their elements but `Sendable`.
public struct Codec<T>: Sendable {
    /// Appends the binary form of a value; failures are recorded in the writer.
    public let encode: @Sendable (T, inout ByteWriter) -> Void
    /// Reads a value; throws ``CodecError`` if the bytes are not the form of one.
    public let decode: @Sendable (inout ByteReader) throws -> T
    /// The name of the binary form; see ``StreamCodable/codecShape``.
    public let shape: String
    /// ``encode`` for many values: compiled for their type where the codec was.
    @usableFromInline let encodeEach: @Sendable ([T], inout ByteWriter) -> Void

    /// Creates a codec from its parts.
    ///
    /// - Parameters:
    ///   - shape: The name of the binary form, the same in every build.
    ///   - encode: Appends the binary form of a value.
    ///   - decode: Reads exactly what `encode` wrote.
    @inlinable
    public init(
        shape: String,
        encode: @escaping @Sendable (T, inout ByteWriter) -> Void,
        decode: @escaping @Sendable (inout ByteReader) throws -> T
    ) {
        self.shape = shape
        self.encode = encode
        self.decode = decode
        encodeEach = { values, writer in
            for value in values { encode(value, &writer) }
        }
    }
}

extension Codec {
    /// The codec of a type that has a binary form of its own.
    @inlinable
    public static func of() -> Codec where T: StreamCodable {
        Codec(
            shape: T.codecShape,
            encode: { $0.encode(to: &$1) },
            decode: { try T.decode(from: &$0) })
    }

    /// The codec of pairs, from the codecs of their parts.
    @inlinable
    public static func pair<First, Second>(
        _ first: Codec<First>, _ second: Codec<Second>
    ) -> Codec where T == (First, Second) {
        Codec(
            shape: "(\(first.shape),\(second.shape))",
            encode: { value, writer in
                first.encode(value.0, &writer)
                second.encode(value.1, &writer)
            },
            decode: { (try first.decode(&$0), try second.decode(&$0)) })
    }

    /// The codec of arrays, from the codec of their elements.
    @inlinable
    public static func array<Element>(_ element: Codec<Element>) -> Codec where T == [Element] {
        Codec(
            shape: "Array<\(element.shape)>",
            encode: { $1.writeElements($0, .array(of: Element.self), element.encode) },
            decode: { reader in
                var array: [Element] = []
                try reader.readElements(
                    .array(of: Element.self), element.decode,
                    reserve: { array.reserveCapacity($0) }, append: { array.append($0) })
                return array
            })
    }

    /// The codec of optionals, from the codec of what they wrap.
    @inlinable
    public static func optional<Wrapped>(_ wrapped: Codec<Wrapped>) -> Codec where T == Wrapped? {
        Codec(
            shape: "Optional<\(wrapped.shape)>",
            encode: { value, writer in
                guard let value else { return writer.writeByte(0) }
                writer.writeByte(1)
                wrapped.encode(value, &writer)
            },
            decode: { try Bool.decode(from: &$0) ? .some(try wrapped.decode(&$0)) : .none })
    }

    /// The codec of dictionaries, from the codec of their values.
    @inlinable
    public static func dictionary<Key: StreamCodable & Hashable, Value>(
        _ value: Codec<Value>
    ) -> Codec where T == [Key: Value] {
        Codec(
            shape: "Dictionary<\(Key.codecShape),\(value.shape)>",
            encode: { dictionary, writer in
                writer.writeElements(dictionary, .dictionary(of: (Key, Value).self)) {
                    pair, writer in
                    pair.key.encode(to: &writer)
                    value.encode(pair.value, &writer)
                }
            },
            decode: { reader in
                var dictionary: [Key: Value] = [:]
                try reader.readElements(
                    .dictionary(of: (Key, Value).self),
                    { (try Key.decode(from: &$0), try value.decode(&$0)) },
                    reserve: { dictionary.reserveCapacity($0) },
                    append: { dictionary[$0.0] = $0.1 })
                return dictionary
            })
    }
}

extension Codec {
    /// Returns the binary form of a value.
    ///
    /// - Throws: ``CodecError`` if the value cannot be encoded.
    public func bytes(of value: T) throws(CodecError) -> [UInt8] {
        var writer = ByteWriter()
        encode(value, &writer)
        return try writer.takeBytes()
    }

    /// Returns the value whose binary form the given bytes are.
    ///
    /// - Throws: ``CodecError`` if the bytes are not the form of a value, or go on after it.
    public func value(of bytes: [UInt8]) throws -> T {
        try bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            let value = try decode(&reader)
            guard reader.isAtEnd else { throw CodecError.invalid(shape) }
            return value
        }
    }
}
