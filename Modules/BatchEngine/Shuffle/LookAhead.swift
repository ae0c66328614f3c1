/// Gathers a few records, so that all of them are looked up before the first one is worked on.
///
/// In a large table each look-up waits for memory twice: for the index and for the entry. Look-ups
/// that do not depend on one another wait at the same time.
@usableFromInline
package struct LookAhead<Key: StreamKey, Value> {
    /// A record on its way, with its key's stable hash.
    @usableFromInline typealias Record = (key: Key, value: Value, hash: UInt64)

    @usableFromInline static var room: Int { 32 }

    @usableFromInline var records: [Record] = []

    /// Makes one without records.
    @inlinable
    package init() { records.reserveCapacity(Self.room) }

    /// Adds a record; true: as many are gathered as there is room for.
    @inlinable @inline(__always)
    mutating func add(_ key: Key, _ value: Value) -> Bool {
        records.append((key, value, key.stableHash))
        return records.count == Self.room
    }

    /// Adds a record of a state's, and hands on all that were gathered when they are enough.
    ///
    /// - Parameter body: called with each record and its place in the table, in order.
    @inlinable @inline(__always)
    package mutating func add<State>(
        _ key: Key, _ value: Value, _ table: StateTable<Key, State>,
        _ body: (Key, Value, StateTable<Key, State>.Place) throws -> Void
    ) rethrows {
        if add(key, value) { try finish(table, body) }
    }

    /// Hands on what was gathered.
    @inlinable
    package mutating func finish<State>(
        _ table: StateTable<Key, State>,
        _ body: (Key, Value, StateTable<Key, State>.Place) throws -> Void
    ) rethrows {
        table.touch(records)
        for record in records {
            let tag = UInt32(truncatingIfNeeded: record.hash)
            try body(record.key, record.value, table.find(record.key, tag: tag))
        }
        records.removeAll(keepingCapacity: true)
    }
}

extension LookAhead {
    /// Adds a value to a key's in a table: at once as long as the table is small.
    @inlinable @inline(__always)
    mutating func merge(
        _ key: Key, _ value: Value, into table: AggregationTable<Key, Value>,
        _ combine: (Value, Value) throws -> Value
    ) rethrows {
        if table.isSmall { return try table.merge(key, value, combine) }
        if add(key, value) { try finish(table, combine) }
    }

    /// Merges what was gathered.
    @inlinable
    mutating func finish(
        _ table: AggregationTable<Key, Value>, _ combine: (Value, Value) throws -> Value
    ) rethrows {
        table.touch(records)
        for record in records {
            try table.merge(record.key, hash: record.hash, record.value, combine)
        }
        records.removeAll(keepingCapacity: true)
    }
}

extension AggregationTable {
    /// Whether the table is, most likely, in the processor's caches anyway.
    @inlinable @inline(__always)
    var isSmall: Bool { mask < 1 << 14 }

    /// Brings index slots, then entries, of keys into the processor's caches.
    @inlinable
    func touch(_ records: [LookAhead<Key, Value>.Record]) {
        let (index, mask) = (index, mask)
        var sum = 0
        for record in records {
            let tag = UInt32(truncatingIfNeeded: record.hash)
            sum &+= Int(truncatingIfNeeded: index[Int(tag) & mask])
        }
        for record in records {
            let tag = UInt32(truncatingIfNeeded: record.hash)
            let content = index[Int(tag) & mask]
            // Most keys are in the first slot; a wrong one costs as much.
            let number = Int(content & 0xFFFF_FFFF) &- 1
            if number >= 0 {
                sum &+= Int(UnsafeRawPointer(entries + number).load(as: UInt8.self))
            }
        }
        touchSum &+= sum
    }
}

extension StateTable {
    /// Brings index slots, then entries, of keys into the processor's caches.
    @inlinable
    func touch<Input>(_ records: [LookAhead<Key, Input>.Record]) {
        var sum: UInt64 = 0
        for record in records {
            let tag = UInt32(truncatingIfNeeded: record.hash)
            let segment = index.segment(of: tag)
            sum &+= segment.slots[SegmentedIndex.home(tag) & segment.mask]
        }
        for record in records {
            let number = number(of: UInt32(truncatingIfNeeded: record.hash))
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
