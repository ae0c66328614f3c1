public import CPrefetch

/// Holds elements back for a few others, so that their places in a table are in the cache by then.
///
/// In a large table a look-up waits for memory twice: for the slot and for the entry. The waits of
/// several look-ups overlap here (Chen, Ailamaki, Gibbons, Mowry, "Improving hash join performance
/// through prefetching", 2004). Elements keep their order.
@usableFromInline
package struct LookAhead<Key: StreamKey, Part>: ~Copyable {
    /// An element on its way, with its key's hash.
    @usableFromInline typealias Pending = (key: Key, part: Part, hash: UInt64)

    /// How many elements are held back, a power of two; half of them have their slots already.
    @inlinable static var room: Int { 16 }

    /// The places of the elements, in turn.
    @usableFromInline let pending: UnsafeMutablePointer<Pending>
    /// How many elements came, and how many were handed on.
    @usableFromInline var added = 0
    @usableFromInline var taken = 0

    /// Makes one that holds nothing.
    @inlinable
    package init() { pending = .allocate(capacity: Self.room) }

    @inlinable
    deinit {
        for number in taken..<added { place(number).deinitialize(count: 1) }
        pending.deallocate()
    }

    @inlinable @inline(__always)
    func place(_ number: Int) -> UnsafeMutablePointer<Pending> {
        pending + number & (Self.room &- 1)
    }

    /// Takes an element, and hands on the one whose turn it is.
    ///
    /// - Parameter body: called with each key, its hash and what came with it, in order.
    /// - Throws: what `body` throws.
    @inlinable @inline(__always)
    package mutating func add(
        _ key: Key, _ part: Part, to table: borrowing some PrefetchingTable,
        _ body: (Key, UInt64, Part) throws -> Void
    ) rethrows {
        let hash = key.stableHash
        // What fits into the nearest cache is there.
        if added == taken, table.isSmall { return try body(key, hash, part) }
        table.prefetchSlot(hash: hash)
        if added &- taken == Self.room { try takeFirst(body) }
        if added &- taken >= Self.room / 2 {
            table.prefetchEntry(hash: place(added &- Self.room / 2).pointee.hash)
        }
        place(added).initialize(to: (key, part, hash))
        added &+= 1
    }

    /// Hands on everything that is held back.
    ///
    /// - Throws: what `body` throws.
    @inlinable
    package mutating func finish(_ body: (Key, UInt64, Part) throws -> Void) rethrows {
        while taken < added { try takeFirst(body) }
    }

    @inlinable @inline(__always)
    mutating func takeFirst(_ body: (Key, UInt64, Part) throws -> Void) rethrows {
        let first = place(taken).move()
        taken &+= 1
        try body(first.key, first.hash, first.part)
    }
}

/// A table that can ask for the memory of a key before it is looked for.
@usableFromInline
package protocol PrefetchingTable {
    /// Whether the slots fit into the nearest cache anyway.
    var isSmall: Bool { get }
    /// Asks for the slot where looking for a key begins.
    func prefetchSlot(hash: UInt64)
    /// Asks for the entry that the slot names, if it may be the key's.
    func prefetchEntry(hash: UInt64)
}

extension AggregationTable: PrefetchingTable {
    @inlinable @inline(__always)
    package var isSmall: Bool { mask < 1 << 11 }

    @inlinable @inline(__always)
    package func prefetchSlot(hash: UInt64) {
        dstream_prefetch(index + Int(UInt32(truncatingIfNeeded: hash)) & mask)
    }

    @inlinable @inline(__always)
    package func prefetchEntry(hash: UInt64) {
        let tag = UInt32(truncatingIfNeeded: hash)
        let content = index[Int(tag) & mask]
        if UInt32(truncatingIfNeeded: content &>> 32) == tag {
            dstream_prefetch(entries + (Int(content & 0xFFFF_FFFF) &- 1))
        }
    }
}

extension StateTable: PrefetchingTable {
    @inlinable @inline(__always)
    package var isSmall: Bool { entryCount < 1 << 11 }

    @inlinable @inline(__always)
    package func prefetchSlot(hash: UInt64) {
        let tag = UInt32(truncatingIfNeeded: hash)
        let segment = index.segment(of: tag)
        dstream_prefetch(segment.slots + SegmentedIndex.home(tag) & segment.mask)
    }

    @inlinable @inline(__always)
    package func prefetchEntry(hash: UInt64) {
        let tag = UInt32(truncatingIfNeeded: hash)
        let segment = index.segment(of: tag)
        let content = segment.slots[SegmentedIndex.home(tag) & segment.mask]
        // A free slot looks like entry -1 of a key whose tag is 0.
        if content != 0, UInt32(truncatingIfNeeded: content &>> 32) == tag {
            dstream_prefetch(entries[Int(content & 0xFFFF_FFFF) &- 1])
        }
    }

    /// Asks for the entry that a change was of, if it is still where it was.
    @inlinable @inline(__always)
    func prefetchEntry(of undo: Undo) {
        if Int(undo.number) < entryCount { dstream_prefetch(entries[Int(undo.number)]) }
    }
}
