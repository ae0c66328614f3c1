/// One partition of an operator's state: a value per key, changed batch by batch, with a way back.
///
/// A batch is applied on top of the version that an earlier one left: ``begin(_:on:keepingFrom:)``,
/// changes, and ``commit()`` or ``abort()``. Versions are batch times in milliseconds. What a batch
/// changes is noted in an undo log, through which the table goes back to an earlier version, is read
/// as it was, and tells what a batch changed.
///
/// Entries lie in chunks and have no gaps: the last one takes the place of a removed one. They are
/// found by linear hashing (Litwin, "Linear hashing: a new tool for file and table addressing",
/// 1980): the index is made of small segments, of which one is split for every few hundred new keys.
/// So the table grows without ever pausing, and no key is hashed or moved when it does. When so many
/// keys collide that they must have been made up to, it pauses once, and hashes their binary forms
/// with a secret of its own from then on.
///
/// ## Isolation
///
/// A table belongs to one task at a time; see ``StateCell``. A closure handed to one of its methods
/// must not use it.
public final class StateTable<Key: StreamKey, Value: Sendable> {
    @usableFromInline
    struct Entry {
        @usableFromInline var key: Key
        @usableFromInline var value: Value
        @usableFromInline var updatedAt: Int64

        @inlinable @inline(__always)
        init(_ key: Key, _ value: Value, _ updatedAt: Int64) {
            self.key = key
            self.value = value
            self.updatedAt = updatedAt
        }
    }

    /// What has to be done to take back one change.
    @usableFromInline
    struct Undo {
        @usableFromInline var key: Key
        /// The value before; nil: there was none.
        @usableFromInline var value: Value?
        /// The entry's number at the change: a hint.
        @usableFromInline var number: UInt32
        @usableFromInline var updatedAt: Int64

        @inlinable @inline(__always)
        init(_ key: Key, _ value: Value?, _ updatedAt: Int64, number: Int) {
            self.key = key
            self.value = value
            self.number = UInt32(truncatingIfNeeded: number)
            self.updatedAt = updatedAt
        }
    }

    /// All that one batch changed, in order.
    @usableFromInline
    struct UndoLog {
        @usableFromInline var version: Int64
        @usableFromInline var base: Int64?
        /// Whether the batch started from nothing: there is no way back then.
        @usableFromInline var isWhole: Bool
        /// Whether keys of a snapshot were loaded: they are not noted.
        @usableFromInline var hasLoaded = false
        /// Whether a key may be there twice.
        @usableFromInline var mayRepeat = false
        @usableFromInline var undos: [Undo] = []

        @inlinable
        init(version: Int64, base: Int64?) {
            self.version = version
            self.base = base
            isWhole = base == nil
        }
    }

    /// Where a key is, or where it would be put; good until the next change of the table.
    public struct Place {
        @usableFromInline let tag: UInt32
        @usableFromInline let slot: Int
        @usableFromInline let number: Int

        /// Whether the key has a value.
        @inlinable public var isFound: Bool { number >= 0 }

        @inlinable @inline(__always)
        init(tag: UInt32, slot: Int, number: Int) {
            self.tag = tag
            self.slot = slot
            self.number = number
        }
    }

    // As in AggregationTable: no method holds on to a stored property while it calls a closure.
    @exclusivity(unchecked) @usableFromInline var entries = ChunkedStorage<Entry>()
    @exclusivity(unchecked) @usableFromInline var entryCount = 0
    @exclusivity(unchecked) @usableFromInline var index = SegmentedIndex()
    /// Says how keys are hashed once too many have collided; nil: by their stable hash.
    @exclusivity(unchecked) @usableFromInline var probeGuard: ProbeGuard?
    /// Whether looking for a key took too long: the next change hashes with a secret.
    @exclusivity(unchecked) @usableFromInline var hasLongProbe = false
    @exclusivity(unchecked) @usableFromInline var touchCount = 0
    @exclusivity(unchecked) @usableFromInline var timers: StateTimers?
    /// Batches that were applied, oldest first.
    @exclusivity(unchecked) @usableFromInline var logs: [UndoLog] = []
    /// The batch that is being applied.
    @exclusivity(unchecked) @usableFromInline var open: UndoLog?
    @exclusivity(unchecked) @usableFromInline var isNoting = false
    @exclusivity(unchecked) @usableFromInline var now: Int64 = .min
    @exclusivity(unchecked) @usableFromInline var currentVersion: Int64?
    /// How often changes were taken back.
    @exclusivity(unchecked) @usableFromInline var rewindCount = 0

