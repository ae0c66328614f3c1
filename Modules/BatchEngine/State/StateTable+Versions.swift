extension StateTable {
    /// Starts to apply a batch.
    ///
    /// Later batches than the one it is built on are undone first.
    ///
    /// - Parameters:
    ///   - version: the batch; later than `base`.
    ///   - base: the version to build on; nil: nothing.
    ///   - oldest: the oldest version that anyone may still ask for.
    /// - Throws: ``EngineError`` when the table cannot go back to `base`.
    @inlinable
    public func begin(_ version: Int64, on base: Int64?, keepingFrom oldest: Int64) throws {
        if open != nil { abort() }
        if hasLongProbe { hashWithSecret() }
        if let base { try rollBack(to: base) } else { reset() }
        // A little more than last time: batches of one rate are never quite of one size.
        let expected = base == nil ? 0 : (logs.last?.undos.count ?? 0) * 9 / 8
        var log = UndoLog(version: version, base: base)
        log.undos = forget(through: oldest, spare: expected)
        log.undos.reserveCapacity(expected)
        open = log
        isNoting = true
        now = version
    }

    /// Lets go of changes that nobody asks for; returns the room of some, for `count` others.
    @inlinable
    func forget(through oldest: Int64, spare count: Int) -> [Undo] {
        var spare: [Undo] = []
        for number in logs.indices where logs[number].version <= oldest {
            let room = logs[number].undos.capacity
            // Not that of a batch that was larger by far.
            if room >= count, room <= 2 * count { swap(&spare, &logs[number].undos) }
        }
        logs.removeAll { $0.version <= oldest }
        spare.removeAll(keepingCapacity: true)
        return spare
    }

    /// Ends the batch that is being applied: its changes count.
    @inlinable
    public func commit() {
        guard let log = open else { return }
        open = nil
        isNoting = false
        logs.append(log)
        currentVersion = log.version
    }

    /// Takes back what the batch that is being applied has changed so far.
    @inlinable
    public func abort() {
        guard let log = open else { return }
        open = nil
        isNoting = false
        if log.isWhole { reset() } else { undo(log) }
    }

    /// Goes back to an earlier version.
    ///
    /// - Throws: ``EngineError`` when the changes since are not known any more.
    @inlinable
    public func rollBack(to version: Int64) throws {
        try requireVersion(version)
        while let log = logs.last, currentVersion != version {
            logs.removeLast()
            undo(log)
            currentVersion = log.base
        }
    }

    @inlinable @inline(never)
    func undo(_ log: UndoLog) {
        rewindCount &+= 1
        for undo in log.undos.reversed() {
            let place = find(undo.key)
            guard let value = undo.value else {
                if place.isFound { erase(place) }
                continue
            }
            if place.isFound {
                entries[place.number].pointee.value = value
                stamp(place.number, undo.updatedAt)
            } else {
                insert(undo.key, value, undo.updatedAt, place)
            }
        }
    }

    /// Fails unless the table has been, and can still be seen, as of a version.
    @usableFromInline
    func requireVersion(_ version: Int64) throws {
        var current = currentVersion
        for log in logs.reversed() where current != version {
            if log.isWhole { break }
            current = log.base
        }
        guard current == version else {
            throw EngineError(
                .blockMissing,
                "the state as of batch \(version) ms is not kept any more; it is as of "
                    + (currentVersion.map { "batch \($0) ms" } ?? "no batch"))
        }
    }
}

extension StateTable {
    /// The newest version that is not after another; nil: there is none.
    @inlinable
    public func version(through last: Int64) -> Int64? {
        var current = currentVersion
        for log in logs.reversed() {
            guard let version = current, version > last else { break }
            current = log.isWhole ? nil : log.base
        }
        return current.flatMap { $0 <= last ? $0 : nil }
    }

    /// The versions after one and not after another, oldest first; nil: not all are kept.
    @inlinable
    public func versions(after first: Int64, through last: Int64) -> [Int64]? {
        var versions: [Int64] = []
        var current = currentVersion
        for log in logs.reversed() {
            if log.version <= first { return versions.reversed() }
            if log.version <= last { versions.append(log.version) }
            if log.isWhole { return versions.reversed() }
            current = log.base
        }
        return (current ?? .min) <= first ? versions.reversed() : nil
    }

    /// Fires each key whose last update was before a time, and removes it.
    ///
    /// - Parameter body: called with each key and value before the key is removed.
    /// - Complexity: O(*n*) in the keys that are due.
    @inlinable
    public func removeDue(
        before time: Int64, _ body: (Key, Value) throws -> Void
    ) throws {
        while let number = timers?.first(before: time) {
            let (key, value) = (entries[number].pointee.key, entries[number].pointee.value)
            try body(key, value)
            remove(at: place(of: number))
        }
    }

    /// Calls a closure with each key, value and time of last update, as of a version.
    ///
    /// - Throws: ``EngineError`` when that version is not known any more; what `body` throws.
    /// - Complexity: O(*n*) in the keys and in the changes since.
    @inlinable
    public func forEach(
        at version: Int64, _ body: (Key, Value, Int64) throws -> Void
    ) throws {
        try requireVersion(version)
        let later = changesUndone(after: version)
        touchCount &+= entryCount
        for number in 0..<entryCount {
            let entry = entries[number].pointee
            if let later, later[entry.key] != nil { continue }
            try body(entry.key, entry.value, entry.updatedAt)
        }
        try later?.forEach { _, undo in
            if let value = undo.value { try body(undo.key, value, undo.updatedAt) }
        }
    }

    /// Whether a batch began with keys of a snapshot, which are in none of its changes.
    @inlinable
    public func hasLoaded(in version: Int64) -> Bool {
        logs.contains { $0.version == version && $0.hasLoaded }
    }

    /// What each key changed after a version was like; nil when nothing was changed.
    @inlinable
    func changesUndone(after version: Int64) -> AggregationTable<Key, Undo>? {
        if version == currentVersion { return nil }
        let earlier = AggregationTable<Key, Undo>()
        for log in logs.reversed() where log.version > version {
            for undo in log.undos.reversed() { earlier.merge(undo.key, undo) { $1 } }
        }
        return earlier
    }
}
