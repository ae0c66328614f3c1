/// A hash table that holds one value per key while a partition is aggregated.
///
/// It is open-addressed with linear probing. A slot of the index holds 32 bits of the key's hash
/// and the number of an entry; entries lie in one array, in the order in which their keys first
/// came. So probing touches a key only if it almost surely is the right one, growing the index
/// touches no key at all, and reading the table out is one pass over memory.
///
/// When a key lies more than ``ProbeGuard/probeMaximum`` slots from where it belongs, keys were made up
/// to collide: from then on the table hashes their binary forms with a secret of its own.
///
/// Keys are told apart by ``StreamKey/isSameKey(_:_:)``. Of keys that are the same, the one that
/// came first stays.
///
/// ## Ordering
///
/// Entries come out in the order in which their keys were first put in, whatever their hashes and
/// the table's capacity.
///
/// ## Isolation
///
/// A table belongs to one task at a time. A closure handed to one of its methods must not use it.
public final class AggregationTable<Key: StreamKey, Value> {
    @usableFromInline typealias Entry = (key: Key, value: Value)

    // Checking each access for exclusivity would cost more than the access. The methods keep to it:
    // none holds on to a stored property while it calls a closure.
    /// Slots: 0, or the hash's lowest 32 bits above the entry's number plus one.
    @exclusivity(unchecked) @usableFromInline var index: UnsafeMutablePointer<UInt64>
    /// The number of slots, a power of two, less one.
    @exclusivity(unchecked) @usableFromInline var mask: Int
    /// Room for half as many entries as there are slots; the first `entryCount` are initialised.
    @exclusivity(unchecked) @usableFromInline var entries: UnsafeMutablePointer<Entry>
    @exclusivity(unchecked) @usableFromInline var entryCount = 0
    /// Says how keys are hashed once too many have collided; nil: by their stable hash.
    @exclusivity(unchecked) @usableFromInline var probeGuard: ProbeGuard?

    /// Creates an empty table.
    ///
    /// - Parameter minimumCapacity: The number of keys to make room for, for instance the count
    ///   that the last batch ended with.
    @inlinable
    public init(minimumCapacity: Int = 0) {
        let slots = Self.slots(for: minimumCapacity)
        index = .allocate(capacity: slots)
        index.initialize(repeating: 0, count: slots)
        mask = slots - 1
        entries = .allocate(capacity: slots / 2)
    }

    @inlinable
    deinit {
        entries.deinitialize(count: entryCount)
        entries.deallocate()
        index.deallocate()
    }

    /// The number of keys.
    @inlinable
    public var count: Int { entryCount }

    /// Whether there are no keys.
    @inlinable
    public var isEmpty: Bool { entryCount == 0 }

    /// The number of keys there is room for.
    @inlinable
    public var capacity: Int { (mask + 1) / 2 }

    /// The value of a key, or nil if there is none.
    ///
    /// - Complexity: O(1) on average.
    @inlinable
    public subscript(key: Key) -> Value? {
        let hash = key.stableHash
        let place = find(key, hash: hash)
        if place.isFound { return entries[place.number].value }
        noteMiss(key, hash: hash, at: place.slot)
        return nil
    }

    /// Makes room for a number of keys in all.
    @inlinable
    public func reserveCapacity(_ minimumCapacity: Int) {
        if minimumCapacity > capacity { grow(toSlots: Self.slots(for: minimumCapacity)) }
    }

    /// Removes all keys and values.
    ///
    /// - Parameter keepingCapacity: Whether to keep the memory for reuse.
    /// - Complexity: O(*n*) in the keys and in the capacity.
    @inlinable
    public func removeAll(keepingCapacity: Bool = true) {
        let old = detach()
        old.entries.deinitialize(count: old.count)
        if keepingCapacity { attach(old) } else { old.deallocate() }
    }
}

extension AggregationTable {
    /// The number of slots for a number of keys.
    @inlinable
    static func slots(for capacity: Int) -> Int {
        var slots = 16
        while slots / 2 < capacity { slots *= 2 }
        return slots
    }

    /// Where a key is, or where its number would be put.
    @usableFromInline
    struct Place {
        @usableFromInline let slot: Int
        @usableFromInline let number: Int
        @inlinable var isFound: Bool { number >= 0 }

        @inlinable @inline(__always)
        init(slot: Int, number: Int) {
            self.slot = slot
            self.number = number
        }
    }

    /// Looks for a key; there always is an empty slot to end at.
    @inlinable @inline(__always)
    func find(_ key: Key, hash: UInt64) -> Place {
        let index = index
        let entries = entries
        let mask = mask
        let tag = tag(of: key, hash: hash)
        var slot = Int(tag) & mask
        while true {
            let content = index[slot]
            if content == 0 { return Place(slot: slot, number: -1) }
            if UInt32(truncatingIfNeeded: content &>> 32) == tag {
                let number = Int(content & 0xFFFF_FFFF) &- 1
                if Key.isSameKey(entries[number].key, key) {
                    return Place(slot: slot, number: number)
                }
            }
            slot = (slot &+ 1) & mask
        }
    }

