public import BatchEngine

/// Takes the tables of one stateful operator into checkpoints, change by change, and reads them.
@usableFromInline
struct TableCapture<Key: StreamKey, StateValue: Sendable>: Sendable {
    @usableFromInline typealias Stamped = (Key, (StateValue, Int64))

    @usableFromInline let lineage: StateLineage
    @usableFromInline let site: OperatorSite
    @usableFromInline let hasTimers: Bool
    @usableFromInline let states: Codec<Stamped>
    @usableFromInline let keys: Codec<Key>

    @inlinable
    init(
        lineage: StateLineage, site: OperatorSite, hasTimers: Bool, states: Codec<Stamped>,
        keys: Codec<Key>
    ) {
        self.lineage = lineage
        self.site = site
        self.hasTimers = hasTimers
        self.states = states
        self.keys = keys
    }

    @inlinable
    var capture: StateCapture {
        StateCapture(take: { try take($0) }, restore: { try restore($0, $1) })
    }

    @inlinable
    func take(
        _ request: StateCapture.Request
    ) throws -> (pieces: [OperatorState], oldest: BatchTime) {
        let (count, since) = lineage.capturing(request.time, since: request.since)
        let last = request.time.milliseconds
        let cells = try (0..<count).map { try cell(of: $0, request.engine) }
        var due: [[Int64]]? = []
        for cell in cells {
            try cell.withTable { table in
                let versions = since.flatMap {
                    table.versions(after: $0.milliseconds, through: last)
                }
                if let versions { due?.append(versions) } else { due = nil }
            }
        }
        var pieces: [OperatorState] = []
        for (partition, cell) in cells.enumerated() {
            try cell.withTable { table in
                if let due {
                    pieces += try due[partition].map {
                        try changes(of: table, in: $0, partition, count, request)
                    }
                } else if let version = table.version(through: last) {
                    pieces.append(try whole(of: table, at: version, partition, count, request))
                }
            }
        }
        return (pieces, lineage.captured(request.time, pieces))
    }

    @inlinable
    func cell(
        of partition: Int, _ engine: any ExecutionEngine
    ) throws -> StateCell<Key, StateValue> {
        let context = TaskContext(partition: partition, stateStore: engine.stateStore)
        return try StateStep(id: lineage.id, partition: partition, time: 0).cell(
            context, site, hasTimers: hasTimers)
    }

    @inlinable
    func whole(
        of table: StateTable<Key, StateValue>, at version: Int64, _ partition: Int, _ count: Int,
        _ request: StateCapture.Request
    ) throws -> OperatorState {
        var writer = ByteWriter()
        var number = 0
        try table.forEach(at: version) { key, value, updatedAt in
            states.encode((key, (value, updatedAt)), &writer)
            number += 1
        }
        if let failure = writer.failure { throw failure }
        return piece(.whole, version, partition, count, request, (writer, number))
    }

    @inlinable
    func changes(
        of table: StateTable<Key, StateValue>, in version: Int64, _ partition: Int, _ count: Int,
        _ request: StateCapture.Request
    ) throws -> OperatorState {
        var (set, removed) = (ByteWriter(), ByteWriter())
        var (setCount, removedCount) = (0, 0)
        try table.forEachChange(of: version) { key, state in
            if let state {
                states.encode((key, (state.value, state.updatedAt)), &set)
                setCount += 1
            } else {
                keys.encode(key, &removed)
                removedCount += 1
            }
        }
        if let failure = set.failure ?? removed.failure { throw failure }
        return piece(
            .changes, version, partition, count, request, (set, setCount), (removed, removedCount))
    }

    @usableFromInline
    func piece(
        _ kind: OperatorState.Kind, _ version: Int64, _ partition: Int, _ count: Int,
        _ request: StateCapture.Request, _ values: (ByteWriter, Int),
        _ removed: (ByteWriter, Int) = (ByteWriter(), 0)
    ) -> OperatorState {
        OperatorState(
            operatorID: request.operatorID, time: BatchTime(milliseconds: version), kind: kind,
            partition: partition, partitionCount: count,
            values: EncodedValues(bytes: values.0.bytes, count: values.1),
            removed: EncodedValues(bytes: removed.0.bytes, count: removed.1))
    }

    /// Replays the pieces since the last whole one into what the first batch starts from.
    @inlinable
    func restore(_ pieces: [OperatorState], _ time: BatchTime) throws {
        let known = pieces.filter { $0.time <= time }
        guard let newestWhole = known.last(where: { $0.kind == .whole })?.time else {
            if known.isEmpty { return lineage.restore(nil, asOf: time) }
            throw StreamError(
                .checkpointMismatch,
                "the checkpoint holds changes of a state and not the state that was changed; start "
                    + "from an earlier checkpoint or an empty directory", site: site)
        }
        let table = AggregationTable<Key, (StateValue, Int64)?>()
        for piece in known where piece.time >= newestWhole {
            if piece.kind == .changes, piece.time == newestWhole { continue }
            try piece.removed.bytes.withUnsafeBytes { buffer in
                var reader = ByteReader(buffer)
                while !reader.isAtEnd { table.merge(try keys.decode(&reader), nil) { $1 } }
            }
            try piece.values.bytes.withUnsafeBytes { buffer in
                var reader = ByteReader(buffer)
                while !reader.isAtEnd {
                    let (key, state) = try states.decode(&reader)
                    table.merge(key, state) { $1 }
                }
            }
        }
        var elements: [Stamped] = []
        table.drain { key, state in if let state { elements.append((key, state)) } }
        lineage.restore(.source([[.values(Values(elements))]]), asOf: time)
    }
}
