/// What the encoders of one `Codable` value share.
final class BridgeEncodingSession {
    /// The names of the keys, in the order of their first use.
    private var names: [String] = []
    private var indices: [String: Int] = [:]
    /// The first thing that went wrong where the `Encoder` protocol allows no throwing.
    var misuse: CodecError?
    /// What the values take in memory besides their bytes.
    var footprint = 0
    let purpose: ByteWriter.Purpose

    private init(purpose: ByteWriter.Purpose) {
        self.purpose = purpose
    }

    /// The index of a name in the table of names.
    func index(of name: String) -> Int {
        if let index = indices[name] { return index }
        indices[name] = names.count
        names.append(name)
        return names.count - 1
    }

    /// Appends the binary form of a value, or records why there is none.
    static func encode<Value: Encodable>(_ value: Value, to writer: inout ByteWriter) {
        let session = BridgeEncodingSession(purpose: writer.purpose)
        let root = BridgeEncodingNode(session, depth: writer.depth)
        do {
            try value.encode(to: BridgeEncoder(node: root, codingPath: []))
            if let misuse = session.misuse { throw misuse }
        } catch let error as CodecError {
            return writer.fail(error)
        } catch {
            return writer.fail(CodecError(.encodingFailed, "\(Value.self): \(error)"))
        }
        var payload = ByteWriter()
        payload.writeVarint(UInt64(session.names.count))
        for name in session.names { payload.writeString(name) }
        root.append(to: &payload)
        writer.writeVarint(UInt64(payload.count))
        writer.writeBytes(payload.bytes)
        writer.footprint &+= session.footprint
    }
}

/// A node that is being written.
///
/// Containers hand out parts that may be written to at any later time, in any order; such parts
/// stay nodes until the whole value is complete. All others are bytes at once.
final class BridgeEncodingNode {
    enum Kind { case empty, scalar, unkeyed, keyed }

    let session: BridgeEncodingSession
    let depth: Int
    private(set) var kind = Kind.empty
    /// The node's bytes; of a container, without the tag and the counts.
    private var writer: ByteWriter
    private(set) var count = 0
    /// Parts not yet complete, and where in `writer` they belong.
    private var openParts: [(offset: Int, node: BridgeEncodingNode)] = []

    init(_ session: BridgeEncodingSession, depth: Int) {
        self.session = session
        self.depth = depth
        writer = ByteWriter(purpose: session.purpose)
    }

    /// Settles what the node is.
    ///
    /// A superclass and its subclass may ask for the same kind of container: they share it.
    ///
    /// - Returns: This node, or if it is already of another kind, one that leads nowhere.
    func become(_ wanted: Kind) -> BridgeEncodingNode {
        if kind == wanted && wanted != .scalar { return self }
        guard kind == .empty else {
            let message = "an encoder was asked for two kinds of containers"
            session.misuse = session.misuse ?? CodecError(.encodingFailed, message)
            return BridgeEncodingNode(session, depth: depth).become(wanted)
        }
        kind = wanted
        return self
    }

    /// Writes the key of the part that follows, if the node is keyed.
    private func beginPart(_ key: (any CodingKey)?) {
        count += 1
        if let key { writer.writeVarint(UInt64(session.index(of: key.stringValue))) }
    }

    /// Appends the absence of a value.
    func encodeNil(forKey key: (any CodingKey)? = nil) {
        beginPart(key)
        writer.writeByte(BridgeTag.none.rawValue)
    }

    /// Appends a complete part.
    func encode<Value: Encodable>(
        _ value: Value, forKey key: (any CodingKey)? = nil,
        codingPath: @autoclosure () -> [any CodingKey]
    ) throws {
        if let scalar = value as? any BridgeScalar {
            beginPart(key)
            return scalar.write(to: &writer)
        }
        guard depth < ByteReader.nestingMaximum else { throw CodecError.nestedTooDeeply() }
        if let collection = value as? any FootprintCollection {
            session.footprint &+= collection.footprint
        }
        let part = BridgeEncodingNode(session, depth: depth + 1)
        try value.encode(to: BridgeEncoder(node: part, codingPath: codingPath()))
        beginPart(key)
        part.append(to: &writer)
    }

