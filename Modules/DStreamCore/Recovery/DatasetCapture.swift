public import BatchEngine
internal import Synchronization

/// Takes a state that is its operator's own RDD into checkpoints: what differs from the last one.
///
/// States are compared by their bytes, so a state that the function gave again is not written.
/// An object may have been changed in place: of objects, and where keys may come twice, all is
/// written each time.
@usableFromInline
struct DatasetCapture<Key: StreamKey, StateValue: Sendable>: Sendable {
    @usableFromInline typealias Element = (Key, StateValue)

    /// All states as of a checkpoint, by partition.
    @usableFromInline
    struct Snapshot: Sendable {
        @usableFromInline let through: BatchTime
        @usableFromInline let partitions: [[Element]]

        @usableFromInline
        init(through: BatchTime, partitions: [[Element]]) {
            self.through = through
            self.partitions = partitions
        }
    }

    @usableFromInline let lineage: StateLineage
    @usableFromInline let site: OperatorSite
    @usableFromInline let values: Codec<StateValue>
    @usableFromInline let placement: KeyPlacement<Key>
    @usableFromInline let writesWholes: Bool
    /// What is kept, and what was proposed last.
    @usableFromInline let snapshots = LastSnapshots<Snapshot>()

    /// Makes a capture.
    ///
    /// - Parameter mayRepeat: whether a key may have several states.
    @inlinable
    init(
        lineage: StateLineage, site: OperatorSite, values: Codec<StateValue>,
        placement: KeyPlacement<Key>, mayRepeat: Bool
    ) {
        self.lineage = lineage
        self.site = site
        self.values = values
        self.placement = placement
        writesWholes = mayRepeat || StateValue.self is AnyClass
    }

    @inlinable
    func capture(of node: StreamNode) -> StateCapture {
        StateCapture(
            take: { [weak node] request in
                guard let node else { return ([], .zero) }
                return try take(request, node)
            }, restore: { try restore($0, $1.time) })
    }

    @inlinable
    func take(
        _ request: StateCapture.Request, _ node: StreamNode
    ) throws -> (pieces: [OperatorState], oldest: BatchTime) {
        var kept = lineage.capturing(since: request.since).kept
        let previous = snapshots.settled { $0.through == kept.through }
        if let through = kept.through, request.time <= through {
            return ([], kept.base ?? request.time)
        }
        guard let contents = try node.newestContents(through: request.time, request.engine) else {
            return ([], kept.base ?? request.time)
        }
        let partitions = try contents.map(elements)
        var pieces: [OperatorState] = []
        let keyCount = partitions.reduce(0) { $0 + $1.count }
        if let previous, previous.partitions.count == partitions.count, !writesWholes,
            !kept.isWholeDue(of: keyCount)
        {
            for (number, states) in partitions.enumerated() {
                let piece = try changes(
                    from: previous.partitions[number], to: states,
                    (number, partitions.count), request)
                kept.changeCount += piece.changeCount
                if piece.values.count + piece.removed.count > 0 { pieces.append(piece) }
            }
        } else {
            pieces = try partitions.enumerated().map { number, states in
                var writer = ByteWriter()
                for (key, state) in states {
                    key.encode(to: &writer)
                    values.encode(state, &writer)
                }
                return request.piece(
                    .whole, (number, partitions.count),
                    EncodedValues(bytes: try writer.takeBytes(), count: states.count))
            }
            kept = StateCaptureProgress.Kept()
            kept.base = request.time
        }
        snapshots.propose(Snapshot(through: request.time, partitions: partitions))
        lineage.captured(request.time, kept)
        return (pieces, kept.base ?? request.time)
    }

    /// What a partition's states differ in from those before.
    ///
    /// - Complexity: O(*n*) in the keys of both; a key that stays in its order costs no look-up.
    @inlinable
    func changes(
        from old: [Element], to new: [Element], _ place: (number: Int, count: Int),
        _ request: StateCapture.Request
    ) throws -> OperatorState {
        var difference = StateDifference<Key, StateValue>(values)
        var (number, next) = (0, 0)
        // The places in `old` of keys that have not come again; -1: it has.
        let missing = AggregationTable<Key, Int>()
        while number < old.count {
            if next < new.count, Key.isSameKey(old[number].0, new[next].0) {
                difference.compare(old[number].1, to: new[next])
                next += 1
            } else {
                missing.merge(old[number].0, number) { first, _ in first }
            }
            number += 1
        }
        for element in new[next...] {
            let before = missing.update(element.0, default: -1) { place in
                defer { place = -1 }
                return place
            }
            difference.compare(before < 0 ? nil : old[before].1, to: element)
        }
        missing.drain { key, place in if place >= 0 { difference.remove(key) } }
        return request.piece(.changes, place, try difference.set(), try difference.removed())
    }

    @inlinable
    func elements(_ contents: [PartitionData]) throws -> [Element] {
        if contents.count == 1, case .values(let known) = contents[0],
            let values = known as? Values<Element>
        {
            return values.elements
        }
        var elements: [Element] = []
        let context = TaskContext(partition: 0)
        try Pipe<Element>.source(site).run(context, contents) { elements.append($0) }
        return elements
    }
}

