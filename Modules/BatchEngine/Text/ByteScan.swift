/// Which bytes to look for, eight at a time.
@usableFromInline
protocol ByteMatcher: Sendable {
    /// The highest bit of each byte that matches, and no other bit.
    func matches(in word: UInt64) -> UInt64
    /// A byte that matches, to fill up incomplete words with.
    var filler: UInt8 { get }
}

/// Matches space, `\t`, `\n`, `\v`, `\f` and `\r`.
@usableFromInline
struct WhitespaceMatcher: ByteMatcher {
    @inlinable init() {}
    @inlinable var filler: UInt8 { 0x20 }

    @inlinable @inline(__always)
    func matches(in word: UInt64) -> UInt64 {
        // Seven-bit sums that cannot carry into the next byte: the highest bit says "at least".
        let sevenBits = word & 0x7F7F_7F7F_7F7F_7F7F
        let atLeastTab = sevenBits &+ 0x7777_7777_7777_7777
        let aboveReturn = sevenBits &+ 0x7272_7272_7272_7272
        let notSpace = (sevenBits ^ 0x2020_2020_2020_2020) &+ 0x7F7F_7F7F_7F7F_7F7F
        return ((atLeastTab & ~aboveReturn) | ~notSpace) & ~word & 0x8080_8080_8080_8080
    }
}

/// Matches one byte.
@usableFromInline
struct SingleByteMatcher: ByteMatcher {
    @usableFromInline let filler: UInt8
    @usableFromInline let pattern: UInt64

    @inlinable
    init(_ byte: UInt8) {
        filler = byte
        pattern = UInt64(byte) &* 0x0101_0101_0101_0101
    }

    @inlinable @inline(__always)
    func matches(in word: UInt64) -> UInt64 {
        let difference = word ^ pattern
        let sevenBits = (difference & 0x7F7F_7F7F_7F7F_7F7F) &+ 0x7F7F_7F7F_7F7F_7F7F
        return ~(sevenBits | difference) & 0x8080_8080_8080_8080
    }
}

extension ByteMatcher {
    /// The eight bytes at an offset as a little-endian number; past the end there is filler.
    @inlinable @inline(__always)
    func word(_ bytes: UnsafeRawPointer, at offset: Int, of count: Int) -> UInt64 {
        if offset &+ 8 <= count {
            return UInt64(littleEndian: (bytes + offset).loadUnaligned(as: UInt64.self))
        }
        var word = UInt64(filler) &* 0x0101_0101_0101_0101
        for index in stride(from: count &- 1, through: offset, by: -1) {
            word = word &<< 8 | UInt64(bytes.load(fromByteOffset: index, as: UInt8.self))
        }
        return word
    }

    /// Calls a closure with the offset of each match, and with the end of the bytes.
    @inlinable @inline(__always)
    func forEachMatch(
        in bytes: UnsafeRawPointer, count: Int, _ body: (Int) throws -> Void
    ) rethrows {
        var offset = 0
        while offset < count {
            var matches = matches(in: word(bytes, at: offset, of: count))
            while matches != 0 {
                let match = offset &+ matches.trailingZeroBitCount &>> 3
                // Filler matches too; its first byte stands for the end.
                if match >= count { return try body(count) }
                try body(match)
                matches &= matches &- 1
            }
            offset &+= 8
        }
        try body(count)
    }

    /// The offset of the first match at or after `start`, or the count if there is none.
    @inlinable
    func firstMatch(in bytes: UnsafeRawPointer, from start: Int, count: Int) -> Int {
        var offset = start
        while offset < count {
            let matches = matches(in: word(bytes, at: offset, of: count))
            if matches != 0 { return min(count, offset &+ matches.trailingZeroBitCount &>> 3) }
            offset &+= 8
        }
        return count
    }
}
