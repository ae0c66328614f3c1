/// The entries of a table by the time of their last update: one list per time, times ascending.
///
/// Lists are linked through the entries' numbers, so an update moves its entry in O(1), and the
/// queue never holds more than the table does.
@usableFromInline
struct StateTimers {
    @usableFromInline
    struct Link {
        @usableFromInline var previous: UInt32
        @usableFromInline var next: UInt32

        @inlinable
        init(previous: UInt32, next: UInt32) {
            self.previous = previous
            self.next = next
        }
    }

    @usableFromInline
    struct Group {
        @usableFromInline let time: Int64
        @usableFromInline var head: UInt32

        @inlinable
        init(time: Int64, head: UInt32) {
            self.time = time
            self.head = head
        }
    }

    @usableFromInline static var none: UInt32 { .max }

    @usableFromInline var links = ChunkedStorage<Link>()
    /// Times ascending; lists in the middle may be empty.
    @usableFromInline var groups: [Group] = []

    @inlinable
    init() {}

    /// Frees everything.
    @inlinable
    func deallocate() { links.deallocate() }

    /// Frees what `count` entries do not need.
    @inlinable
    mutating func trim(to count: Int) { links.trim(to: count) }

    /// Adds the entry that comes after all others.
    @inlinable
    mutating func append(_ number: Int, at time: Int64) {
        links.makeRoom(after: number)
        insert(number, at: time)
    }

    /// Adds an entry to the list of a time.
    @inlinable
    mutating func insert(_ number: Int, at time: Int64) {
        let group = groupOrNew(time)
        let head = groups[group].head
        links[number].initialize(to: Link(previous: Self.none, next: head))
        if head != Self.none { links[Int(head)].pointee.previous = UInt32(number) }
        groups[group].head = UInt32(number)
    }

    /// Takes an entry out of the list of a time.
    @inlinable
    mutating func remove(_ number: Int, at time: Int64) {
        let link = links[number].pointee
        if link.next != Self.none { links[Int(link.next)].pointee.previous = link.previous }
        if link.previous != Self.none {
            links[Int(link.previous)].pointee.next = link.next
        } else {
            setHead(link.next, at: time)
        }
    }

    /// Gives an entry another number.
    @inlinable
    mutating func renumber(from old: Int, to new: Int, at time: Int64) {
        let link = links[old].pointee
        links[new].pointee = link
        if link.next != Self.none { links[Int(link.next)].pointee.previous = UInt32(new) }
        if link.previous != Self.none {
            links[Int(link.previous)].pointee.next = UInt32(new)
        } else {
            setHead(UInt32(new), at: time)
        }
    }

    /// An entry last updated before a time, or nil when there is none.
    @inlinable
    mutating func first(before time: Int64) -> Int? {
        var empty = 0
        while empty < groups.count, groups[empty].time < time {
            if groups[empty].head != Self.none {
                if empty > 0 { groups.removeFirst(empty) }
                return Int(groups[0].head)
            }
            empty += 1
        }
        if empty > 0 { groups.removeFirst(empty) }
        return nil
    }

    /// Times with a list, empty ones included.
    @usableFromInline var groupCount: Int { groups.count }

    @inlinable
    mutating func setHead(_ head: UInt32, at time: Int64) {
        let group = position(of: time)
        guard group < groups.count, groups[group].time == time else { return }
        groups[group].head = head
    }

    @inlinable @inline(__always)
    mutating func groupOrNew(_ time: Int64) -> Int {
        if let last = groups.last, last.time == time { return groups.count &- 1 }
        return insertGroup(time)
    }

    @inlinable @inline(never)
    mutating func insertGroup(_ time: Int64) -> Int {
        let group = position(of: time)
        if group < groups.count, groups[group].time == time { return group }
        if group == groups.count { dropEmpty() }
        let place = position(of: time)
        groups.insert(Group(time: time, head: Self.none), at: place)
        return place
    }

    /// Forgets lists that have become empty, when they are the most.
    @inlinable
    mutating func dropEmpty() {
        guard groups.count & 63 == 63 else { return }
        groups.removeAll { $0.head == Self.none }
    }

    /// The first list whose time is not before `time`.
    @inlinable
    func position(of time: Int64) -> Int {
        var low = 0
        var high = groups.count
        while low < high {
            let middle = (low + high) / 2
            if groups[middle].time < time { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
