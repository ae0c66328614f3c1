extension Pipe {
    /// Combines values on the map side and makes one bucket of (key, value) per output partition.
    @inlinable
    public func reduceKernel<Key: StreamKey, Value: Sendable>(
        id: KernelID, _ site: OperatorSite, placement: KeyPlacement<Key>,
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> Kernel where Element == (Key, Value) {
        let hint = TableSizeHint()
        return Kernel(id: id, site: site, making: (Key, Value).self) { context, inputs, outputs in
            let table = try reducedTable(context, inputs, hint, site, combine)
            return try buckets(of: table, placement, outputs)
        }
    }

    /// Combines values into combiners on the map side, one per key and partition.
    @inlinable
    public func combineKernel<Key: StreamKey, Value: Sendable, Combined: Sendable>(
        id: KernelID, _ site: OperatorSite, placement: KeyPlacement<Key>,
        create: @escaping @Sendable (Value) throws -> Combined,
        mergeValue: @escaping @Sendable (Combined, Value) throws -> Combined
    ) -> Kernel where Element == (Key, Value) {
        let hint = TableSizeHint()
        return Kernel(id: id, site: site, making: (Key, Combined).self) {
            context, inputs, outputs in
            let table = try combinedTable(context, inputs, hint, site, create, mergeValue)
            return try buckets(of: table, placement, outputs)
        }
    }

    /// Makes one bucket of elements per output partition without combining.
    @inlinable
    public func partitionKernel<Key: StreamKey, Value: Sendable>(
        id: KernelID, _ site: OperatorSite, placement: KeyPlacement<Key>
    ) -> Kernel where Element == (Key, Value) {
        Kernel(id: id, site: site, making: (Key, Value).self) { context, inputs, outputs in
            var buckets = [[Element]](repeating: [], count: outputs)
            if outputs == 1, case .hash = placement {
                try push(context, inputs) { buckets[0].append($0) }
                return [.values(Values(buckets[0]))]
            }
            try push(context, inputs) { element in
                buckets[try placement.partition(for: element.0, count: outputs)].append(element)
            }
            return contents(of: buckets)
        }
    }

    /// The reduce side of ``reduceKernel(id:_:placement:_:)``.
    @inlinable
    public static func merged<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite, _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> Pipe where Element == (Key, Value) {
        let source = Pipe.source(site)
        let hint = TableSizeHint()
        return Pipe { context, inputs, sink in
            // One upstream partition's keys are distinct already.
            if inputs.isSinglePiece { return try source.push(context, inputs, into: sink) }
            let table = try source.reducedTable(context, inputs, hint, site, combine)
            try table.drain { try sink(($0, $1)) }
        }
    }

    /// The reduce side of a shuffle without map-side combine.
    @inlinable
    public func combined<Key: StreamKey, Value: Sendable, Combined: Sendable>(
        _ site: OperatorSite, create: @escaping @Sendable (Value) throws -> Combined,
        mergeValue: @escaping @Sendable (Combined, Value) throws -> Combined
    ) -> Pipe<(Key, Combined)> where Element == (Key, Value) {
        let hint = TableSizeHint()
        return Pipe<(Key, Combined)>(around: depth, site) { context, inputs, sink in
            let table = try combinedTable(context, inputs, hint, site, create, mergeValue)
            try table.drain { try sink(($0, $1)) }
        }
    }

    /// The reduce side of ``partitionKernel(id:_:placement:)`` that gathers each key's values in
    /// arrival order.
    @inlinable
    public func grouped<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite
    ) -> Pipe<(Key, [Value])> where Element == (Key, Value) {
        Pipe<(Key, [Value])>(around: depth, site) { context, inputs, sink in
            let table = AggregationTable<Key, [Value]>(minimumCapacity: 0)
            func append(_ key: Key, _ hash: UInt64, _ value: Value) {
                table.update(key, hash: hash, default: []) { $0.append(value) }
            }
            var ahead = LookAhead<Key, Value>()
            try push(context, inputs) { ahead.add($0.0, $0.1, to: table, append) }
            ahead.finish(append)
            try table.drain { try sink(($0, $1)) }
        }
    }
}

extension Pipe {
    /// The values of each key, combined.
    @inlinable
    func reducedTable<Key: StreamKey, Value: Sendable>(
        _ context: TaskContext, _ inputs: [PartitionData], _ hint: TableSizeHint,
        _ site: OperatorSite, _ combine: @escaping (Value, Value) throws -> Value
    ) throws -> AggregationTable<Key, Value> where Element == (Key, Value) {
        let table = AggregationTable<Key, Value>(minimumCapacity: hint.capacity)
        // A local function is inlined where a closure that is handed on would be called.
        func merge(_ key: Key, _ hash: UInt64, _ value: Value) throws {
            do { try table.merge(key, hash: hash, value, combine) } catch {
                throw OperatorFailure.wrap(error, at: site)
            }
        }
        var ahead = LookAhead<Key, Value>()
        try push(context, inputs) { try ahead.add($0.0, $0.1, to: table, merge) }
        try ahead.finish(merge)
        hint.record(table.count)
        return table
    }

