/// Brings the records of a batch and the state before together, partition by partition.
@usableFromInline
package struct StateJoin<Key: StreamKey, Value: Sendable, State: Sendable>: Sendable {
    @usableFromInline let records: Pipe<(Key, Value)>
    @usableFromInline let states: Pipe<(Key, State)>
    @usableFromInline let mayRepeat: Bool
    @usableFromInline let hint = TableSizeHint()

    /// Makes a join.
    ///
    /// - Parameter mayRepeat: whether the state may hold a key twice.
    @inlinable
    package init(_ site: OperatorSite, mayRepeat: Bool) {
        records = .source(site)
        states = .source(site)
        self.mayRepeat = mayRepeat
    }

    /// Gives `body` each key with its new values, in arrival order, and its state.
    ///
    /// Of equal keys in the state the first one counts; in a batch without records all do.
    ///
    /// - Complexity: O(*n*) in the records and in the keys that have a state.
    @inlinable
    package func forEach(
        _ context: TaskContext, _ inputs: StateInputs,
        _ body: (Key, [Value], State?) throws -> Void
    ) throws {
        guard inputs.step.hasRecords else {
            return try states.push(context, inputs.earlier) { try body($0.0, [], $0.1) }
        }
        let table = AggregationTable<Key, NewValues<Value>>(minimumCapacity: hint.capacity)
        try records.push(context, inputs.records) { record in
            table.update(record.0, default: NewValues()) { $0.values.append(record.1) }
        }
        hint.record(table.count)
        let repeats = mayRepeat || inputs.origin.version == nil
        let seen = repeats ? AggregationTable<Key, Bool>() : nil
        try states.push(context, inputs.earlier) { entry in
            if let seen, !seen.addsKey(entry.0) { return }
            try body(entry.0, table.takeValues(of: entry.0), entry.1)
        }
        try table.drain { key, new in
            if !new.isTaken { try body(key, new.values, nil) }
        }
    }
}

/// The values of a key in a batch, and whether its state has been found.
@usableFromInline
struct NewValues<Value: Sendable>: Sendable {
    @usableFromInline var values: [Value] = []
    @usableFromInline var isTaken = false

    @inlinable
    init() {}
}

extension AggregationTable {
    /// Takes a key's values out and marks it; none when the key is not there.
    @inlinable @inline(__always)
    func takeValues<Part>(of key: Key) -> [Part] where Value == NewValues<Part> {
        var values: [Part] = []
        updateExisting(key) { new in
            new.isTaken = true
            swap(&values, &new.values)
        }
        return values
    }

    /// Adds a key; false when it is there already.
    @inlinable
    func addsKey(_ key: Key) -> Bool where Value == Bool {
        let count = count
        merge(key, true) { first, _ in first }
        return self.count > count
    }
}
