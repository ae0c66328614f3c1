/// A keyed container that is being read.
///
/// Types mostly ask for keys in the order in which they wrote them, so looking one up starts after
/// the one found last.
final class BridgeKeyedDecoding<Key: CodingKey>: KeyedDecodingContainerProtocol {
    /// What a part takes while it is read, in an array that grows.
    static var partBytes: Int { 2 * MemoryLayout<(name: Int, offset: Int)>.stride }

    private let decoder: BridgeDecoder
    private let parts: [(name: Int, offset: Int)]
    private var next = 0

    init(decoder: BridgeDecoder, parts: [(name: Int, offset: Int)]) {
        self.decoder = decoder
        self.parts = parts
    }

    deinit { decoder.session.giveBack(parts.count * Self.partBytes) }

    var codingPath: [any CodingKey] { decoder.codingPath }

    var allKeys: [Key] {
        parts.compactMap { Key(stringValue: decoder.session.names[$0.name]) }
    }

    private func find(_ name: String) -> Int? {
        for step in 0..<parts.count {
            let index = (next + step) % parts.count
            guard decoder.session.names[parts[index].name] == name else { continue }
            next = index
            return parts[index].offset
        }
        return nil
    }

    private func offset(of key: any CodingKey) throws -> Int {
        guard let offset = find(key.stringValue) else {
            let message = "there is no value for the key \(key.stringValue)"
            throw DecodingError.keyNotFound(
                key, .init(codingPath: codingPath, debugDescription: message))
        }
        return offset
    }

    func contains(_ key: Key) -> Bool { find(key.stringValue) != nil }

    func decodeNil(forKey key: Key) throws -> Bool {
        try decoder.isNil(at: offset(of: key))
    }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try decoder.decode(type, at: offset(of: key), codingPath: codingPath + [key])
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try superDecoder(forKey: key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try superDecoder(forKey: key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder {
        try decoder.part(at: offset(of: BridgeKey.superclass), BridgeKey.superclass)
    }

    func superDecoder(forKey key: Key) throws -> any Decoder {
        try decoder.part(at: offset(of: key), key)
    }
}

/// An unkeyed container that is being read.
struct BridgeUnkeyedDecoding: UnkeyedDecodingContainer {
    private let decoder: BridgeDecoder
    private let elementCount: Int
    private var offset: Int
    private(set) var currentIndex = 0

    init(decoder: BridgeDecoder, elementCount: Int, offset: Int) {
        self.decoder = decoder
        self.elementCount = elementCount
        self.offset = offset
    }

    var codingPath: [any CodingKey] { decoder.codingPath }
    var count: Int? { elementCount }
    var isAtEnd: Bool { currentIndex >= elementCount }

    private func checkNotAtEnd(_ type: Any.Type) throws {
        guard isAtEnd else { return }
        throw DecodingError.valueNotFound(
            type, .init(codingPath: codingPath, debugDescription: "there are no more elements"))
    }

    private mutating func advance() throws {
        offset = try decoder.session.read(at: offset) { reader throws(CodecError) in
            try reader.skipNode()
            return reader.offset
        }
        currentIndex += 1
    }

    mutating func decodeNil() throws -> Bool {
        try checkNotAtEnd(Never?.self)
        guard try decoder.isNil(at: offset) else { return false }
        try advance()
        return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try checkNotAtEnd(type)
        let path = codingPath
        let key = BridgeKey(index: currentIndex)
        // Of a collection that is not known, or of none.
        if decoder.collection == nil { try decoder.session.charge(2 * MemoryLayout<Value>.stride) }
        let value = try decoder.decode(type, at: offset, codingPath: path + [key])
        try advance()
        return value
    }

    mutating func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type
    ) throws -> KeyedDecodingContainer<NestedKey> {
        let container = try part().container(keyedBy: type)
        try advance()
        return container
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        let container = try part().unkeyedContainer()
        try advance()
        return container
    }

    mutating func superDecoder() throws -> any Decoder {
        let decoder = try part()
        try advance()
        return decoder
    }

    private func part() throws -> BridgeDecoder {
        try checkNotAtEnd((any Decoder).self)
        return try decoder.part(at: offset, BridgeKey(index: currentIndex))
    }
}

/// A node that is read as one value.
struct BridgeSingleDecoding: SingleValueDecodingContainer {
    let decoder: BridgeDecoder

    var codingPath: [any CodingKey] { decoder.codingPath }

    func decodeNil() -> Bool {
        // The requirement does not throw; a node that cannot be read fails in the next decode.
        (try? decoder.isNil(at: decoder.offset)) ?? false
    }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try decoder.decode(type, at: decoder.offset, codingPath: codingPath)
    }
}
