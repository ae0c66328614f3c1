/// The contents of (a piece of) one partition, as a kernel is handed it.
///
/// Partitions are erased once here, per partition and never per element; a pipe that starts a
/// stage turns the pieces back into typed elements.
public enum PartitionData: Sendable {
    /// Elements in memory, as a typed array.
    case values(any PartitionValues)
    /// Text lines kept as bytes and decoded lazily.
    case lines(LineBlock)
    /// Elements as bytes, written by the element type's codec.
    case encoded(EncodedValues)
    /// Contents that the engine's block store holds; engines resolve it before a kernel runs.
    case block(BlockID)
    /// Contents that belong to input `index` of an operator with several inputs.
    indirect case branch(Int, [PartitionData])
    /// The input of a pipe made in a per-batch body (`transform`, `foreachRDD`), not yet run.
    case dynamic(any Sendable & AnyObject, [PartitionData])

    /// How many elements are here, as far as that is known without running a pipe.
    public var count: Int {
        switch self {
        case .values(let values): values.count
        case .lines(let lines): lines.count
        case .encoded(let encoded): encoded.count
        case .block: 0
        case .branch(_, let inner), .dynamic(_, let inner): inner.reduce(0) { $0 + $1.count }
        }
    }

    /// Whether it is known, without running a pipe, that nothing is here.
    var isEmpty: Bool {
        switch self {
        case .values, .lines, .encoded: count == 0
        case .block, .branch, .dynamic: false
        }
    }

    /// Whether something here is still in the block store.
    var holdsBlock: Bool {
        switch self {
        case .values, .lines, .encoded: false
        case .block: true
        case .branch(_, let inner), .dynamic(_, let inner): inner.contains(where: \.holdsBlock)
        }
    }

    /// An estimate of the memory held, in bytes: strides for arrays, exact for text and encoded.
    public var byteCount: Int {
        switch self {
        case .values(let values): values.byteCount
        case .lines(let lines): lines.byteCount
        case .encoded(let encoded): encoded.bytes.count
        case .block: 0
        case .branch(_, let inner), .dynamic(_, let inner): inner.reduce(0) { $0 + $1.byteCount }
        }
    }
}

extension PartitionData {
    /// The elements as one array, such as those of a piece that a block store holds.
    ///
    /// - Throws: ``EngineError`` `.invalidPlan` when they are of another type, `.blockMissing` when
    ///   they are not here, `.codecMissing` when they are bytes and the type has no codec; `CodecError`
    ///   for bytes that are no such elements.
    /// - Complexity: linear in the elements.
    public func elements<Element: Sendable>(of type: Element.Type) throws -> [Element] {
        var elements: [Element] = []
        let source = Pipe<Element>.source(OperatorSite("elements", file: #fileID, line: #line))
        try source.run(TaskContext(partition: 0), [self]) { elements.append($0) }
        return elements
    }
}

/// Elements of which may be known what they take.
private protocol MeasurableValues: AnyObject {
    /// Whether ``PartitionValues/byteCount`` runs no code of the elements.
    var isMeasured: Bool { get }
}

extension Values: MeasurableValues {}

extension PartitionData {
    /// Whether ``byteCount`` runs no code of the elements, which may block.
    package var isMeasured: Bool {
        switch self {
        case .values(let values): (values as? any MeasurableValues)?.isMeasured ?? false
        case .lines, .encoded, .block: true
        case .branch(_, let inner), .dynamic(_, let inner): inner.allSatisfy(\.isMeasured)
        }
    }

    /// The first element, of a piece that holds some for the engine's own use.
    ///
    /// - Returns: nil when there is none, or one of another type.
    @usableFromInline
    package func firstElement<Element: Sendable & StreamCodable>(
        as type: Element.Type
    ) throws -> Element? {
        switch self {
        case .values(let values): return (values as? Values<Element>)?.elements.first
        case .encoded(let encoded) where encoded.count > 0:
            return try encoded.bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                return try Element.decode(from: &reader)
            }
        default: return nil
        }
    }
}

/// A type-erased array of elements: ``Values``, and what inputs hand to their own tasks.
public protocol PartitionValues: AnyObject, Sendable {
    /// The number of elements.
    var count: Int { get }
    /// An estimate of the memory held, in bytes.
    var byteCount: Int { get }
    /// The elements as bytes, for another process.
    ///
    /// - Throws: ``EngineError`` `.codecMissing` with the type to declare; ``CodecError`` when an
    ///   element cannot be encoded.
    func encoded() throws -> EncodedValues
}

/// Immutable elements of one type, shared by reference.
public final class Values<Element: Sendable>: PartitionValues {
    /// The elements in order.
    public let elements: [Element]
    /// The memory that they take, where whoever made them has measured it.
    @usableFromInline let measured: Int?

