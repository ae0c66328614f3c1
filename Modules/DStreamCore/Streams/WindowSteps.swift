public import BatchEngine

/// The steps of a window without inverse, over one partition: each makes a table of tables.
///
/// An input is tagged with its place in the plan, tables in the order that ``WindowStacks`` puts
/// them in. A table's keys are distinct. A pane's keys are looked up in the larger table rather than
/// the other way round, so that a step inserts as many keys as the panes have.
@usableFromInline
struct WindowSteps<Key: StreamKey, Value: Sendable>: Sendable {
    @usableFromInline let site: OperatorSite
    @usableFromInline let combine: @Sendable (Value, Value) throws -> Value

    @inlinable
    init(
        site: OperatorSite, combine: @escaping @Sendable (Value, Value) throws -> Value
    ) {
        self.site = site
        self.combine = combine
    }

    /// An older table, then panes: the older values come first.
    @inlinable var appended: Pipe<(Key, Value)> {
        added { [site, combine] older, newer in
            do { return try combine(older, newer) } catch {
                throw OperatorFailure.wrap(error, at: site)
            }
        }
    }

    /// A newer table, then panes: the panes' values come first.
    @inlinable var prepended: Pipe<(Key, Value)> {
        added { [site, combine] newer, older in
            do { return try combine(older, newer) } catch {
                throw OperatorFailure.wrap(error, at: site)
            }
        }
    }

    @inlinable
    func added(
        _ join: @escaping @Sendable (_ table: Value, _ panes: Value) throws -> Value
    ) -> Pipe<(Key, Value)> {
        let entries = Pipe<(Key, Value)>.source(site)
        let merge = merge
        let hint = TableSizeHint()
        return Pipe { context, inputs, sink in
            let panes = inputs.tables(from: 1)
            let before = inputs.tables(from: 0, through: 0)
            if panes.isEmpty { return try entries.push(context, before, into: sink) }
            if before.isEmpty, panes.count == 1 {
                return try entries.push(context, panes, into: sink)
            }
            let table = AggregationTable<Key, Value>(minimumCapacity: hint.capacity)
            try merge(context, panes, table)
            hint.record(table.count)
            try entries.push(context, before) { entry in
                let isAdded = try table.updateExisting(entry.0) { $0 = try join(entry.1, $0) }
                if !isAdded { try sink(entry) }
            }
            try table.drain { try sink(($0, $1)) }
        }
    }

    /// A table, then panes put before it: what each of their keys had in the table.
    @inlinable var overwritten: Pipe<(Key, Value?)> {
        let entries = Pipe<(Key, Value)>.source(site)
        let hint = TableSizeHint()
        return Pipe { context, inputs, sink in
            let table = AggregationTable<Key, Value?>(minimumCapacity: hint.capacity)
            try entries.push(context, inputs.tables(from: 1)) { entry in
                table.update(entry.0, default: nil) { _ in }
            }
            hint.record(table.count)
            try entries.push(context, inputs.tables(from: 0, through: 0)) { entry in
                table.updateExisting(entry.0) { $0 = entry.1 }
            }
            try table.drain { try sink(($0, $1)) }
        }
    }

    /// A table and what some of its keys are to have instead; or panes, a number of them per step.
    @inlinable
    func stepped(panesPerStep: Int) -> Pipe<(Key, Value)> {
        let entries = Pipe<(Key, Value)>.source(site)
        let changes = Pipe<(Key, Value?)>.source(site)
        let turn = turn
        let hint = TableSizeHint()
        return Pipe { context, inputs, sink in
            let panes = inputs.tables(from: 2)
            if !panes.isEmpty {
                let table = AggregationTable<Key, Value>()
                try turn(context, panes, panesPerStep, table)
                return try table.drain { try sink(($0, $1)) }
            }
            let table = AggregationTable<Key, Value?>(minimumCapacity: hint.capacity)
            try changes.push(context, inputs.tables(from: 1, through: 1)) { change in
                table.update(change.0, default: nil) { $0 = change.1 }
            }
            hint.record(table.count)
            try entries.push(context, inputs.tables(from: 0, through: 0)) { entry in
                guard let change = table[entry.0] else { return try sink(entry) }
                if let earlier = change { try sink((entry.0, earlier)) }
            }
        }
    }

    /// Merges panes as the steps of a turn do, from the end to the beginning, so that numbers are
    /// rounded alike.
    @inlinable
    var turn:
        @Sendable (TaskContext, [PartitionData], Int, AggregationTable<Key, Value>) throws -> Void
    {
        let merge = merge
        return { [site, combine] context, panes, panesPerStep, table in
            var rest = panes[...]
            while let newest = rest.last {
                let step = newest.step(of: panesPerStep)
                let first = rest.firstIndex { $0.step(of: panesPerStep) == step } ?? 0
                let older = AggregationTable<Key, Value>()
                try merge(context, Array(rest[first...]), older)
                rest = rest[..<first]
                try older.drain { key, value in
                    do { try table.merge(key, value) { try combine($1, $0) } } catch {
                        throw OperatorFailure.wrap(error, at: site)
                    }
                }
            }
        }
    }

    /// The three parts of a window, oldest first; the rest is there only to be computed by now.
    @inlinable var joined: Pipe<(Key, Value)> {
        let entries = Pipe<(Key, Value)>.source(site)
        let merge = merge
        let hint = TableSizeHint()
        return Pipe { context, inputs, sink in
            let parts = inputs.tables(from: 0, through: 0) + inputs.tables(from: 3)
            if parts.count < 2 { return try entries.push(context, parts, into: sink) }
            let table = AggregationTable<Key, Value>(minimumCapacity: hint.capacity)
            try merge(context, parts, table)
            hint.record(table.count)
            try table.drain { try sink(($0, $1)) }
        }
    }

    /// Merges tables into one, in their order.
    @inlinable
    var merge: @Sendable (TaskContext, [PartitionData], AggregationTable<Key, Value>) throws -> Void
    {
        let entries = Pipe<(Key, Value)>.source(site)
        return { [site, combine] context, inputs, table in
            try entries.push(context, inputs) { entry in
                do { try table.merge(entry.0, entry.1, combine) } catch {
                    throw OperatorFailure.wrap(error, at: site)
                }
            }
        }
    }
}

extension PartitionData {
    /// The step that a pane belongs to, when panes begin at place 2.
    @usableFromInline
    func step(of panesPerStep: Int) -> Int {
        if case .branch(let place, _) = self { return (place - 2) / panesPerStep }
        return 0
    }
}

extension [PartitionData] {
    /// The inputs at these places, without those that have no elements.
    @usableFromInline
    func tables(from first: Int, through last: Int = .max) -> [PartitionData] {
        var tables: [PartitionData] = []
        for piece in self {
            guard case .branch(let place, let inner) = piece, place >= first, place <= last,
                inner.contains(where: { $0.count > 0 })
            else { continue }
            if tables.isEmpty { tables.reserveCapacity(count) }
            tables.append(piece)
        }
        return tables
    }
}
