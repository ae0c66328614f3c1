/// What values take in memory besides themselves and their encoded bytes, as Swift allocates it on
/// 64-bit systems.
@usableFromInline
enum MemoryFootprint {
    /// What the allocator takes for a number of bytes: its own eight, and a multiple of sixteen.
    @inlinable @inline(__always)
    static func allocated(_ byteCount: Int) -> Int { (byteCount &+ 23) & ~15 }

    /// What a string or an array of bytes takes; of the bytes, which are encoded as they are, none.
    @inlinable @inline(__always)
    static func buffer(byteCount: Int) -> Int {
        byteCount == 0 ? 0 : allocated(32 &+ byteCount) &- byteCount
    }

    /// What a string's bytes take beyond those that are encoded: short ones lie in the string itself.
    @inlinable @inline(__always)
    static func string(byteCount: Int) -> Int {
        byteCount <= 15 ? 0 : buffer(byteCount: byteCount &+ 1) &+ 1
    }
}

/// How a collection lies in memory.
@usableFromInline
enum CollectionStorage {
    /// One element behind the other.
    case array(stride: Int)
    /// A set or a dictionary: a power of two of places, of which at most three quarters are used.
    case table(bucketStride: Int)

    /// What it takes with a number of elements; nothing when empty.
    @inlinable
    func byteCount(of count: Int) -> Int {
        guard count > 0 else { return 0 }
        switch self {
        case .array(let stride): return MemoryFootprint.allocated(32 &+ count &* stride)
        case .table(let bucketStride):
            let wanted = max(count &+ 1, (count &* 4 &+ 2) / 3)
            let buckets = 1 << (Int.bitWidth &- (wanted &- 1).leadingZeroBitCount)
            let marks = max(8, buckets / 8)
            return MemoryFootprint.allocated(64 &+ marks &+ buckets &* bucketStride)
        }
    }

    @inlinable
    static func array<Element>(of type: Element.Type) -> CollectionStorage {
        .array(stride: MemoryLayout<Element>.stride)
    }

    @inlinable
    static func set<Element>(of type: Element.Type) -> CollectionStorage {
        .table(bucketStride: MemoryLayout<Element>.stride)
    }

    @inlinable
    static func dictionary<Key, Value>(of types: (Key, Value).Type) -> CollectionStorage {
        .table(bucketStride: MemoryLayout<Key>.stride &+ MemoryLayout<Value>.stride)
    }
}

/// A collection that may be part of a `Codable` type.
protocol FootprintCollection {
    /// What it takes besides its elements' own.
    var footprint: Int { get }
    /// What it takes at most when it is made of that many parts, one after the other.
    static func footprint(ofParts count: Int, isKeyed: Bool) -> Int
}

extension Array: FootprintCollection {
    var footprint: Int { CollectionStorage.array(of: Element.self).byteCount(of: count) }

    static func footprint(ofParts count: Int, isKeyed: Bool) -> Int {
        // Growing doubles the room.
        CollectionStorage.array(of: Element.self).byteCount(of: 2 * count)
    }
}

extension Set: FootprintCollection {
    var footprint: Int { CollectionStorage.set(of: Element.self).byteCount(of: count) }

    static func footprint(ofParts count: Int, isKeyed: Bool) -> Int {
        CollectionStorage.set(of: Element.self).byteCount(of: count)
    }
}

extension Dictionary: FootprintCollection {
    var footprint: Int {
        CollectionStorage.dictionary(of: (Key, Value).self).byteCount(of: count)
    }

    static func footprint(ofParts count: Int, isKeyed: Bool) -> Int {
        // Keys that are no strings are parts of their own.
        CollectionStorage.dictionary(of: (Key, Value).self).byteCount(
            of: isKeyed ? count : (count + 1) / 2)
    }
}