extension DatasetCapture {
    /// Puts back the newest whole with the changes since.
    @inlinable
    func restore(_ pieces: [OperatorState], _ time: BatchTime) throws {
        let known = pieces.filter { $0.time <= time }
        guard let base = known.last(where: { $0.kind != .changes }) else {
            if known.isEmpty { return lineage.restore(nil, asOf: time) }
            throw StreamError.baseMissing(site)
        }
        // Each partition has a piece.
        guard base.partitionCount <= known.count else { throw StreamError.baseMissing(site) }
        var partitions = [[Element]?](repeating: nil, count: base.partitionCount)
        for piece in known where piece.kind == base.kind && piece.time == base.time {
            if partitions.indices.contains(piece.partition) {
                partitions[piece.partition] = try decoded(piece.values)
            }
        }
        var states = partitions.compactMap { $0 }
        guard states.count == partitions.count, !states.isEmpty else {
            throw StreamError.baseMissing(site)
        }
        let changes = known.filter { $0.kind == .changes && $0.time >= base.time }
        for number in states.indices {
            let own = changes.filter { $0.partition == number }
            if !own.isEmpty { states[number] = try replay(own, on: states[number]) }
        }
        var kept = StateCaptureProgress.Kept()
        kept.through = time
        kept.base = base.time
        kept.changeCount = changes.reduce(0) { $0 + $1.changeCount }
        kept.isRestored = true
        // Of an older format, the state is written as a whole next.
        if base.kind == .whole {
            snapshots.keep(Snapshot(through: time, partitions: states))
        }
        // Side by side when keys lie where they belong; otherwise they are dealt out again.
        let contents = states.map { PartitionData.values(Values($0)) }
        let isDealt = try KeyDeal<Key, StateValue>(placement).isDealt(states)
        let plan = Plan.source(isDealt ? contents.map { [$0] } : [contents])
        lineage.restore(plan, asOf: time, kept: kept)
    }

    @inlinable
    func replay(_ changes: [OperatorState], on states: [Element]) throws -> [Element] {
        let table = AggregationTable<Key, StateValue?>(minimumCapacity: states.count)
        // Of equal keys the first one counts.
        for (key, state) in states { table.merge(key, state) { first, _ in first } }
        for piece in changes {
            try piece.removed.forEach { table.merge(try Key.decode(from: &$0), nil) { $1 } }
            for (key, state) in try decoded(piece.values) { table.merge(key, state) { $1 } }
        }
        var elements: [Element] = []
        elements.reserveCapacity(states.count)
        table.drain { key, state in if let state { elements.append((key, state)) } }
        return elements
    }

    @inlinable
    func decoded(_ encoded: EncodedValues) throws -> [Element] {
        var elements: [Element] = []
        try encoded.forEach {
            elements.append((try Key.decode(from: &$0), try values.decode(&$0)))
        }
        return elements
    }
}

/// Gathers the states that differ from those before, as bytes.
@usableFromInline
struct StateDifference<Key: StreamKey, StateValue: Sendable> {
    @usableFromInline let values: Codec<StateValue>
    @usableFromInline var setStates = ByteWriter()
    @usableFromInline var setCount = 0
    @usableFromInline var removedKeys = ByteWriter()
    @usableFromInline var removedCount = 0
    @usableFromInline var before = ByteWriter()
    @usableFromInline var after = ByteWriter()

    @inlinable
    init(_ values: Codec<StateValue>) { self.values = values }

    @inlinable
    mutating func compare(_ old: StateValue?, to new: (Key, StateValue)) {
        after.removeAll()
        values.encode(new.1, &after)
        if let failure = after.failure { return setStates.fail(failure) }
        if let old {
            before.removeAll()
            values.encode(old, &before)
            if before.bytes == after.bytes { return }
        }
        new.0.encode(to: &setStates)
        setStates.writeBytes(after.bytes)
        setCount += 1
    }

    @inlinable
    mutating func remove(_ key: Key) {
        key.encode(to: &removedKeys)
        removedCount += 1
    }

    @inlinable
    mutating func set() throws -> EncodedValues {
        EncodedValues(bytes: try setStates.takeBytes(), count: setCount)
    }

    @inlinable
    mutating func removed() throws -> EncodedValues {
        EncodedValues(bytes: try removedKeys.takeBytes(), count: removedCount)
    }
}

/// The snapshot of the last checkpoint that was kept, and that of one of which it is not known yet.
@usableFromInline
final class LastSnapshots<Snapshot: Sendable>: Sendable {
    private let state = Locked<(kept: Snapshot?, proposed: Snapshot?)>((nil, nil))

    @usableFromInline
    init() {}

    /// The one of the two that was kept.
    @usableFromInline
    func settled(_ isKept: (Snapshot) -> Bool) -> Snapshot? {
        state.withLock { state in
            if let proposed = state.proposed, isKept(proposed) { state.kept = proposed }
            state.proposed = nil
            return state.kept
        }
    }

    @usableFromInline
    func propose(_ snapshot: Snapshot) { state.withLock { $0.proposed = snapshot } }

    @usableFromInline
    func keep(_ snapshot: Snapshot) { state.withLock { $0.kept = snapshot } }
}
