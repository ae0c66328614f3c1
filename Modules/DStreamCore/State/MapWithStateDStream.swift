public import BatchEngine

/// What `mapWithState` makes: the stream of what its function maps to, and the state behind it.
///
/// The commonest operators are here; ``mapped`` has all of them.
public struct MapWithStateDStream<Key: StreamKey, StateValue: Sendable, Mapped: Sendable>: Sendable
{
    /// What the function maps to: one element per record, or none where it said so.
    public let mapped: DStream<Mapped>
    @usableFromInline let lineage: StateLineage
    @usableFromInline let timing: StateTiming
    @usableFromInline let site: OperatorSite

    @usableFromInline
    init(
        _ mapped: DStream<Mapped>, _ lineage: StateLineage, _ timing: StateTiming,
        _ site: OperatorSite
    ) {
        self.mapped = mapped
        self.lineage = lineage
        self.timing = timing
        self.site = site
    }

    /// All keys with their states, as each batch leaves them.
    ///
    /// Later batches may have been applied when it is read: states are those of its own batch as
    /// long as the snapshot's RDD is remembered.
    ///
    /// - Complexity: O(keys) per batch.
    @inlinable
    public func stateSnapshots(
        file: String = #fileID, line: UInt = #line
    ) -> DStream<(Key, StateValue)> {
        let site = OperatorSite("stateSnapshots", file: file, line: line)
        let (node, hasTimers) = (mapped.node, timing.isOn)
        let snapshots = DStream<(Key, StateValue)>(
            mapped.graph, site, parents: [node], slide: node.slideDuration,
            pipe: {
                Pipe { context, inputs, sink in
                    let step = try StateInputs.step(inputs, site)
                    let cell: StateCell<Key, StateValue> = try step.cell(
                        context, site, hasTimers: hasTimers)
                    // Read as a whole first: what the sink does may want the table, too.
                    var states: [(Key, StateValue)] = []
                    try cell.withTable { table in
                        states.reserveCapacity(table.count)
                        try table.forEach(at: step.time) { key, value, _ in
                            states.append((key, value))
                        }
                    }
                    for state in states { try sink(state) }
                }
            },
            compute: { [lineage] _, time, context in
                guard let plan = try await node.plan(at: time, context) else { return nil }
                return lineage.reading(plan, at: time)
            })
        snapshots.node.onFreeze { [lineage, weak node = snapshots.node] _ in
            if let remember = node?.rememberDuration { lineage.keepHistory(remember) }
        }
        return snapshots
    }

    /// Sets how often the state is checkpointed: a multiple of the slide; ten slides by default.
    @discardableResult
    public func checkpoint(
        _ interval: Duration, file: String = #fileID, line: UInt = #line
    ) -> MapWithStateDStream {
        mapped.checkpoint(interval, file: file, line: line)
        return self
    }

    /// Says how the mapped elements are kept; objects in memory by default.
    @discardableResult
    public func persist(
        _ level: StorageLevel = .memoryOnly, file: String = #fileID, line: UInt = #line
    ) -> MapWithStateDStream {
        mapped.persist(level, file: file, line: line)
        return self
    }

    /// Names the operator, so that its state is found again after the program was changed.
    ///
    /// - Parameter formerly: the name that it had, or the ``StatefulOperator/id`` when it had none.
    @discardableResult
    public func named(
        _ name: String, formerly: String? = nil, file: String = #fileID, line: UInt = #line
    ) -> MapWithStateDStream {
        mapped.named(name, formerly: formerly, file: file, line: line)
        return self
    }
}

extension MapWithStateDStream {
    /// Applies `transform` to each mapped element.
    @inlinable
    public func map<Output: Sendable>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Mapped) throws -> Output
    ) -> DStream<Output> {
        mapped.map(file: file, line: line, transform)
    }

    /// Keeps the mapped elements for which `isIncluded` is true.
    @inlinable
    public func filter(
        file: String = #fileID, line: UInt = #line,
        @ClosureBody<Mapped, Bool>
        _ isIncluded: @escaping @Sendable (Mapped) throws -> Bool
    ) -> DStream<Mapped> {
        mapped.filter(file: file, line: line, isIncluded)
    }

    /// Prints the first `count` mapped elements of each batch, as Spark does.
    @inlinable
    public func print(_ count: Int = 10, file: String = #fileID, line: UInt = #line) {
        mapped.print(count, file: file, line: line)
    }

    /// Runs `body` with each batch's RDD, once per batch: an output operation.
    @inlinable
    public func foreachRDD(
        file: String = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable (RDD<Mapped>) async throws -> Void
    ) {
        mapped.foreachRDD(file: file, line: line, body)
    }

    /// ``foreachRDD(file:line:_:)`` with the batch time.
    @inlinable
    public func foreachRDD(
        file: String = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable (RDD<Mapped>, BatchTime) async throws -> Void
    ) {
        mapped.foreachRDD(file: file, line: line, body)
    }

    /// Runs `body` once per partition of each batch, with the elements in bounded chunks.
    @inlinable
    public func foreachPartition(
        file: String = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable (PartitionChunks<Mapped>, TaskContext) async throws -> Void
    ) {
        mapped.foreachPartition(file: file, line: line, body)
    }
}
