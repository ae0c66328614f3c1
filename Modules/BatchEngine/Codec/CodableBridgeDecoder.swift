/// What the decoders of one `Codable` value share: its bytes and the names of its keys.
///
/// It owns a copy of the bytes, so a decoder that a type keeps for too long is harmless.
final class BridgeDecodingSession {
    private let bytes: [UInt8]
    let names: [String]
    /// What the value takes in memory besides its bytes.
    private var footprint = 0
    /// What decoding takes meanwhile.
    private var scratch: Int
    private let footprintMaximum: Int

    private init(bytes: [UInt8], names: [String], scratch: Int, footprintMaximum: Int) {
        self.bytes = bytes
        self.names = names
        self.scratch = scratch
        self.footprintMaximum = footprintMaximum
    }

    /// Counts memory for a part of the value.
    func charge(_ byteCount: Int) throws(CodecError) {
        footprint &+= byteCount
        try check()
    }

    /// Counts memory that decoding takes, until it is given back.
    func borrow(_ byteCount: Int) throws(CodecError) {
        scratch &+= byteCount
        try check()
    }

    func giveBack(_ byteCount: Int) { scratch &-= byteCount }

    private func check() throws(CodecError) {
        guard footprint &+ scratch <= footprintMaximum else {
            throw .tooLarge(maximum: footprintMaximum)
        }
    }

    /// Reads the binary form of a value.
    ///
    /// - Throws: ``CodecError``.
    static func decode<Value: Decodable>(
        _ type: Value.Type, from reader: inout ByteReader
    ) throws(CodecError) -> Value {
        let count = try reader.readCount()
        let room = max(0, reader.footprintMaximum &- reader.footprint)
        var payload = ByteReader(try reader.readBytes(count: count), footprintMaximum: room)
        var names: [String] = []
        for _ in 0..<(try payload.readCount()) {
            try payload.charge(2 * MemoryLayout<String>.stride)
            names.append(try payload.readString())
        }
        let nodeBytes = try payload.readBytes(count: payload.remaining)
        var root = ByteReader(nodeBytes)
        try root.skipNode()
        try root.requireEnd(of: "value")
        try payload.charge(nodeBytes.count)
        let session = BridgeDecodingSession(
            bytes: Array(nodeBytes), names: names, scratch: payload.footprint,
            footprintMaximum: room)
        let decoder = BridgeDecoder(
            session: session, offset: 0, depth: reader.depth, codingPath: [])
        do {
            let value = try Value(from: decoder)
            reader.footprint &+= session.footprint
            return value
        } catch let error as CodecError {
            throw error
        } catch {
            throw CodecError(.invalidValue, "\(type): \(error)")
        }
    }

    /// Reads at a place among the bytes.
    func read<Result>(
        at offset: Int, _ body: (inout ByteReader) throws(CodecError) -> Result
    ) throws(CodecError) -> Result {
        do {
            return try bytes.withUnsafeBytes { bytes in
                let room = footprintMaximum &- footprint &- scratch
                var reader = ByteReader(bytes, footprintMaximum: room)
                reader.position = min(offset, bytes.count)
                defer { footprint &+= reader.footprint }
                return try body(&reader)
            }
        } catch {
            throw error as? CodecError ?? .invalid("node")
        }
    }
}

extension ByteReader {
    /// Reads the tag of a node.
    mutating func readTag() throws(CodecError) -> BridgeTag {
        guard let tag = BridgeTag(rawValue: try readByte()) else { throw .invalid("node") }
        return tag
    }

    /// Reads over a node; the parts of containers are not looked at.
    mutating func skipNode() throws(CodecError) {
        let count: Int
        switch try readTag() {
        case .empty, .none, .no, .yes: return
        case .positive, .negative:
            _ = try readVarint()
            return
        case .float: count = 4
        case .double: count = 8
        case .string, .unkeyed, .keyed: count = try readCount()
        }
        _ = try readBytes(count: count)
    }
}

/// The decoder of one node.
struct BridgeDecoder: Decoder {
    let session: BridgeDecodingSession
    let offset: Int
    let depth: Int
    let codingPath: [any CodingKey]
    /// The collection that the node is to become; nil: another type.
    var collection: (any FootprintCollection.Type)?

