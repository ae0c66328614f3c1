/// Gathers a few records and looks all of them up before the first one is handed on.
///
/// In a large table each look-up waits for memory twice: for the index and for the entry. Look-ups
/// that do not depend on one another wait at the same time.
@usableFromInline
package struct StateLookAhead<Key: StreamKey, Value: Sendable> {
    /// A record on its way, with the lowest 32 bits of its key's hash.
    @usableFromInline typealias Record = (key: Key, value: Value, tag: UInt32)

    @usableFromInline static var room: Int { 32 }

    @usableFromInline var records: [Record] = []

    /// Makes one without records.
    @inlinable
    package init() { records.reserveCapacity(Self.room) }

    /// Adds a record, and hands on all that were gathered when they are enough.
    ///
    /// - Parameter body: called with each record and its place in the table, in order.
    @inlinable @inline(__always)
    package mutating func add<State>(
        _ key: Key, _ value: Value, _ table: StateTable<Key, State>,
        _ body: (Key, Value, StateTable<Key, State>.Place) throws -> Void
    ) rethrows {
        records.append((key, value, UInt32(truncatingIfNeeded: key.stableHash)))
        if records.count == Self.room { try finish(table, body) }
    }

    /// Hands on what was gathered.
    @inlinable
    package mutating func finish<State>(
        _ table: StateTable<Key, State>,
        _ body: (Key, Value, StateTable<Key, State>.Place) throws -> Void
    ) rethrows {
        table.touch(records)
        for index in records.indices {
            let record = records[index]
            try body(record.key, record.value, table.find(record.key, tag: record.tag))
        }
        records.removeAll(keepingCapacity: true)
    }
}

extension StateTable {
    /// Brings index slots, then entries, of keys into the processor's caches.
    @inlinable
    func touch<Input>(_ records: [StateLookAhead<Key, Input>.Record]) {
        var sum: UInt64 = 0
        for record in records {
            let segment = index.segment(of: record.tag)
            sum &+= segment.slots[SegmentedIndex.home(record.tag) & segment.mask]
        }
        for record in records {
            let number = number(of: record.tag)
            if number >= 0 {
                sum &+= UInt64(truncatingIfNeeded: entries[number].pointee.updatedAt)
            }
        }
        // Without a use the reads would be left out.
        touchSum &+= sum
    }

    /// Brings the entries that changes were of into the processor's caches.
    @inlinable
    func touch(_ undos: ArraySlice<Undo>) {
        var sum: UInt64 = 0
        for undo in undos where Int(undo.number) < entryCount {
            sum &+= UInt64(truncatingIfNeeded: entries[Int(undo.number)].pointee.updatedAt)
        }
        touchSum &+= sum
    }

    /// The number of the first entry with a tag: most likely the right one; negative: none.
    @inlinable @inline(__always)
    func number(of tag: UInt32) -> Int {
        let segment = index.segment(of: tag)
        var slot = SegmentedIndex.home(tag) & segment.mask
        while true {
            let content = segment.slots[slot]
            if content == 0 { return -1 }
            if UInt32(truncatingIfNeeded: content &>> 32) == tag {
                return Int(content & 0xFFFF_FFFF) &- 1
            }
            slot = (slot &+ 1) & segment.mask
        }
    }
}
