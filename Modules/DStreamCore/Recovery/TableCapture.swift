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
        lineage: StateLineage, site: OperatorSite, hasTimers: Bool, values: Codec<StateValue>
    ) {
        self.lineage = lineage
        self.site = site
        self.hasTimers = hasTimers
        keys = .of()
        states = .stamped(values)
    }

    @inlinable
    var capture: StateCapture {
        StateCapture(
            prepare: { lineage.keepChanges() }, take: { try take($0) },
            restore: { try restore($0, $1.time) })
    }

    /// Keys that are read while the table is held.
    @usableFromInline static var sliceCount: Int { 2048 }
    /// Keys of a whole that are due at a checkpoint at least.
    @usableFromInline static var roundShare: Int { 8192 }

    @inlinable
    func take(
        _ request: StateCapture.Request
    ) throws -> (pieces: [OperatorState], oldest: BatchTime) {
        var (count, kept) = lineage.capturing(since: request.since)
        // Nothing is new.
        if let through = kept.through, request.time <= through {
            return ([], kept.base ?? request.time)
        }
        let cells = try (0..<count).map { try cell(of: $0, request.engine) }
        let keyCount = cells.reduce(0) { $0 + $1.usage.keyCount }
        guard let due = try dueVersions(of: cells, kept, request),
            !isReplaced(due, byWholeOf: keyCount, kept)
        else {
            let pieces = try wholes(of: cells, request)
            kept = StateCaptureProgress.Kept()
            kept.base = request.time
            lineage.captured(request.time, kept)
            return (pieces, request.time)
        }
        var pieces = try cells.indices.compactMap { partition in
            try due[partition].map { try changes(in: $0, of: cells, partition, request) }
        }
        let changeCount = pieces.reduce(0) { $0 + $1.changeCount }
        if kept.base == nil, let first = due.compactMap({ $0?.first }).min() {
            // Before the first batch there was nothing.
            kept.base = BatchTime(milliseconds: first)
            pieces.append(base(at: BatchTime(milliseconds: first), request))
        }
        kept.changeCount += changeCount
        kept.round?.changeCount += changeCount
        if kept.round == nil, kept.isWholeDue(of: keyCount) {
            kept.round = StateCaptureProgress.Round(start: request.time, partitions: count)
        }
        pieces += try share(of: &kept, cells, max(Self.roundShare, 2 * changeCount), request)
        lineage.captured(request.time, kept)
        return (pieces, kept.base ?? request.time)
    }

    /// The batches of each partition whose changes are due, nil for none.
    ///
    /// - Returns: nil when what they changed is not known, or they began with an initial state.
    @inlinable
    func dueVersions(
        of cells: [StateCell<Key, StateValue>], _ kept: StateCaptureProgress.Kept,
        _ request: StateCapture.Request
    ) throws -> [DueChanges?]? {
        var due: [DueChanges?]? = []
        let (since, last) = (kept.through?.milliseconds ?? .min, request.time.milliseconds)
        for cell in cells {
            try cell.withTable { table in
                let versions = table.versions(after: since, through: last)
                let hasLoaded = versions?.contains(where: table.hasLoaded(in:)) ?? true
                let isKnown = kept.isRestored || !hasLoaded
                guard let versions, isKnown else { return due = nil }
                due?.append(
                    versions.first.map { first in
                        DueChanges(
                            first: first, since: since, last: last,
                            most: table.changeCount(after: since, through: last),
                            isDense: table.isDense(after: since, through: last))
                    })
            }
        }
        return due
    }

    /// Whether a whole is due, and so small beside the changes that it is written in their place.
    @usableFromInline
    func isReplaced(
        _ due: [DueChanges?], byWholeOf keyCount: Int, _ kept: StateCaptureProgress.Kept
    ) -> Bool {
        let most = min(keyCount, due.reduce(0) { $0 + ($1?.most ?? 0) })
        var next = kept
        next.changeCount += most
        return next.isWholeDue(of: keyCount) && keyCount <= max(Self.roundShare, 2 * most)
    }

    /// Goes on with the whole that is being written, if there is one.
    @inlinable
    func share(
        of kept: inout StateCaptureProgress.Kept, _ cells: [StateCell<Key, StateValue>],
        _ limit: Int, _ request: StateCapture.Request
    ) throws -> [OperatorState] {
        guard var round = kept.round else { return [] }
        var pieces: [OperatorState] = []
        var taken = 0
        for partition in cells.indices {
            while taken < limit, !round.cursors[partition].isDone {
                let slice = try slice(
                    .changes, of: cells, partition, &round.cursors[partition], request)
                if slice.values.count > 0 { pieces.append(slice) }
                taken += max(1, slice.values.count)
            }
        }
        if round.cursors.allSatisfy(\.isDone) {
            pieces.append(base(at: round.start, request))
            kept.base = round.start
            kept.changeCount = round.changeCount
            kept.round = nil
        } else {
            kept.round = round
        }
        return pieces
    }

    /// All keys: what the changes are to is not known, or came from outside.
    @inlinable
    func wholes(
        of cells: [StateCell<Key, StateValue>], _ request: StateCapture.Request
    ) throws -> [OperatorState] {
        var pieces: [OperatorState] = []
        for partition in cells.indices {
            var cursor = StateSliceCursor()
            repeat {
                pieces.append(try slice(.whole, of: cells, partition, &cursor, request))
            } while !cursor.isDone
        }
        return pieces
    }

    @inlinable
    func cell(
        of partition: Int, _ engine: any ExecutionEngine
    ) throws -> StateCell<Key, StateValue> {
        let context = TaskContext(partition: partition, stateStore: engine.stateStore)
        return try StateStep(id: lineage.id, partition: partition, time: 0).cell(
            context, site, hasTimers: hasTimers)
    }

    /// The next slice of a partition; nobody else waits longer for the table than that takes.
    @inlinable
    func slice(
        _ kind: OperatorState.Kind, of cells: [StateCell<Key, StateValue>], _ partition: Int,
        _ cursor: inout StateSliceCursor, _ request: StateCapture.Request
    ) throws -> OperatorState {
        var writer = ByteWriter()
        var number = 0
        var next = cursor
        try cells[partition].withTable { table in
            // A table that no batch has begun has no version and no keys.
            guard let version = table.version(through: request.time.milliseconds) else {
                next = .finished
                return
            }
            try table.forEachInSlice(&next, count: Self.sliceCount, at: version) {
                states.encode(($0, ($1, $2)), &writer)
                number += 1
            }
        }
        cursor = next
        return request.piece(
            kind, (partition, cells.count),
            EncodedValues(bytes: try writer.takeBytes(), count: number))
    }

    /// Says that the changes from a batch on hold every key.
    @usableFromInline
    func base(at time: BatchTime, _ request: StateCapture.Request) -> OperatorState {
        var base = request.piece(.base, (0, 1), EncodedValues(bytes: [], count: 0))
        base.time = time
        return base
    }

    /// What batches changed in a partition, as of the last of them.
    @inlinable
    func changes(
        in due: DueChanges, of cells: [StateCell<Key, StateValue>], _ partition: Int,
        _ request: StateCapture.Request
    ) throws -> OperatorState {
        var (set, removed) = (ByteWriter(), ByteWriter())
        var (setCount, removedCount) = (0, 0)
        var slice = due.isDense ? StateSliceCursor() : .finished
        while !slice.isDone {
            try cells[partition].withTable { table in
                guard let version = table.version(through: due.last) else {
                    slice = .finished
                    return
                }
                try table.forEachInSlice(
                    &slice, count: Self.sliceCount, at: version, since: due.since
                ) {
                    states.encode(($0, ($1, $2)), &set)
                    setCount += 1
                }
            }
        }
        var cursor = StateChangeCursor(since: due.since, through: due.last)
        while !due.isDense, !cursor.isDone {
            try cells[partition].withTable { table in
                try table.forEachChange(&cursor, count: Self.sliceCount) { key, value, updatedAt in
                    states.encode((key, (value, updatedAt)), &set)
                    setCount += 1
                } removed: { key in
                    keys.encode(key, &removed)
                    removedCount += 1
                }
            }
        }
        return request.piece(
            .changes, (partition, cells.count),
            EncodedValues(bytes: try set.takeBytes(), count: setCount),
            EncodedValues(bytes: try removed.takeBytes(), count: removedCount))
    }

    /// Replays the pieces since the last whole one into what the first batch starts from.
    @inlinable
    func restore(_ pieces: [OperatorState], _ time: BatchTime) throws {
        let known = pieces.filter { $0.time <= time }
        guard let base = known.last(where: { $0.kind == .whole || $0.kind == .base }) else {
            if known.isEmpty { return lineage.restore(nil, asOf: time) }
            throw StreamError.baseMissing(site)
        }
        var kept = StateCaptureProgress.Kept()
        kept.through = time
        kept.base = base.time
        kept.isRestored = true
        let table = AggregationTable<Key, (StateValue, Int64)?>()
        for piece in known where piece.time >= base.time {
            if piece.kind == .changes { kept.changeCount += piece.changeCount }
            try piece.removed.forEach { table.merge(try keys.decode(&$0), nil) { $1 } }
            try piece.values.forEach {
                let (key, state) = try states.decode(&$0)
                table.merge(key, state) { $1 }
            }
        }
        var elements: [Stamped] = []
        table.drain { key, state in if let state { elements.append((key, state)) } }
        lineage.restore(.source([[.values(Values(elements))]]), asOf: time, kept: kept)
    }
}