    /// Makes a table without keys.
    ///
    /// - Parameters:
    ///   - version: the batch after which what will be loaded was so; nil: there was none yet.
    ///   - hasTimers: whether keys are to be found by the time of their last update.
    @inlinable
    public init(version: Int64? = nil, hasTimers: Bool) {
        currentVersion = version
        timers = hasTimers ? StateTimers() : nil
    }

    @inlinable
    deinit {
        for number in 0..<entryCount { entries[number].deinitialize(count: 1) }
        entries.deallocate()
        index.deallocate()
        timers?.deallocate()
    }

    /// The batch whose changes were applied last; nil: none.
    @inlinable
    public var version: Int64? { currentVersion }

    /// The number of keys.
    @inlinable
    public var count: Int { entryCount }

    /// How much the table holds.
    public var usage: StateUsage {
        var usage = StateUsage()
        usage.tableCount = 1
        usage.keyCount = entryCount
        usage.undoLogCount = logs.count
        usage.undoCount = logs.reduce(0) { $0 + $1.undos.count }
        usage.touchCount = touchCount
        return usage
    }
}

extension StateTable {
    /// Looks for a key.
    ///
    /// - Complexity: O(1) on average.
    @inlinable @inline(__always)
    public func find(_ key: Key) -> Place {
        find(key, hash: key.stableHash)
    }

    /// Looks for a key whose stable hash is known.
    @inlinable @inline(__always)
    public func find(_ key: Key, hash: UInt64) -> Place {
        touchCount &+= 1
        let tag = tag(of: key, hash: hash)
        let segment = index.segment(of: tag)
        let slots = segment.slots
        let mask = segment.mask
        var slot = SegmentedIndex.home(tag) & mask
        while true {
            let content = slots[slot]
            if content == 0 {
                let distance = (slot &- SegmentedIndex.home(tag)) & mask
                if distance > ProbeGuard.segmentProbeMaximum { hasLongProbe = true }
                return Place(tag: tag, slot: slot, number: -1)
            }
            if UInt32(truncatingIfNeeded: content &>> 32) == tag {
                let number = Int(content & 0xFFFF_FFFF) &- 1
                if Key.isSameKey(entries[number].pointee.key, key) {
                    return Place(tag: tag, slot: slot, number: number)
                }
            }
            slot = (slot &+ 1) & mask
        }
    }

    /// The value at a place where a key was found, or nil.
    @inlinable @inline(__always)
    public func value(at place: Place) -> Value? {
        place.number >= 0 ? entries[place.number].pointee.value : nil
    }

    /// When the key at a place where it was found was last updated.
    @inlinable
    public func updateTime(at place: Place) -> Int64? {
        place.number >= 0 ? entries[place.number].pointee.updatedAt : nil
    }

    /// Gives a key a value, as of the batch being applied.
    @inlinable @inline(__always)
    public func set(_ key: Key, at place: Place, to value: Value) {
        guard place.number >= 0 else {
            if isNoting { open?.undos.append(Undo(key, nil, 0, number: entryCount)) }
            return insert(key, value, now, place)
        }
        note(place.number)
        entries[place.number].pointee.value = value
        stamp(place.number, now)
    }

    /// Counts the key at a place where it was found as updated by the batch being applied.
    @inlinable @inline(__always)
    public func renew(at place: Place) {
        note(place.number)
        stamp(place.number, now)
    }

    /// Removes the key at a place, if it was found there.
    @inlinable
    public func remove(at place: Place) {
        guard place.number >= 0 else { return }
        note(place.number)
        open?.mayRepeat = true
        erase(place)
    }

    /// Adds a key of a snapshot to a table made for the snapshot's version; the last of equal keys
    /// stays.
    @inlinable
    public func load(_ key: Key, _ value: Value, updatedAt time: Int64) {
        open?.hasLoaded = true
        let place = find(key)
        guard place.isFound else { return insert(key, value, time, place) }
        entries[place.number].pointee.value = value
        stamp(place.number, time)
    }
}

