/// How far a table has been read in slices.
///
/// Slices may be taken at different versions, with batches applied between them. Together with the
/// changes of the batches after the first slice's version, up to that of the last one, they hold
/// every key.
public struct StateSliceCursor: Sendable, Hashable {
    /// Entries with this number and above were read; nil: none was.
    @usableFromInline var end: Int?
    @usableFromInline var rewindCount = 0

    /// Makes a cursor before the first slice.
    public init() {}

    /// The cursor after all.
    public static var finished: StateSliceCursor {
        var cursor = StateSliceCursor()
        cursor.end = 0
        return cursor
    }

    /// Whether all was read.
    public var isDone: Bool { end == 0 }
}

/// How far the changes of some batches have been read.
public struct StateChangeCursor: Sendable, Hashable {
    @usableFromInline let since: Int64
    @usableFromInline let last: Int64
    /// The batch that is being read.
    @usableFromInline var version: Int64
    @usableFromInline var offset = 0
    @usableFromInline var wasRead = false

    /// Makes a cursor before the first change.
    ///
    /// - Parameters:
    ///   - since: the version that they are changes to.
    ///   - last: the version that they led to.
    public init(since: Int64, through last: Int64) {
        self.since = since
        self.last = last
        version = since
    }

    /// Whether all was read.
    public var isDone: Bool { wasRead }
}

extension StateTable {
    /// Calls a closure with the next keys, their values and times of last update, as of a version.
    ///
    /// Keys are read from the last entry to the first. New keys are appended, and the last entry
    /// takes the place of a removed one: a key that no batch changes never moves from what is still
    /// to be read into what was read. Those changed after the version come in the last slice. Where
    /// changes were taken back between two slices, reading starts again.
    ///
    /// - Parameters:
    ///   - cursor: where to go on; moved on.
    ///   - count: keys to look at.
    ///   - since: keys last updated at this version or before are left out.
    /// - Throws: ``EngineError`` when that version is not known any more; what `body` throws.
    /// - Complexity: O(`count`); the last slice O(*n*) in the changes after the version.
    @inlinable
    public func forEachInSlice(
        _ cursor: inout StateSliceCursor, count: Int, at version: Int64, since: Int64 = .min,
        _ body: (Key, Value, Int64) throws -> Void
    ) throws {
        try requireVersion(version)
        let isBegun = cursor.rewindCount == rewindCount
        let upper = min(isBegun ? cursor.end ?? entryCount : entryCount, entryCount)
        let lower = max(0, upper - count)
        touchCount &+= upper - lower
        for number in lower..<upper {
            let entry = entries[number]
            let updatedAt = entry.pointee.updatedAt
            if updatedAt > version || updatedAt <= since { continue }
            try body(entry.pointee.key, entry.pointee.value, entry.pointee.updatedAt)
        }
        if lower == 0 { try forEachChanged(after: version, since: since, body) }
        cursor.end = lower
        cursor.rewindCount = rewindCount
    }

    /// How many changes were noted in the batches after one version and up to another; a key counts
    /// in each batch that changed it.
    @inlinable
    public func changeCount(after first: Int64, through last: Int64) -> Int {
        logs.reduce(0) { $0 + ($1.version > first && $1.version <= last ? $1.undos.count : 0) }
    }

    /// Whether reading all keys finds what batches changed sooner than following each change, and
    /// finds all of it: nothing was removed in them or since.
    @inlinable
    public func isDense(after first: Int64, through last: Int64) -> Bool {
        changeCount(after: first, through: last) >= entryCount / 2
            && !logs.contains { $0.version > first && $0.mayRepeat }
    }

    /// Calls closures with the next keys that batches have changed, and what they left.
    ///
    /// A key may be said to be removed although it has a value; that is then said, too.
    ///
    /// - Parameters:
    ///   - cursor: where to go on; moved on.
    ///   - count: changes to look at.
    /// - Throws: what the closures throw.
    /// - Complexity: O(`count`); the last time O(*n*) in the changes after the cursor's versions.
    @inlinable
    public func forEachChange(
        _ cursor: inout StateChangeCursor, count: Int,
        set: (Key, Value, Int64) throws -> Void, removed: (Key) throws -> Void
    ) throws {
        var rest = count
        for log in logs where log.version > cursor.since && log.version <= cursor.last {
            if log.version < cursor.version { continue }
            if log.version > cursor.version { cursor.offset = 0 }
            cursor.version = log.version
            let end = min(log.undos.count, cursor.offset + rest)
            rest -= max(0, end - cursor.offset)
            for place in min(cursor.offset, end)..<end {
                if place + 16 < end { prefetchEntry(of: log.undos[place + 16]) }
                let undo = log.undos[place]
                let number = number(of: undo)
                let updatedAt = number < 0 ? .max : entries[number].pointee.updatedAt
                if updatedAt > cursor.last {
                    try removed(undo.key)
                } else if updatedAt == log.version {
                    // Else the batch that changed it last says so.
                    try set(undo.key, entries[number].pointee.value, updatedAt)
                }
            }
            cursor.offset = end
            if end < log.undos.count { return }
        }
        try forEachChanged(after: cursor.last, since: cursor.since, set)
        cursor.wasRead = true
    }

    /// Where the key of a change is now; negative: nowhere.
    @inlinable @inline(__always)
    func number(of undo: Undo) -> Int {
        let hint = Int(undo.number)
        // Most entries never move.
        if hint < entryCount, Key.isSameKey(entries[hint].pointee.key, undo.key) { return hint }
        return find(undo.key).number
    }

    /// Calls a closure with each key changed after a version, as it was in that version, if it was
    /// updated after an earlier one.
    ///
    /// A key's first change after the version tells what it was like: only that one takes it from a
    /// time that is not after the version.
    @inlinable
    func forEachChanged(
        after version: Int64, since: Int64, _ body: (Key, Value, Int64) throws -> Void
    ) throws {
        for log in logs.reversed() {
            if log.version <= version { return }
            for undo in log.undos where undo.updatedAt <= version && undo.updatedAt > since {
                if let value = undo.value { try body(undo.key, value, undo.updatedAt) }
            }
        }
    }
}