    /// A combiner for each key, made of its values.
    @inlinable
    func combinedTable<Key: StreamKey, Value: Sendable, Combined: Sendable>(
        _ context: TaskContext, _ inputs: [PartitionData], _ hint: TableSizeHint,
        _ site: OperatorSite, _ create: @escaping (Value) throws -> Combined,
        _ mergeValue: @escaping (Combined, Value) throws -> Combined
    ) throws -> AggregationTable<Key, Combined> where Element == (Key, Value) {
        let table = AggregationTable<Key, Combined>(minimumCapacity: hint.capacity)
        func merge(_ key: Key, _ hash: UInt64, _ value: Value) throws {
            do {
                try table.mergeValue(
                    key, hash: hash, value, create: create, mergeValue: mergeValue)
            } catch {
                throw OperatorFailure.wrap(error, at: site)
            }
        }
        var ahead = LookAhead<Key, Value>()
        try push(context, inputs) { try ahead.add($0.0, $0.1, to: table, merge) }
        try ahead.finish(merge)
        hint.record(table.count)
        return table
    }
}

extension [PartitionData] {
    /// Whether all elements were made by one task; more is not known of pipes that have not run.
    @usableFromInline
    var isSinglePiece: Bool {
        guard count == 1 else { return isEmpty }
        switch self[0] {
        case .values, .encoded: return true
        case .branch(_, let inner): return inner.isSinglePiece
        case .lines, .block, .dynamic: return false
        }
    }
}

/// Moves a table's entries into one bucket per output partition.
@inlinable
func buckets<Key: StreamKey, Value: Sendable>(
    of table: AggregationTable<Key, Value>, _ placement: KeyPlacement<Key>, _ outputs: Int
) throws -> [PartitionData] {
    if outputs == 1 {
        var bucket: [(Key, Value)] = []
        bucket.reserveCapacity(table.count)
        table.drain { key, value in bucket.append((key, value)) }
        return [.values(Values(bucket))]
    }
    var buckets = [[(Key, Value)]](repeating: [], count: outputs)
    // With few keys most buckets stay empty: then none of them gets memory in advance.
    if table.count > outputs {
        let expected = table.count / outputs + table.count / (8 * outputs) + 1
        for index in buckets.indices { buckets[index].reserveCapacity(expected) }
    }
    try table.drain { key, value in
        buckets[try placement.partition(for: key, count: outputs)].append((key, value))
    }
    return contents(of: buckets)
}

/// The contents of buckets; empty ones, of which there are many in wide shuffles, share theirs.
@inlinable
func contents<Element: Sendable>(of buckets: [[Element]]) -> [PartitionData] {
    let empty = PartitionData.values(Values<Element>([]))
    return buckets.map { $0.isEmpty ? empty : .values(Values($0)) }
}

extension Pipe {
    /// Folds a partition to at most one element, for reductions to a single value.
    @inlinable
    public func foldKernel(
        id: KernelID, _ site: OperatorSite,
        _ combine: @escaping @Sendable (Element, Element) throws -> Element
    ) -> Kernel {
        let reduce = reduced(site, combine)
        return Kernel(id: id, site: site, making: Element.self) { context, inputs, _ in
            let result = try reduce(context, inputs)
            return [.values(Values(result.map { [$0] } ?? []))]
        }
    }

    /// The reduction of a partition; nil when it has no element.
    @inlinable
    public func reduced(
        _ site: OperatorSite, _ combine: @escaping @Sendable (Element, Element) throws -> Element
    ) -> @Sendable (TaskContext, [PartitionData]) throws -> Element? {
        let run = run
        return { context, inputs in
            var result: Element?
            try run(context, inputs) { element in
                guard let current = result else {
                    result = element
                    return
                }
                result = try OperatorFailure.attempt(site, combine, current, element)
            }
            return result
        }
    }

    /// The reduce side of ``foldKernel(id:_:_:)``: at most one element.
    @inlinable
    public static func folded(
        _ site: OperatorSite, _ combine: @escaping @Sendable (Element, Element) throws -> Element
    ) -> Pipe {
        let reduce = Pipe.source(site).reduced(site, combine)
        return Pipe { context, inputs, sink in
            if let result = try reduce(context, inputs) { try sink(result) }
        }
    }

    /// Counts a partition.
    @inlinable
    public func countKernel(id: KernelID, _ site: OperatorSite) -> Kernel {
        let run = run
        return Kernel(id: id, site: site, making: Int.self) { context, inputs, _ in
            var count = 0
            try run(context, inputs) { _ in count += 1 }
            return [.values(Values([count]))]
        }
    }

    /// Deals a partition's elements out in turn, starting at the partition's own number.
    @inlinable
    public func roundRobinKernel(id: KernelID, _ site: OperatorSite) -> Kernel {
        let run = run
        return Kernel(id: id, site: site, making: Element.self) { context, inputs, outputs in
            var buckets = [[Element]](repeating: [], count: outputs)
            var next = context.partition % outputs
            try run(context, inputs) { element in
                buckets[next].append(element)
                next = next + 1 == outputs ? 0 : next + 1
            }
            return contents(of: buckets)
        }
    }
}

extension Pipe where Element == Int {
    /// The reduce side of ``countKernel(id:_:)``: exactly one element.
    @inlinable
    public static func summed(_ site: OperatorSite) -> Pipe {
        let source = Pipe.source(site).run
        return Pipe { context, inputs, sink in
            var sum = 0
            try source(context, inputs) { sum += $0 }
            try sink(sum)
        }
    }
}
