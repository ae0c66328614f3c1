/// What a batch left in a partition's table, as bytes: how a replica and its origin stay equal.
@usableFromInline
package struct StateChanges: Sendable {
    /// Whether the keys are all there are, not those that the batch changed.
    package var isWhole: Bool
    /// Keys that have a value: key, value and time of the last update of each.
    package var values: EncodedValues
    /// Keys that have none any more.
    package var removed: EncodedValues

    package init(
        isWhole: Bool, values: EncodedValues, removed: EncodedValues
    ) {
        self.isWhole = isWhole
        self.values = values
        self.removed = removed
    }
}

/// A table of which another process can have a replica.
@usableFromInline
package protocol ReplicatedState: AnyStateCell {
    /// The first part of the kept type that has no codec; nil: it has one.
    var typeWithoutCodec: Any.Type? { get }

    /// All keys as of a version.
    ///
    /// - Throws: ``EngineError`` when the version is not kept any more, or without a codec.
    func whole(at version: Int64) throws -> EncodedValues

    /// Makes this the table that another one was as of a version.
    func replace(with values: EncodedValues, version: Int64) throws

    /// What a batch built on `base` changed.
    func changes(in version: Int64, since base: Int64?) throws -> StateChanges

    /// Applies what a batch changed elsewhere, on top of the same base.
    ///
    /// - Parameter earlier: what the batch starts from, where there is no base.
    func apply(
        _ changes: StateChanges, of step: StateStep, on base: Int64?, from earlier: [PartitionData]
    ) throws
}

extension StateCell: ReplicatedState {
    /// The codec of what is kept of a key.
    private func entryCodec() throws -> Codec<Value> {
        if let codec = Codec<Value>.resolve() { return codec }
        let type = Codec<Value>.firstTypeWithoutCodec() ?? Value.self
        throw EngineError(
            .codecMissing,
            "state of \(Value.self) goes to another process and \(type) has no codec; declare the "
                + "type StreamCodable")
    }

    @usableFromInline
    package var typeWithoutCodec: Any.Type? { Codec<Value>.firstTypeWithoutCodec() }

    @usableFromInline
    package func whole(at version: Int64) throws -> EncodedValues {
        let codec = try entryCodec()
        var (writer, count) = (ByteWriter(), 0)
        try withTable { table in
            try table.forEach(at: version) { key, value, updatedAt in
                Self.write(key, value, updatedAt, codec, &writer)
                count += 1
            }
        }
        return EncodedValues(bytes: try writer.takeBytes(), count: count)
    }

    @usableFromInline
    package func replace(with values: EncodedValues, version: Int64) throws {
        let codec = try entryCodec()
        try table.withLock { table in
            table = StateTable(version: version, hasTimers: table.timers != nil)
            try Self.read(values, codec) { table.load($0, $1, updatedAt: $2) }
        }
    }

    @usableFromInline
    package func changes(in version: Int64, since base: Int64?) throws -> StateChanges {
        guard let base else { return try wholeChange(version) }
        let codec = try entryCodec()
        var (set, setCount) = (ByteWriter(), 0)
        var (removed, removedCount) = (ByteWriter(), 0)
        try withTable { table in
            var cursor = StateChangeCursor(since: base, through: version)
            while !cursor.isDone {
                try table.forEachChange(&cursor, count: .max) { key, value, updatedAt in
                    Self.write(key, value, updatedAt, codec, &set)
                    setCount += 1
                } removed: { key in
                    key.encode(to: &removed)
                    removedCount += 1
                }
            }
        }
        return StateChanges(
            isWhole: false,
            values: EncodedValues(bytes: try set.takeBytes(), count: setCount),
            removed: EncodedValues(bytes: try removed.takeBytes(), count: removedCount))
    }

    /// All keys: of those that came with an initial state not every change was noted.
    private func wholeChange(_ version: Int64) throws -> StateChanges {
        StateChanges(
            isWhole: true, values: try whole(at: version),
            removed: EncodedValues(bytes: [], count: 0))
    }

    @usableFromInline
    package func apply(
        _ changes: StateChanges, of step: StateStep, on base: Int64?, from earlier: [PartitionData]
    ) throws {
        let codec = try entryCodec()
        try withTable { table in
            try table.begin(step.time, on: base, keepingFrom: step.oldest)
            do {
                if changes.isWhole { try Self.begin(table, with: earlier, changes, step, codec) }
                try changes.removed.forEach {
                    table.remove(at: table.find(try Key.decode(from: &$0)))
                }
                try Self.read(changes.values, codec) { key, value, updatedAt in
                    // What came with an initial state is there already.
                    if updatedAt == step.time { table.set(key, at: table.find(key), to: value) }
                }
                table.commit()
            } catch {
                table.abort()
                throw error
            }
        }
    }

    /// Loads what came before all batches, and removes what the batch has removed of it.
    private static func begin(
        _ table: StateTable<Key, Value>, with earlier: [PartitionData], _ changes: StateChanges,
        _ step: StateStep, _ codec: Codec<Value>
    ) throws {
        let left = AggregationTable<Key, Bool>()
        try read(changes.values, codec) { key, _, _ in _ = left.addsKey(key) }
        let site = OperatorSite("state", file: "", line: 0)
        let context = TaskContext(partition: step.partition)
        var removed: [Key] = []
        try Pipe<(Key, (Value, Int64))>.source(site).push(context, earlier) { entry in
            let (key, state) = entry
            let time = state.1 == .min ? step.time : state.1
            table.load(key, state.0, updatedAt: time)
            if left[key] == nil { removed.append(key) }
        }
        for key in removed { table.remove(at: table.find(key)) }
    }

    private static func write(
        _ key: Key, _ value: Value, _ updatedAt: Int64, _ codec: Codec<Value>,
        _ writer: inout ByteWriter
    ) {
        key.encode(to: &writer)
        codec.encode(value, &writer)
        writer.writeZigzag(updatedAt)
    }

    private static func read(
        _ values: EncodedValues, _ codec: Codec<Value>, _ body: (Key, Value, Int64) -> Void
    ) throws {
        try values.forEach { reader in
            let key = try Key.decode(from: &reader)
            let value = try codec.decode(&reader)
            body(key, value, try reader.readZigzag())
        }
    }
}
