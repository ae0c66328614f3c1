/// A growing buffer of bytes that values encode themselves to.
///
/// All numbers are little-endian, whatever the machine. Writing does not throw: a value that cannot
/// be encoded records a ``failure``, and whoever owns the writer checks it once per buffer, before
/// the bytes leave the process.
public struct ByteWriter: Sendable {
    /// What the bytes are for.
    public enum Purpose: Hashable, Sendable {
        /// They are decoded again: each bit of the value is kept, including the sign of zero.
        case value
        /// They stand for a key, to be compared or hashed: values that are the same key write the
        /// same bytes, so `-0.0` is written as `0.0` and each NaN as the same NaN.
        case key
    }

    @usableFromInline var storage: [UInt8]
    @usableFromInline var depth = 0
    /// The memory of what was written, besides its bytes: more than they are, as far as is counted in
    /// ``MemoryFootprint``.
    @usableFromInline var footprint = 0

    /// What the bytes are for.
    public let purpose: Purpose
    @usableFromInline var firstFailure: CodecError?

    /// Creates an empty writer.
    ///
    /// - Parameters:
    ///   - purpose: What the bytes are for.
    ///   - capacity: The number of bytes to make room for at once.
    @inlinable
    public init(purpose: Purpose = .value, reservingCapacity capacity: Int = 0) {
        self.storage = []
        self.purpose = purpose
        self.firstFailure = nil
        if capacity > 0 { storage.reserveCapacity(capacity) }
    }

    /// The bytes written so far.
    @inlinable
    public var bytes: [UInt8] { storage }

    /// The number of bytes written so far.
    @inlinable
    public var count: Int { storage.count }

    /// The first failure to encode a value, or nil; after one, the bytes must not be used.
    @inlinable
    public var failure: CodecError? { firstFailure }

    /// Records that a value could not be encoded; the first failure is kept.
    public mutating func fail(_ error: CodecError) {
        if firstFailure == nil { firstFailure = error }
    }

    /// Forgets the bytes and the failure, and keeps the memory for reuse unless told otherwise.
    public mutating func removeAll(keepingCapacity: Bool = true) {
        storage.removeAll(keepingCapacity: keepingCapacity)
        firstFailure = nil
        depth = 0
        footprint = 0
    }

    /// Returns the bytes, and leaves the writer empty and without memory.
    ///
    /// - Throws: The recorded ``failure``, if there is one; the bytes are lost then.
    public mutating func takeBytes() throws(CodecError) -> [UInt8] {
        let error = firstFailure
        let taken = storage
        removeAll(keepingCapacity: false)
        if let error { throw error }
        return taken
    }
}

extension ByteWriter {
    /// Writes one byte.
    @inlinable
    public mutating func writeByte(_ byte: UInt8) {
        storage.append(byte)
    }

    /// Writes an unsigned number in 1 to 10 bytes, seven bits each, the lowest first (LEB128).
    @inlinable
    public mutating func writeVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            storage.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        storage.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Writes a signed number so that small magnitudes of either sign are short (ZigZag + LEB128).
    @inlinable
    public mutating func writeZigzag(_ value: Int64) {
        writeVarint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    /// Writes all bytes of a number of fixed width, the lowest first.
    @inlinable
    public mutating func writeFixed<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.littleEndian) { storage.append(contentsOf: $0) }
    }

    /// Writes bytes as they are, without their count.
    @inlinable
    public mutating func writeBytes(_ bytes: UnsafeRawBufferPointer) {
        storage.append(contentsOf: bytes)
    }

    /// Writes bytes as they are, without their count.
    @inlinable
    public mutating func writeBytes(_ bytes: [UInt8]) {
        storage.append(contentsOf: bytes)
    }

    /// Writes the count of the string's UTF-8 bytes, then the bytes.
    @inlinable
    public mutating func writeString(_ string: String) {
        var string = string
        string.withUTF8 { utf8 in
            writeVarint(UInt64(utf8.count))
            footprint &+= MemoryFootprint.string(byteCount: utf8.count)
            storage.append(contentsOf: utf8)
        }
    }

    /// Runs `body` one nesting level further down.
    ///
    /// Types that contain themselves encode their parts within it (arrays, sets, dictionaries and
    /// `Codable` types already do), so that what was written can be read back: beyond
    /// ``ByteReader/nestingMaximum`` levels a failure is recorded and `body` is not run.
    @inlinable
    public mutating func nested(_ body: (inout ByteWriter) -> Void) {
        guard depth < ByteReader.nestingMaximum else { return fail(.nestedTooDeeply()) }
        depth += 1
        body(&self)
        depth -= 1
    }

    /// Writes a count and that many elements.
    ///
    /// A reader refuses counts above the number of bytes left. Elements may write nothing at all,
    /// so zeros are added where all elements together wrote fewer bytes than there are elements.
    @inlinable
    mutating func writeElements<Elements: Collection>(
        _ elements: Elements, _ layout: CollectionStorage,
        _ write: (Elements.Element, inout ByteWriter) -> Void
    ) {
        writeVarint(UInt64(elements.count))
        footprint &+= layout.byteCount(of: elements.count)
        let start = storage.count
        nested { writer in
            for element in elements { write(element, &writer) }
        }
        let written = storage.count - start
        if written < elements.count {
            storage.append(contentsOf: repeatElement(0, count: elements.count - written))
        }
    }
}
