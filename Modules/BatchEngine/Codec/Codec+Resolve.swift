extension Codec {
    /// Finds the codec of `T` at run time, from the type alone.
    ///
    /// It looks for a conformance to ``StreamCodable``, then into tuples, optionals, arrays and
    /// dictionaries, nested as deeply as they are: microseconds once, then what was found is known.
    ///
    /// - Returns: The codec, or nil if some part has none; see ``firstTypeWithoutCodec()``.
    public static func resolve() -> Codec? {
        if let known = KnownCodecs.codec(of: T.self) { return known }
        let found = assembled()
        if let found { KnownCodecs.note(found) }
        return found
    }

    private static func assembled() -> Codec? {
        if let codable = T.self as? any StreamCodable.Type { return codec(of: codable) }
        if let partwise = T.self as? any PartwiseCodable.Type {
            return partwise.codecFromParts() as? Codec
        }
        return fromTupleParts()
    }

    /// Finds the first part of `T`, in the order of writing, that has no codec.
    ///
    /// - Returns: The type to make ``StreamCodable``, or nil if ``resolve()`` finds a codec.
    public static func firstTypeWithoutCodec() -> Any.Type? {
        if T.self is any StreamCodable.Type { return nil }
        if let partwise = T.self as? any PartwiseCodable.Type {
            return partwise.firstPartWithoutCodec()
        }
        guard let parts = TupleLayout(of: T.self)?.parts else { return T.self }
        for part in parts {
            if let type = missing(in: part.type) { return type }
        }
        return nil
    }

    private static func codec<Value: StreamCodable>(of type: Value.Type) -> Codec? {
        Codec<Value>.of() as? Codec
    }

    private static func missing<Part>(in type: Part.Type) -> Any.Type? {
        Codec<Part>.firstTypeWithoutCodec()
    }
}

/// A generic type that has a codec whenever its parts have one, even where they cannot conform.
///
/// `[(String, Int)]` is not ``StreamCodable``, as tuples conform to nothing; but at run time the
/// array type can be asked for its element type.
protocol PartwiseCodable {
    /// The `Codec<Self>`, or nil if a part has none.
    static func codecFromParts() -> Any?
    /// The first part that has no codec, or nil if all have one.
    static func firstPartWithoutCodec() -> Any.Type?
    /// The types of its parts.
    static var partTypes: [Any.Type] { get }
}

extension Optional: PartwiseCodable {
    static var partTypes: [Any.Type] { [Wrapped.self] }
    static func codecFromParts() -> Any? { Codec<Wrapped>.resolve().map(Codec.optional) }
    static func firstPartWithoutCodec() -> Any.Type? { Codec<Wrapped>.firstTypeWithoutCodec() }
}

extension Array: PartwiseCodable {
    static var partTypes: [Any.Type] { [Element.self] }
    static func codecFromParts() -> Any? { Codec<Element>.resolve().map(Codec.array) }
    static func firstPartWithoutCodec() -> Any.Type? { Codec<Element>.firstTypeWithoutCodec() }
}

extension Set: PartwiseCodable {
    static var partTypes: [Any.Type] { [Element.self] }
    // A set has a codec only by conformance: its elements are Hashable, so they are no tuples.
    static func codecFromParts() -> Any? { nil }
    static func firstPartWithoutCodec() -> Any.Type? {
        Codec<Element>.firstTypeWithoutCodec() ?? Element.self
    }
}

extension Dictionary: PartwiseCodable {
    static var partTypes: [Any.Type] { [Key.self, Value.self] }
    static func codecFromParts() -> Any? {
        guard let key = Key.self as? any (StreamCodable & Hashable).Type else { return nil }
        return Codec<Value>.resolve().flatMap { codec(keyedBy: key, $0) }
    }

    private static func codec<StreamableKey: StreamCodable & Hashable>(
        keyedBy key: StreamableKey.Type, _ value: Codec<Value>
    ) -> Any? {
        Codec<[StreamableKey: Value]>.dictionary(value)
    }

    static func firstPartWithoutCodec() -> Any.Type? {
        guard Key.self is any StreamCodable.Type else {
            return Codec<Key>.firstTypeWithoutCodec() ?? Key.self
        }
        return Codec<Value>.firstTypeWithoutCodec()
    }
}