    var userInfo: [CodingUserInfoKey: Any] { [:] }

    /// What the node is.
    func tag() throws -> BridgeTag {
        try session.read(at: offset) { reader throws(CodecError) in try reader.readTag() }
    }

    /// The decoder of a part of this node.
    func part(at offset: Int, _ key: any CodingKey) throws -> BridgeDecoder {
        guard depth < ByteReader.nestingMaximum else { throw CodecError.nestedTooDeeply() }
        return BridgeDecoder(
            session: session, offset: offset, depth: depth + 1, codingPath: codingPath + [key])
    }

    /// The error for a node that is not what was asked for.
    func mismatch(_ type: Any.Type) -> DecodingError {
        .typeMismatch(
            type, .init(codingPath: codingPath, debugDescription: "the value is not a \(type)"))
    }

    func container<Key: CodingKey>(
        keyedBy type: Key.Type
    ) throws -> KeyedDecodingContainer<Key> {
        var parts: [(name: Int, offset: Int)] = []
        let names = session.names.count
        let isKeyed = try session.read(at: offset) { reader throws(CodecError) -> Bool in
            let tag = try reader.readTag()
            guard tag == .keyed else { return tag == .empty }
            let end = try reader.readCount() + reader.offset
            while reader.offset < end {
                guard let name = Int(exactly: try reader.readVarint()), name < names else {
                    throw .invalid("key")
                }
                try session.borrow(BridgeKeyedDecoding<Key>.partBytes)
                parts.append((name, reader.offset))
                try reader.skipNode()
            }
            return true
        }
        guard isKeyed else { throw mismatch([String: Any].self) }
        try session.charge(collection?.footprint(ofParts: parts.count, isKeyed: true) ?? 0)
        return KeyedDecodingContainer(BridgeKeyedDecoding<Key>(decoder: self, parts: parts))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        let (isUnkeyed, count, first) = try session.read(at: offset) {
            reader throws(CodecError) -> (Bool, Int, Int) in
            let tag = try reader.readTag()
            guard tag == .unkeyed else { return (tag == .empty, 0, reader.offset) }
            _ = try reader.readCount()
            let count = try reader.readCount()
            return (true, count, reader.offset)
        }
        guard isUnkeyed else { throw mismatch([Any].self) }
        try session.charge(collection?.footprint(ofParts: count, isKeyed: false) ?? 0)
        return BridgeUnkeyedDecoding(decoder: self, elementCount: count, offset: first)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer {
        BridgeSingleDecoding(decoder: self)
    }
}

extension BridgeDecoder {
    /// Reads the node at an offset as a value of the given type.
    func decode<Value: Decodable>(
        _ type: Value.Type, at offset: Int, codingPath: @autoclosure () -> [any CodingKey]
    ) throws -> Value {
        if let scalar = type as? any BridgeScalar.Type {
            let value = try decodeScalar(scalar, at: offset)
            if let value = value as? Value { return value }
            throw BridgeDecoder(
                session: session, offset: offset, depth: depth, codingPath: codingPath()
            ).mismatch(type)
        }
        guard depth < ByteReader.nestingMaximum else { throw CodecError.nestedTooDeeply() }
        return try Value(
            from: BridgeDecoder(
                session: session, offset: offset, depth: depth + 1, codingPath: codingPath(),
                collection: type as? any FootprintCollection.Type))
    }

    private func decodeScalar<Scalar: BridgeScalar>(
        _ type: Scalar.Type, at offset: Int
    ) throws -> Scalar? {
        try session.read(at: offset) { reader throws(CodecError) -> Scalar? in
            let tag = try reader.readTag()
            do {
                return try Scalar.read(tag, from: &reader)
            } catch {
                throw error as? CodecError ?? .invalid("\(type)")
            }
        }
    }

    /// Whether the node at an offset stands for the absence of a value.
    func isNil(at offset: Int) throws -> Bool {
        try session.read(at: offset) { reader throws(CodecError) in try reader.readTag() } == .none
    }
}