    /// Appends an entry whose key is not in the table.
    @inlinable
    func insert(_ key: Key, _ value: Value, hash: UInt64, at slot: Int) {
        var slot = slot
        var tag = tag(of: key, hash: hash)
        if entryCount == capacity {
            grow(toSlots: (mask + 1) * (mask < 1 << 16 ? 4 : 2))
            slot = emptySlot(tag: tag)
        }
        if distance(of: slot, from: tag) > ProbeGuard.probeMaximum, probeGuard == nil {
            hashWithSecret()
            tag = self.tag(of: key, hash: hash)
            slot = emptySlot(tag: tag)
        }
        (entries + entryCount).initialize(to: (key, value))
        entryCount &+= 1
        index[slot] = UInt64(tag) &<< 32 | UInt64(entryCount)
    }

    /// The 32 bits by which a key is found.
    @inlinable @inline(__always)
    func tag(of key: Key, hash: UInt64) -> UInt32 {
        guard let probeGuard else { return UInt32(truncatingIfNeeded: hash) }
        return probeGuard.tag(of: key)
    }

    /// How far a slot lies from where looking for a tag begins.
    @inlinable @inline(__always)
    func distance(of slot: Int, from tag: UInt32) -> Int { (slot &- Int(tag)) & mask }

    /// Looks whether a key that is not there took long to look for.
    @inlinable @inline(__always)
    func noteMiss(_ key: Key, hash: UInt64, at slot: Int) {
        if probeGuard == nil,
            distance(of: slot, from: UInt32(truncatingIfNeeded: hash)) > ProbeGuard.probeMaximum
        {
            hashWithSecret()
        }
    }

    /// Finds keys by a secret from now on.
    ///
    /// - Complexity: O(*n*), once.
    @inlinable @inline(never)
    func hashWithSecret() {
        let secret = ProbeGuard()
        probeGuard = secret
        index.update(repeating: 0, count: mask + 1)
        for number in 0..<entryCount {
            let tag = secret.tag(of: entries[number].key)
            index[emptySlot(tag: tag)] = UInt64(tag) &<< 32 | UInt64(number + 1)
        }
    }

    /// Whether too many keys have collided.
    package var isHashingWithSecret: Bool { probeGuard != nil }

    /// The farthest that an entry lies from where looking for it begins.
    ///
    /// - Complexity: O(*n*).
    package var longestProbe: Int {
        (0...mask).reduce(0) { longest, slot in
            let content = index[slot]
            if content == 0 { return longest }
            return max(longest, distance(of: slot, from: UInt32(truncatingIfNeeded: content >> 32)))
        }
    }

    @inlinable
    func emptySlot(tag: UInt32) -> Int {
        var slot = Int(tag) & mask
        while index[slot] != 0 { slot = (slot &+ 1) & mask }
        return slot
    }

    /// Moves to more slots.
    ///
    /// Slots know their place by themselves, so no key is hashed again.
    @inlinable @inline(never)
    func grow(toSlots slots: Int) {
        precondition(slots <= 1 << 32, "a table holds at most two thousand million keys")
        let oldIndex = index
        let oldEntries = entries
        let oldSlots = mask + 1
        index = .allocate(capacity: slots)
        index.initialize(repeating: 0, count: slots)
        mask = slots - 1
        for slot in 0..<oldSlots where oldIndex[slot] != 0 {
            let tag = UInt32(truncatingIfNeeded: oldIndex[slot] &>> 32)
            index[emptySlot(tag: tag)] = oldIndex[slot]
        }
        oldIndex.deallocate()
        entries = .allocate(capacity: slots / 2)
        entries.moveInitialize(from: oldEntries, count: entryCount)
        oldEntries.deallocate()
    }

    /// The contents of a table, taken out of it.
    @usableFromInline
    struct Contents {
        @usableFromInline let index: UnsafeMutablePointer<UInt64>
        @usableFromInline let entries: UnsafeMutablePointer<Entry>
        @usableFromInline let mask: Int
        @usableFromInline let count: Int

        @inlinable
        init(_ table: AggregationTable) {
            index = table.index
            entries = table.entries
            mask = table.mask
            count = table.entryCount
        }

        /// Frees the memory, whose entries must be gone.
        @inlinable
        func deallocate() {
            index.deallocate()
            entries.deallocate()
        }
    }

    /// Takes the contents out, and leaves a small table without keys.
    @inlinable
    func detach() -> Contents {
        let contents = Contents(self)
        index = .allocate(capacity: 16)
        index.initialize(repeating: 0, count: 16)
        mask = 15
        entries = .allocate(capacity: 8)
        entryCount = 0
        return contents
    }

    /// Puts back memory whose entries are gone, unless the table has keys again by now.
    @inlinable
    func attach(_ contents: Contents) {
        guard entryCount == 0 else { return contents.deallocate() }
        Contents(self).deallocate()
        index = contents.index
        index.update(repeating: 0, count: contents.mask + 1)
        mask = contents.mask
        entries = contents.entries
    }
}
