// The one place that looks at the representation of small strings. Why, and what is relied on:
// Docs/Decisions/0003-small-string-hash.md. The suites `StreamKeyTests` and `WordsTests` guard it.

/// Up to 15 bytes of UTF-8 in two words: the one form in which short keys are hashed and compared.
///
/// On 64-bit little-endian platforms it is also how the standard library represents short strings,
/// but for the four uppermost bits; there, neither hashing nor comparing touches memory.
@usableFromInline
struct ShortUTF8 {
    /// The first eight bytes, the first one lowest; zeros where there are fewer.
    @usableFromInline let low: UInt64
    /// The other bytes likewise; the uppermost byte is the count of all bytes.
    @usableFromInline let high: UInt64

    @inlinable @inline(__always)
    init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }
}

#if (arch(x86_64) || arch(arm64)) && _endian(little) && !os(Android)
    extension ShortUTF8 {
        /// Marks a string's second word as that of a small one.
        @usableFromInline static let smallMark: UInt64 = 0x2000_0000_0000_0000
        /// What a small string's second word has besides bytes and count.
        @usableFromInline static let markBits: UInt64 = 0xF000_0000_0000_0000

        /// Takes the bytes of a string that the standard library represents as a small one.
        @inlinable @inline(__always)
        init?(_ string: String) {
            let words = unsafeBitCast(string, to: (UInt64, UInt64).self)
            guard words.1 & Self.smallMark != 0 else { return nil }
            self.init(low: words.0, high: words.1 & ~Self.markBits)
        }

        /// Copies bytes that lie in a longer run of bytes.
        ///
        /// - Precondition: `range` holds 1 to 15 bytes of `bytes`.
        @inlinable @inline(__always)
        init(_ bytes: UnsafeRawPointer, _ start: Int, _ end: Int, of total: Int) {
            let count = end &- start
            var words: UInt128 = 0
            if start &+ 16 <= total {
                words = (bytes + start).loadUnaligned(as: UInt128.self)
                words &= (1 &<< UInt128(truncatingIfNeeded: count &* 8)) &- 1
            } else if end >= 16 {
                words = (bytes + (end &- 16)).loadUnaligned(as: UInt128.self)
                words = words &>> UInt128(truncatingIfNeeded: (16 &- count) &* 8)
            } else {
                for index in start..<end {
                    let byte = UInt128(bytes.load(fromByteOffset: index, as: UInt8.self))
                    words |= byte &<< UInt128(truncatingIfNeeded: (index &- start) &* 8)
                }
            }
            let length = UInt64(truncatingIfNeeded: count) &<< 56
            self.init(
                low: UInt64(truncatingIfNeeded: words),
                high: UInt64(truncatingIfNeeded: words &>> 64) | length)
        }

        /// The string of these bytes, which must be valid UTF-8.
        @inlinable @inline(__always)
        var string: String {
            let isASCII = (low | (high & 0x00FF_FFFF_FFFF_FFFF)) & 0x8080_8080_8080_8080 == 0
            let mark: UInt64 = isASCII ? 0xE000_0000_0000_0000 : 0xA000_0000_0000_0000
            var words = (low, high | mark)
            // Moved: a bit cast copies, and that calls retain, which does nothing here but costs.
            return withUnsafeMutablePointer(to: &words) {
                $0.withMemoryRebound(to: String.self, capacity: 1) { $0.move() }
            }
        }
    }
#else
    extension ShortUTF8 {
        /// Strings have another representation here, or another order of bytes.
        @inlinable @inline(__always)
        init?(_ string: String) { nil }
    }
#endif

extension String {
    /// Makes a string of bytes that lie in a longer run of bytes and are valid UTF-8.
    @inlinable @inline(__always)
    init(validUTF8 bytes: UnsafeRawPointer, _ start: Int, _ end: Int, of total: Int) {
        #if (arch(x86_64) || arch(arm64)) && _endian(little) && !os(Android)
            if end &- start <= 15 && start < end {
                self = ShortUTF8(bytes, start, end, of: total).string
                return
            }
        #endif
        let utf8 = UnsafeRawBufferPointer(start: bytes + start, count: end &- start)
        self.init(decoding: utf8, as: UTF8.self)
    }
}

extension String: StreamKey {
    /// The hash of the UTF-8 bytes, however they are stored.
    @inlinable
    public var stableHash: UInt64 {
        if let short = ShortUTF8(self) {
            return StableHasher.hash(low: short.low, high: short.high)
        }
        return hashOfStoredBytes
    }

    /// Whether the UTF-8 bytes are equal.
    @inlinable
    public static func isSameKey(_ left: String, _ right: String) -> Bool {
        if let left = ShortUTF8(left), let right = ShortUTF8(right) {
            return left.low == right.low && left.high == right.high
        }
        return hasSameStoredBytes(left, right)
    }

    @usableFromInline @inline(never)
    var hashOfStoredBytes: UInt64 {
        var string = self
        return string.withUTF8 { StableHasher.hash(UnsafeRawBufferPointer($0)) }
    }

    @usableFromInline @inline(never)
    static func hasSameStoredBytes(_ left: String, _ right: String) -> Bool {
        var left = left
        var right = right
        return left.withUTF8 { left in
            right.withUTF8 { right in
                haveSameBytes(UnsafeRawBufferPointer(left), UnsafeRawBufferPointer(right))
            }
        }
    }
}

/// Whether two pieces of memory hold the same bytes.
@inlinable
func haveSameBytes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    let count = left.count
    guard count == right.count else { return false }
    var offset = 0
    while offset &+ 8 <= count {
        let word = left.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        if word != right.loadUnaligned(fromByteOffset: offset, as: UInt64.self) { return false }
        offset &+= 8
    }
    while offset < count {
        if left[offset] != right[offset] { return false }
        offset &+= 1
    }
    return true
}
