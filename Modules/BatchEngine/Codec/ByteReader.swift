/// A cursor over bytes that values decode themselves from.
///
/// The bytes may come from a torn file or from a hostile peer. No method traps on any bytes: each
/// checks that they are there and throws otherwise, and lengths are checked against what is left
/// before memory is reserved for them.
///
/// - Important: The reader does not own the bytes. They must outlive it.
public struct ByteReader {
    /// The number of levels a value may be nested.
    ///
    /// Decoding is recursive; without a limit, a few hundred kilobytes of opening brackets would
    /// exhaust a thread's stack. 256 levels fit in the 512 KB of a small one.
    public static let nestingMaximum = 256

    @usableFromInline let bytes: UnsafeRawBufferPointer
    @usableFromInline var position = 0
    @usableFromInline var depth = 0
    /// The memory of what was read, besides its bytes: more than they are, as far as is counted in
    /// ``MemoryFootprint``.
    @usableFromInline package var footprint = 0
    @usableFromInline let footprintMaximum: Int

    /// Creates a reader at the first of the given bytes.
    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer) {
        self.init(bytes, footprintMaximum: .max)
    }

    /// Creates a reader that refuses values whose collections take more memory than allowed.
    @inlinable
    package init(_ bytes: UnsafeRawBufferPointer, footprintMaximum: Int) {
        self.bytes = bytes
        self.footprintMaximum = footprintMaximum
    }

    /// The number of bytes read so far.
    @inlinable
    public var offset: Int { position }

    /// The number of bytes not yet read.
    @inlinable
    public var remaining: Int { bytes.count &- position }

    /// Whether all bytes have been read.
    @inlinable
    public var isAtEnd: Bool { position == bytes.count }
}

extension ByteReader {
    /// Reads one byte.
    ///
    /// - Throws: ``CodecError/Code/truncated`` at the end.
    @inlinable
    public mutating func readByte() throws(CodecError) -> UInt8 {
        guard position < bytes.count else { throw .truncated(needing: 1, remaining: 0) }
        defer { position &+= 1 }
        return bytes[position]
    }

    /// Reads a number written by ``ByteWriter/writeVarint(_:)``.
    ///
    /// - Throws: ``CodecError/Code/truncated`` at the end, or ``CodecError/Code/invalidValue`` if
    ///   the number has more than 64 bits.
    @inlinable
    public mutating func readVarint() throws(CodecError) -> UInt64 {
        let first = try readByte()
        if first < 0x80 { return UInt64(first) }
        var value = UInt64(first & 0x7f)
        var shift: UInt64 = 7
        while true {
            let byte = UInt64(try readByte())
            // The tenth byte holds the 64th bit and nothing else.
            if shift == 63 && byte > 1 { throw .invalid("varint") }
            value |= (byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }

    /// Reads a number written by ``ByteWriter/writeZigzag(_:)``.
    ///
    /// - Throws: As ``readVarint()``.
    @inlinable
    public mutating func readZigzag() throws(CodecError) -> Int64 {
        let value = try readVarint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    /// Reads a number written by ``ByteWriter/writeFixed(_:)``.
    ///
    /// - Throws: ``CodecError/Code/truncated`` if too few bytes are left.
    @inlinable
    public mutating func readFixed<Value: FixedWidthInteger & BitwiseCopyable>(
        as type: Value.Type = Value.self
    ) throws(CodecError) -> Value {
        let size = MemoryLayout<Value>.size
        guard size <= remaining else {
            throw .truncated(needing: UInt64(size), remaining: remaining)
        }
        defer { position &+= size }
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: type))
    }

    /// Reads a number that counts elements or bytes, and checks that as many bytes are left.
    ///
    /// - Throws: As ``readVarint()``, and ``CodecError/Code/truncated`` if the count is above the
    ///   number of bytes left.
    @inlinable
    public mutating func readCount() throws(CodecError) -> Int {
        let count = try readVarint()
        guard count <= UInt64(remaining) else {
            throw .truncated(needing: count, remaining: remaining)
        }
        return Int(truncatingIfNeeded: count)
    }

    /// Reads how many elements or bytes there are elsewhere.
    ///
    /// At most 2^40, which nobody has written more of: sums of such numbers do not overflow.
    package mutating func readQuantity() throws(CodecError) -> Int {
        let count = try readVarint()
        guard count <= 1 << 40 else { throw .invalid("number of elements or bytes") }
        return Int(count)
    }

    /// Reads the next `count` bytes without copying them.
    ///
    /// - Returns: A view that is valid as long as the reader's bytes are.
    /// - Throws: ``CodecError/Code/truncated`` if too few bytes are left, or `count` is negative.
    @inlinable
    public mutating func readBytes(count: Int) throws(CodecError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else {
            throw .truncated(needing: UInt64(clamping: count), remaining: remaining)
        }
        defer { position &+= count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<(position &+ count)])
    }