/// Changes of a partition that are to be kept.
@usableFromInline
struct DueChanges: Sendable {
    /// The first batch among them.
    @usableFromInline let first: Int64
    /// They are those after one batch and up to another.
    @usableFromInline let since: Int64
    @usableFromInline let last: Int64
    /// How many keys they concern at most.
    @usableFromInline let most: Int
    /// Whether they are found by reading all keys.
    @usableFromInline let isDense: Bool

    @usableFromInline
    init(first: Int64, since: Int64, last: Int64, most: Int, isDense: Bool) {
        self.first = first
        self.since = since
        self.last = last
        self.most = most
        self.isDense = isDense
    }
}

extension Codec {
    /// The codec of a key with its state and the time of its last update: that of the tuple,
    /// without its detours.
    @inlinable
    static func stamped<Key: StreamKey, StateValue: Sendable>(
        _ values: Codec<StateValue>
    ) -> Codec where T == (Key, (StateValue, Int64)) {
        Codec(
            shape: "(\(Codec<Key>.of().shape),(\(values.shape),\(Codec<Int64>.of().shape)))",
            encode: { stamped, writer in
                stamped.0.encode(to: &writer)
                values.encode(stamped.1.0, &writer)
                stamped.1.1.encode(to: &writer)
            },
            decode: { reader in
                let key = try Key.decode(from: &reader)
                let value = try values.decode(&reader)
                return (key, (value, try Int64.decode(from: &reader)))
            })
    }
}