extension StateTable {
    /// Where the entry with a number is found.
    @inlinable
    func place(of number: Int) -> Place {
        touchCount &+= 1
        let tag = tag(of: number)
        return Place(tag: tag, slot: index.slot(of: tag, number: number), number: number)
    }

    /// The 32 bits by which a key is found.
    @inlinable @inline(__always)
    func tag(of key: Key, hash: UInt64) -> UInt32 {
        guard let probeGuard else { return UInt32(truncatingIfNeeded: hash) }
        return probeGuard.tag(of: key)
    }

    /// The 32 bits by which the key with a number is found.
    @inlinable
    func tag(of number: Int) -> UInt32 {
        guard let probeGuard else {
            return UInt32(truncatingIfNeeded: entries[number].pointee.key.stableHash)
        }
        return probeGuard.tag(of: entries[number].pointee.key)
    }

    /// Finds keys by a secret from now on: places found before are void.
    ///
    /// - Complexity: O(*n*), once.
    @inlinable @inline(never)
    func hashWithSecret() {
        hasLongProbe = false
        guard probeGuard == nil else { return }
        probeGuard = ProbeGuard()
        index.deallocate()
        index = SegmentedIndex()
        for number in 0..<entryCount {
            let tag = tag(of: number)
            index.insert(tag, index.emptySlot(of: tag), number: number)
        }
    }

    /// Whether too many keys have collided.
    package var isHashingWithSecret: Bool { probeGuard != nil }

    /// The farthest that an entry lies from where looking for it begins.
    ///
    /// - Complexity: O(*n*).
    package var longestProbe: Int { index.longestProbe }

    /// Notes how a key is before its first change in the batch being applied.
    @inlinable @inline(__always)
    func note(_ number: Int) {
        let entry = entries[number]
        if isNoting, entry.pointee.updatedAt != now {
            open?.undos.append(
                Undo(
                    entry.pointee.key, entry.pointee.value, entry.pointee.updatedAt,
                    number: number))
        }
    }

    @inlinable @inline(__always)
    func stamp(_ number: Int, _ time: Int64) {
        let old = entries[number].pointee.updatedAt
        if old == time { return }
        entries[number].pointee.updatedAt = time
        if timers != nil {
            timers?.remove(number, at: old)
            timers?.insert(number, at: time)
        }
    }

    @inlinable
    func insert(_ key: Key, _ value: Value, _ time: Int64, _ place: Place) {
        var place = place
        if hasLongProbe {
            hashWithSecret()
            let tag = tag(of: key, hash: 0)
            place = Place(tag: tag, slot: index.emptySlot(of: tag), number: -1)
        }
        entries.makeRoom(after: entryCount)
        entries[entryCount].initialize(to: Entry(key, value, time))
        index.insert(place.tag, place.slot, number: entryCount)
        if timers != nil { timers?.append(entryCount, at: time) }
        entryCount &+= 1
    }

    /// Takes an entry out, and puts the last one into its place.
    @inlinable
    func erase(_ place: Place) {
        let number = place.number
        let last = entryCount &- 1
        let reach = index.remove(place.tag, place.slot)
        if reach > 2 * ProbeGuard.segmentProbeMaximum { hasLongProbe = true }
        timers?.remove(number, at: entries[number].pointee.updatedAt)
        entries[number].deinitialize(count: 1)
        if number != last {
            index.renumber(tag(of: last), from: last, to: number)
            entries[number].moveInitialize(from: entries[last], count: 1)
            timers?.renumber(from: last, to: number, at: entries[number].pointee.updatedAt)
        }
        entryCount = last
        entries.trim(to: last)
        timers?.trim(to: last)
        if hasLongProbe { hashWithSecret() }
    }

    /// Removes everything.
    @inlinable
    func reset() {
        for number in 0..<entryCount { entries[number].deinitialize(count: 1) }
        entries.deallocate()
        entries = ChunkedStorage()
        entryCount = 0
        index.deallocate()
        index = SegmentedIndex()
        if timers != nil {
            timers?.deallocate()
            timers = StateTimers()
        }
        logs = []
        currentVersion = nil
        rewindCount &+= 1
    }
}