    /// Wraps `elements`; nothing is copied.
    @inlinable
    public init(_ elements: [Element]) {
        self.elements = elements
        measured = nil
    }

    /// Wraps elements that take a number of bytes; nothing is copied.
    package init(_ elements: [Element], byteCount: Int) {
        self.elements = elements
        measured = byteCount
    }

    /// The number of elements.
    public var count: Int { elements.count }

    /// What ``ElementSize`` estimates.
    public var byteCount: Int {
        measured ?? ElementSize<Element>.shared.byteCount(of: elements)
    }

    var isMeasured: Bool { measured != nil || !ElementSize<Element>.shared.runsCodec }

    /// The elements as their codec writes them.
    public func encoded() throws -> EncodedValues {
        if elements.isEmpty { return EncodedValues(bytes: [], count: 0) }
        guard let codec = Codec<Element>.resolve() else {
            let type = Codec<Element>.firstTypeWithoutCodec() ?? Element.self
            throw EngineError(
                .codecMissing,
                "elements of \(Element.self) go to another process and \(type) has no codec; "
                    + "declare the type StreamCodable")
        }
        var writer = ByteWriter(reservingCapacity: byteCount)
        codec.encodeEach(elements, &writer)
        let count = elements.count
        return EncodedValues(bytes: try writer.takeBytes(), count: count)
    }
}

/// Elements written by a codec, back to back.
public struct EncodedValues: Sendable, Hashable {
    /// The encoded elements.
    public let bytes: [UInt8]
    /// How many elements `bytes` holds.
    public let count: Int

    /// Makes encoded contents.
    @inlinable
    public init(bytes: [UInt8], count: Int) {
        self.bytes = bytes
        self.count = count
    }

    /// Calls `body` once for each element, with a reader that stands before it.
    ///
    /// - Throws: what `body` throws; `CodecError` `.invalidValue` when the elements are not all that
    ///   the bytes hold, or more than such bytes can hold.
    @inlinable @inline(__always)
    public func forEach(_ body: (inout ByteReader) throws -> Void) throws {
        try checkCount()
        try bytes.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer)
            for _ in 0..<count { try body(&reader) }
            guard reader.isAtEnd else { throw CodecError.invalid("sequence of \(count) elements") }
        }
    }

    /// Fails for a count that nobody has written: elements may take no bytes, and are counted.
    @inlinable
    func checkCount() throws(CodecError) {
        guard let count = UInt64(exactly: count) else {
            throw CodecError.invalid("count of elements")
        }
        try Self.check(count: count, byteCount: bytes.count)
    }

    /// Fails for more elements than a number of bytes can hold.
    @inlinable
    static func check(count: UInt64, byteCount: Int) throws(CodecError) {
        guard count <= UInt64(byteCount) + 1 << 32 else {
            throw CodecError.invalid("count of elements")
        }
    }

    /// How many elements to make room for before any is known to be there.
    @inlinable public var plausibleCount: Int { min(count, max(64, bytes.count)) }
}
