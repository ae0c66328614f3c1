/// Where entries are, by 32 bits of their keys' hashes: linear hashing over small segments.
///
/// A slot holds the tag above the entry's number plus one, or 0. Segments are open-addressed tables
/// of their own; they know tags, never keys.
@usableFromInline
struct SegmentedIndex {
    @usableFromInline
    struct Segment {
        @usableFromInline var slots: UnsafeMutablePointer<UInt64>
        @usableFromInline var mask: Int
        @usableFromInline var count = 0

        @inlinable
        init(capacity: Int) {
            var room = 16
            while room / 2 < capacity { room *= 2 }
            slots = .allocate(capacity: room)
            slots.initialize(repeating: 0, count: room)
            mask = room - 1
        }

        /// Adds a slot's content to the first place that is free.
        @inlinable
        mutating func add(_ content: UInt64) {
            var slot = home(UInt32(truncatingIfNeeded: content &>> 32)) & mask
            while slots[slot] != 0 { slot = (slot &+ 1) & mask }
            slots[slot] = content
            count &+= 1
        }
    }

    /// Entries per segment on average, at most.
    @usableFromInline static var segmentLoad: Int { 256 }

    @usableFromInline var segments: UnsafeMutablePointer<Segment>
    @usableFromInline var segmentCount = 1
    @usableFromInline var room = 4
    /// One less than the power of two from which the number of segments is growing to the next.
    @usableFromInline var levelMask: UInt32 = 0
    @usableFromInline var count = 0

    @inlinable
    init() {
        segments = .allocate(capacity: 4)
        segments.initialize(to: Segment(capacity: 8))
    }

    /// Frees everything.
    @inlinable
    func deallocate() {
        for number in 0..<segmentCount { segments[number].slots.deallocate() }
        segments.deallocate()
    }

    /// The slot at which looking for a tag begins, before the segment's mask.
    ///
    /// The lowest bits choose the segment; the product spreads the others.
    @inlinable @inline(__always)
    static func home(_ tag: UInt32) -> Int { Int((tag &* 2_654_435_769) &>> 12) }

    @inlinable @inline(__always)
    func segmentNumber(of tag: UInt32) -> Int {
        let wide = Int(tag & (levelMask &<< 1 | 1))
        return wide < segmentCount ? wide : Int(tag & levelMask)
    }

    @inlinable @inline(__always)
    func segment(of tag: UInt32) -> Segment { segments[segmentNumber(of: tag)] }

    /// Puts an entry's number into a slot of its tag's segment that is free.
    @inlinable @inline(__always)
    mutating func insert(_ tag: UInt32, _ slot: Int, number: Int) {
        let segment = segmentNumber(of: tag)
        segments[segment].slots[slot] = UInt64(tag) &<< 32 | UInt64(number &+ 1)
        segments[segment].count &+= 1
        count &+= 1
        if segments[segment].count &* 4 > (segments[segment].mask &+ 1) &* 3 { widen(segment) }
        if count > segmentCount &* Self.segmentLoad { split() }
    }

    /// The first slot of a tag's segment that is free.
    @inlinable
    func emptySlot(of tag: UInt32) -> Int {
        let segment = segment(of: tag)
        var slot = Self.home(tag) & segment.mask
        while segment.slots[slot] != 0 { slot = (slot &+ 1) & segment.mask }
        return slot
    }

    /// The farthest that an entry lies from where looking for it begins.
    var longestProbe: Int {
        var longest = 0
        for number in 0..<segmentCount {
            let segment = segments[number]
            for slot in 0...segment.mask where segment.slots[slot] != 0 {
                let tag = UInt32(truncatingIfNeeded: segment.slots[slot] >> 32)
                longest = max(longest, (slot - Self.home(tag)) & segment.mask)
            }
        }
        return longest
    }

    /// Empties a slot, and closes the gap in what was pushed on past it.
    ///
    /// - Returns: how far it had to look.
    @inlinable
    @discardableResult
    mutating func remove(_ tag: UInt32, _ slot: Int) -> Int {
        let segment = segmentNumber(of: tag)
        let slots = segments[segment].slots
        let mask = segments[segment].mask
        var gap = slot
        var next = slot
        while true {
            next = (next &+ 1) & mask
            let content = slots[next]
            if content == 0 { break }
            let home = Self.home(UInt32(truncatingIfNeeded: content &>> 32)) & mask
            // It may stay if its way begins after the gap.
            if (next &- home) & mask < (next &- gap) & mask { continue }
            slots[gap] = content
            gap = next
        }
        slots[gap] = 0
        segments[segment].count &-= 1
        count &-= 1
        return (next &- slot) & mask
    }

    /// The slot that holds an entry's number.
    @inlinable
    func slot(of tag: UInt32, number: Int) -> Int {
        let segment = segment(of: tag)
        let content = UInt64(tag) &<< 32 | UInt64(number &+ 1)
        var slot = Self.home(tag) & segment.mask
        while segment.slots[slot] != content {
            precondition(segment.slots[slot] != 0, "a key's stableHash is not what it was")
            slot = (slot &+ 1) & segment.mask
        }
        return slot
    }

    /// Gives the entry with a tag and a number another number.
    @inlinable
    func renumber(_ tag: UInt32, from old: Int, to new: Int) {
        let slot = slot(of: tag, number: old)
        segment(of: tag).slots[slot] = UInt64(tag) &<< 32 | UInt64(new &+ 1)
    }

    /// Gives a segment more slots.
    @inlinable @inline(never)
    mutating func widen(_ number: Int) {
        precondition(count < Int(UInt32.max), "a state table holds at most 2^32 - 2 keys")
        let old = segments[number]
        var wider = Segment(capacity: old.count * 2)
        for slot in 0...old.mask where old.slots[slot] != 0 { wider.add(old.slots[slot]) }
        segments[number] = wider
        old.slots.deallocate()
    }

    /// Splits the segment whose turn it is.
    @inlinable @inline(never)
    mutating func split() {
        if segmentCount == room {
            let wider = UnsafeMutablePointer<Segment>.allocate(capacity: room * 2)
            wider.update(from: segments, count: segmentCount)
            segments.deallocate()
            segments = wider
            room *= 2
        }
        let bit = UInt64(levelMask + 1) << 32
        let number = segmentCount - Int(levelMask) - 1
        let old = segments[number]
        var moving = 0
        for slot in 0...old.mask where old.slots[slot] & bit != 0 { moving += 1 }
        var lower = Segment(capacity: old.count - moving)
        var upper = Segment(capacity: moving)
        for slot in 0...old.mask where old.slots[slot] != 0 {
            let content = old.slots[slot]
            if content & bit == 0 { lower.add(content) } else { upper.add(content) }
        }
        segments[number] = lower
        (segments + segmentCount).initialize(to: upper)
        old.slots.deallocate()
        segmentCount += 1
        if segmentCount == (Int(levelMask) + 1) * 2 { levelMask = levelMask << 1 | 1 }
    }
}
