extension AggregationTable {
    /// Adds a value to a key's, or sets it if the key is new.
    ///
    /// The combined value is a new one: to append to arrays, ``update(_:default:_:)`` is the better
    /// method.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - value: The value to add.
    ///   - combine: Makes one value of the table's and the given one, in this order.
    /// - Throws: What `combine` throws; the table is as before then.
    /// - Complexity: O(1) on average.
    @inlinable @inline(__always)
    public func merge(
        _ key: Key, _ value: Value, _ combine: (Value, Value) throws -> Value
    ) rethrows {
        try merge(key, hash: key.stableHash, value, combine)
    }

    /// Adds a value to that of a key whose stable hash is known.
    ///
    /// - Throws: What `combine` throws; the table is as before then.
    @inlinable @inline(__always)
    public func merge(
        _ key: Key, hash: UInt64, _ value: Value, _ combine: (Value, Value) throws -> Value
    ) rethrows {
        let place = find(key, hash: hash)
        guard place.isFound else { return insert(key, value, hash: hash, at: place.slot) }
        let combined = try combine(entries[place.number].value, value)
        entries[place.number].value = combined
    }

    /// Adds a value to what has been made of a key's other values.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - value: The value to add.
    ///   - create: Makes the table's value of the key's first one.
    ///   - mergeValue: Adds one value to the table's.
    /// - Throws: What the closures throw; the table is as before then.
    /// - Complexity: O(1) on average.
    @inlinable @inline(__always)
    public func mergeValue<Part>(
        _ key: Key, _ value: Part, create: (Part) throws -> Value,
        mergeValue: (Value, Part) throws -> Value
    ) rethrows {
        try self.mergeValue(
            key, hash: key.stableHash, value, create: create, mergeValue: mergeValue)
    }

    /// Adds a value to what has been made of the other values of a key whose stable hash is known.
    ///
    /// - Throws: What the closures throw; the table is as before then.
    @inlinable @inline(__always)
    public func mergeValue<Part>(
        _ key: Key, hash: UInt64, _ value: Part, create: (Part) throws -> Value,
        mergeValue: (Value, Part) throws -> Value
    ) rethrows {
        let place = find(key, hash: hash)
        if place.isFound {
            let merged = try mergeValue(entries[place.number].value, value)
            entries[place.number].value = merged
        } else {
            insert(key, try create(value), hash: hash, at: place.slot)
        }
    }

    /// Changes a key's value in place.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - defaultValue: The value to start from if the key is new.
    ///   - body: Changes the value.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws. A new key is not added then; an existing one has the value
    ///   that `body` left.
    /// - Complexity: O(1) on average.
    @inlinable @inline(__always)
    @discardableResult
    public func update<Result>(
        _ key: Key, default defaultValue: @autoclosure () throws -> Value,
        _ body: (inout Value) throws -> Result
    ) rethrows -> Result {
        try update(key, hash: key.stableHash, default: try defaultValue(), body)
    }

    /// Changes in place the value of a key whose stable hash is known.
    ///
    /// - Throws: What `body` throws, as ``update(_:default:_:)``.
    @inlinable @inline(__always)
    @discardableResult
    public func update<Result>(
        _ key: Key, hash: UInt64, default defaultValue: @autoclosure () throws -> Value,
        _ body: (inout Value) throws -> Result
    ) rethrows -> Result {
        let place = find(key, hash: hash)
        if place.isFound { return try body(&entries[place.number].value) }
        var value = try defaultValue()
        let result = try body(&value)
        insert(key, value, hash: hash, at: place.slot)
        return result
    }

    /// Changes a key's value in place if the key is there.
    ///
    /// - Returns: Whether it is.
    /// - Throws: What `body` throws; the key has the value that `body` left.
    /// - Complexity: O(1) on average.
    @inlinable @inline(__always)
    @discardableResult
    package func updateExisting(
        _ key: Key, _ body: (inout Value) throws -> Void
    ) rethrows -> Bool {
        if isEmpty { return false }
        let hash = key.stableHash
        let place = find(key, hash: hash)
        guard place.isFound else {
            noteMiss(key, hash: hash, at: place.slot)
            return false
        }
        try body(&entries[place.number].value)
        return true
    }

    /// Calls a closure with each key and its value, in the order of the keys' first coming.
    ///
    /// - Throws: What `body` throws, at once.
    @inlinable
    public func forEach(_ body: (Key, Value) throws -> Void) rethrows {
        var number = 0
        while number < entryCount {
            try body(entries[number].key, entries[number].value)
            number &+= 1
        }
    }

    /// Moves each key and its value into a closure, in the order of the keys' first coming.
    ///
    /// The table is empty afterwards and keeps its memory.
    ///
    /// - Throws: What `body` throws, at once; the other keys and values are destroyed.
    @inlinable
    public func drain(_ body: (Key, Value) throws -> Void) rethrows {
        let contents = detach()
        var number = 0
        defer {
            (contents.entries + number).deinitialize(count: contents.count - number)
            attach(contents)
        }
        while number < contents.count {
            let entry = (contents.entries + number).move()
            number &+= 1
            try body(entry.key, entry.value)
        }
    }
}