    /// Requires that all bytes have been read: bytes behind a value are nobody's, and an error.
    ///
    /// - Throws: ``CodecError/Code/invalidValue``, naming what was read.
    package func requireEnd(of what: String) throws(CodecError) {
        guard isAtEnd else {
            throw CodecError(.invalidValue, "\(remaining) bytes follow the \(what)")
        }
    }

    /// Counts memory for what is about to be read.
    ///
    /// - Throws: ``CodecError/Code/tooLarge`` when it is more than allowed.
    @inlinable
    mutating func charge(_ byteCount: Int) throws(CodecError) {
        footprint &+= byteCount
        guard footprint <= footprintMaximum else {
            throw .tooLarge(maximum: footprintMaximum)
        }
    }

    /// Reads a string written by ``ByteWriter/writeString(_:)``.
    ///
    /// - Throws: As ``readCount()``, and ``CodecError/Code/invalidValue`` if the bytes are not
    ///   valid UTF-8.
    @inlinable
    public mutating func readString() throws(CodecError) -> String {
        let count = try readCount()
        let utf8 = try readBytes(count: count)
        if count > 15 { try charge(MemoryFootprint.string(byteCount: count)) }
        // `String(validating:)` looks types up for each string, which takes longer than the rest.
        guard TextScan.isValidUTF8(utf8) else { throw .invalid("string") }
        return String(decoding: utf8.assumingMemoryBound(to: UInt8.self), as: UTF8.self)
    }

    /// Runs `body` one nesting level further down.
    ///
    /// Types that contain themselves decode their parts within it; arrays, sets, dictionaries and
    /// `Codable` types already do.
    ///
    /// - Throws: ``CodecError/Code/nestingTooDeep`` beyond ``nestingMaximum`` levels, and what
    ///   `body` throws.
    @inlinable
    public mutating func nested<Result>(
        _ body: (inout ByteReader) throws -> Result
    ) throws -> Result {
        guard depth < ByteReader.nestingMaximum else { throw CodecError.nestedTooDeeply() }
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }

    /// Reads a count and that many elements, and hands each one to `append`.
    ///
    /// - Parameters:
    ///   - layout: How the elements lie in memory.
    ///   - reserve: Called first, with a number of elements to make room for. It is at most the count,
    ///     and large only if as many bytes are left as the elements take in memory, or that much is
    ///     allowed.
    @inlinable
    mutating func readElements<Element>(
        _ layout: CollectionStorage, _ read: (inout ByteReader) throws -> Element,
        reserve: (Int) -> Void, append: (Element) -> Void
    ) throws {
        let count = try readCount()
        // No overflow: there are as many bytes, and what they stand for has been allocated.
        try charge(layout.byteCount(of: count))
        if footprintMaximum < .max {
            // What was charged is taken, and no more: growing would take up to twice as much.
            reserve(count)
        } else {
            let affordable = remaining / max(1, MemoryLayout<Element>.stride)
            reserve(min(count, max(64, affordable)))
        }
        let start = position
        try nested { reader in
            for _ in 0..<count { append(try read(&reader)) }
        }
        // The padding of elements that write nothing; see `writeElements`.
        let consumed = position - start
        if consumed < count { _ = try readBytes(count: count - consumed) }
    }
}