    /// Makes room for a part that is written later.
    func openPart(forKey key: (any CodingKey)? = nil) -> BridgeEncodingNode {
        beginPart(key)
        let part = BridgeEncodingNode(session, depth: depth + 1)
        if part.depth > ByteReader.nestingMaximum {
            session.misuse = session.misuse ?? .nestedTooDeeply()
        }
        openParts.append((writer.count, part))
        return part
    }

    /// Appends the finished node.
    func append(to target: inout ByteWriter) {
        session.footprint &+= writer.footprint
        switch kind {
        case .empty: target.writeByte(BridgeTag.empty.rawValue)
        case .scalar: target.writeBytes(writer.bytes)
        case .unkeyed:
            var counted = ByteWriter()
            counted.writeVarint(UInt64(count))
            appendParts(to: &counted)
            target.writeByte(BridgeTag.unkeyed.rawValue)
            target.writeVarint(UInt64(counted.count))
            target.writeBytes(counted.bytes)
        case .keyed:
            target.writeByte(BridgeTag.keyed.rawValue)
            var parts = ByteWriter()
            appendParts(to: &parts)
            target.writeVarint(UInt64(parts.count))
            target.writeBytes(parts.bytes)
        }
    }

    private func appendParts(to target: inout ByteWriter) {
        var done = 0
        for part in openParts {
            target.writeBytes(Array(writer.bytes[done..<part.offset]))
            part.node.append(to: &target)
            done = part.offset
        }
        target.writeBytes(done == 0 ? writer.bytes : Array(writer.bytes[done...]))
    }
}

/// The encoder of one node.
struct BridgeEncoder: Encoder {
    let node: BridgeEncodingNode
    let codingPath: [any CodingKey]

    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(
            BridgeKeyedEncoding<Key>(node: node.become(.keyed), codingPath: codingPath))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        BridgeUnkeyedEncoding(node: node.become(.unkeyed), codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer {
        BridgeSingleEncoding(node: node, codingPath: codingPath)
    }
}

/// A container whose generic `encode` stands for those of all types.
private struct BridgeKeyedEncoding<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: BridgeEncodingNode
    let codingPath: [any CodingKey]

    func encodeNil(forKey key: Key) { node.encodeNil(forKey: key) }

    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        try node.encode(value, forKey: key, codingPath: codingPath + [key])
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type, forKey key: Key
    ) -> KeyedEncodingContainer<NestedKey> {
        superEncoder(forKey: key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        superEncoder(forKey: key).unkeyedContainer()
    }

    func superEncoder() -> any Encoder { part(BridgeKey.superclass) }
    func superEncoder(forKey key: Key) -> any Encoder { part(key) }

    private func part(_ key: any CodingKey) -> BridgeEncoder {
        BridgeEncoder(node: node.openPart(forKey: key), codingPath: codingPath + [key])
    }
}

private struct BridgeUnkeyedEncoding: UnkeyedEncodingContainer {
    let node: BridgeEncodingNode
    let codingPath: [any CodingKey]

    var count: Int { node.count }

    func encodeNil() { node.encodeNil() }

    func encode<Value: Encodable>(_ value: Value) throws {
        try node.encode(value, codingPath: codingPath + [BridgeKey(index: count)])
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type
    ) -> KeyedEncodingContainer<NestedKey> {
        superEncoder().container(keyedBy: type)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        superEncoder().unkeyedContainer()
    }

    func superEncoder() -> any Encoder {
        let path = codingPath + [BridgeKey(index: count)]
        return BridgeEncoder(node: node.openPart(), codingPath: path)
    }
}

private struct BridgeSingleEncoding: SingleValueEncodingContainer {
    let node: BridgeEncodingNode
    let codingPath: [any CodingKey]

    func encodeNil() { node.become(.scalar).encodeNil() }

    func encode<Value: Encodable>(_ value: Value) throws {
        try node.become(.scalar).encode(value, codingPath: codingPath)
    }
}
