/// A hash function whose results are the same in every process, run and build.
///
/// The standard library's `Hasher` is seeded per process, so it cannot decide which partition a key
/// belongs to when partitions outlive a process. Keys of several fields combine them:
///
/// ```swift
/// var stableHash: UInt64 {
///     var hasher = StableHasher()
///     hasher.combine(page)
///     hasher.combine(country)
///     return hasher.finish()
/// }
/// ```
///
/// The mixing step is the folded multiplication of wyhash (Wang Yi, public domain): the halves of a
/// 128-bit product, exclusive-or'ed. The constants are wyhash's; so is the scheme for more than 15
/// bytes. It spreads ordinary data well, and it is no defence against keys made to collide.
public struct StableHasher: Sendable {
    @usableFromInline static let secret0: UInt64 = 0xa076_1d64_78bd_642f
    @usableFromInline static let secret1: UInt64 = 0xe703_7ed1_a0b4_28db
    @usableFromInline static let secret2: UInt64 = 0x8ebc_6af0_9c88_c6e3
    @usableFromInline static let secret3: UInt64 = 0x5899_65cc_7537_4cc3

    @usableFromInline var state: UInt64

    /// Creates a hasher that has seen nothing.
    @inlinable
    public init() {
        state = Self.secret2
    }

    /// Adds a field; the order of the fields matters.
    @inlinable
    public mutating func combine<Key: StreamKey>(_ key: Key) {
        combine(hash: key.stableHash)
    }

    /// Adds something that has been hashed already.
    @inlinable
    public mutating func combine(hash: UInt64) {
        state = Self.fold(state ^ hash, Self.secret1)
    }

    /// The hash of all that was combined.
    @inlinable
    public func finish() -> UInt64 {
        Self.fold(state ^ Self.secret0, Self.secret3)
    }
}

extension StableHasher {
    /// The halves of the 128-bit product, exclusive-or'ed.
    @inlinable @inline(__always)
    static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }

    /// The hash of one number.
    @inlinable @inline(__always)
    static func hash(number: UInt64) -> UInt64 {
        fold(number ^ secret0, secret1)
    }

    /// The hash of up to 15 bytes.
    ///
    /// - Parameters:
    ///   - low: The first eight bytes as a little-endian number, zeros where there are fewer.
    ///   - high: The other bytes likewise, and the count of all bytes in the uppermost byte.
    @inlinable @inline(__always)
    static func hash(low: UInt64, high: UInt64) -> UInt64 {
        fold(low ^ secret0, high ^ secret1)
    }

    /// Returns the hash of bytes.
    ///
    /// - Complexity: O(*n*) in the number of bytes.
    public static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        let count = bytes.count
        if count < 16 {
            var low: UInt64 = 0
            var high = UInt64(count) << 56
            for index in 0..<min(count, 8) { low |= UInt64(bytes[index]) << (8 * UInt64(index)) }
            for index in 8..<max(count, 8) {
                high |= UInt64(bytes[index]) << (8 * UInt64(index - 8))
            }
            return hash(low: low, high: high)
        }
        func word(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        var seed = secret2
        var offset = 0
        while count - offset > 16 {
            seed = fold(word(offset) ^ secret0, word(offset + 8) ^ seed)
            offset += 16
        }
        // The last sixteen bytes, which may overlap those already seen.
        let last = fold(word(count - 16) ^ secret0, word(count - 8) ^ seed)
        return fold(secret1 ^ UInt64(count), last)
    }
}
