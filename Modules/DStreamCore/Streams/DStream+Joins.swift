public import BatchEngine

/// One input of an operator that brings equal keys of several streams together.
@usableFromInline
struct ShuffledInput: Sendable {
    @usableFromInline let graph: DStreamGraph
    @usableFromInline let node: StreamNode
    @usableFromInline let kernel: @Sendable (KernelID) -> Kernel
    @usableFromInline let cell = Frozen<Kernel>()

    @inlinable
    init<Key: StreamKey, Value: Sendable>(
        _ stream: DStream<(Key, Value)>, _ site: OperatorSite, _ placement: KeyPlacement<Key>
    ) {
        graph = stream.graph
        node = stream.node
        kernel = { [pipe = stream.pipe] id in
            pipe().partitionKernel(id: id, site, placement: placement)
        }
    }
}

extension DStream {
    /// What `pipe` makes of this stream and others, shuffled and put partition beside partition.
    ///
    /// The streams have the same slide; a batch in which one has no RDD cannot be generated.
    @inlinable
    func beside<Output: Sendable>(
        _ inputs: [ShuffledInput], _ site: OperatorSite, _ partitions: Int?,
        _ pipe: @escaping @Sendable () -> Pipe<Output>
    ) -> DStream<Output> {
        checkSiblings(inputs.map { ($0.graph, $0.node) }, site)
        graph.checkPartitions(partitions, site)
        let stream = DStream<Output>(
            graph, site, parents: inputs.map(\.node), slide: slideDuration, pipe: pipe
        ) { _, time, context in
            let count = partitions ?? context.batch.defaultParallelism
            let plans = try await parentPlans(inputs.map(\.node), site, time, context)
            return .zip(
                zip(plans, inputs).map { plan, input in
                    plan.exchanged(by: input.cell.value, into: count)
                })
        }
        stream.node.onFreeze { program in
            for input in inputs { input.cell.set(program.add(input.kernel)) }
        }
        return stream
    }

    @inlinable
    func beside<Key: StreamKey, Value: Sendable, Other: Sendable, Output: Sendable>(
        _ other: DStream<(Key, Other)>, _ site: OperatorSite, _ partitions: Int?,
        _ placement: KeyPlacement<Key>, _ pipe: @escaping @Sendable () -> Pipe<Output>
    ) -> DStream<Output> where Element == (Key, Value) {
        beside(
            [ShuffledInput(self, site, placement), ShuffledInput(other, site, placement)], site,
            partitions, pipe)
    }
}

extension DStream {
    /// Pairs the values that both streams have of the same key in a batch: one element per pair.
    ///
    /// Keys that only one of them has do not come out. The streams have the same slide; a batch in
    /// which one has no RDD cannot be generated, as in Spark.
    ///
    /// ## Ordering
    /// By key in no promised order; within a key, this stream's values in arrival order, each with
    /// all of the other's.
    ///
    /// - Parameter partitions: output partitions, at least 1; nil: the engine's default.
    /// - Complexity: O(elements of both and of the result) per batch; a partition's elements of
    ///   both are held in memory.
    @inlinable
    public func join<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: DStream<(Key, Other)>, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<(Key, (Value, Other))> where Element == (Key, Value) {
        let site = OperatorSite("join", file: file, line: line)
        return beside(other, site, partitions, .hash) { .joined(site) }
    }

    /// ``join(_:partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func join<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: DStream<(Key, Other)>, partitioner: some Partitioner<Key>, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<(Key, (Value, Other))> where Element == (Key, Value) {
        let site = OperatorSite("join", file: file, line: line)
        return beside(other, site, partitioner.partitionCount, .custom(partitioner)) {
            .joined(site)
        }
    }

    /// ``join(_:partitions:file:line:)`` that keeps this stream's keys the other does not have,
    /// with nil.
    @inlinable
    public func leftOuterJoin<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: DStream<(Key, Other)>, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<(Key, (Value, Other?))> where Element == (Key, Value) {
        let site = OperatorSite("leftOuterJoin", file: file, line: line)
        return beside(other, site, partitions, .hash) { .leftOuterJoined(site) }
    }

    /// ``leftOuterJoin(_:partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func leftOuterJoin<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: DStream<(Key, Other)>, partitioner: some Partitioner<Key>, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<(Key, (Value, Other?))> where Element == (Key, Value) {
        let site = OperatorSite("leftOuterJoin", file: file, line: line)
        return beside(other, site, partitioner.partitionCount, .custom(partitioner)) {
            .leftOuterJoined(site)
        }
    }

    /// ``join(_:partitions:file:line:)`` that keeps the other stream's keys this one does not have,
    /// with nil.
    @inlinable
    public func rightOuterJoin<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: DStream<(Key, Other)>, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<(Key, (Value?, Other))> where Element == (Key, Value) {
        let site = OperatorSite("rightOuterJoin", file: file, line: line)
        return beside(other, site, partitions, .hash) { .rightOuterJoined(site) }
    }

    /// ``rightOuterJoin(_:partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func rightOuterJoin<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: DStream<(Key, Other)>, partitioner: some Partitioner<Key>, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<(Key, (Value?, Other))> where Element == (Key, Value) {
        let site = OperatorSite("rightOuterJoin", file: file, line: line)
        return beside(other, site, partitioner.partitionCount, .custom(partitioner)) {
            .rightOuterJoined(site)
        }
    }

    /// ``join(_:partitions:file:line:)`` that keeps the keys only one of the streams has, with nil.
    @inlinable
    public func fullOuterJoin<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: DStream<(Key, Other)>, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<(Key, (Value?, Other?))> where Element == (Key, Value) {
        let site = OperatorSite("fullOuterJoin", file: file, line: line)
        return beside(other, site, partitions, .hash) { .fullOuterJoined(site) }
    }

    /// ``fullOuterJoin(_:partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func fullOuterJoin<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: DStream<(Key, Other)>, partitioner: some Partitioner<Key>, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<(Key, (Value?, Other?))> where Element == (Key, Value) {
        let site = OperatorSite("fullOuterJoin", file: file, line: line)
        return beside(other, site, partitioner.partitionCount, .custom(partitioner)) {
            .fullOuterJoined(site)
        }
    }

    /// Gathers the values that two streams have of each key in a batch.
    ///
    /// Each key of either comes out once, with its values of both in arrival order; a stream that
    /// does not have the key gives an empty array. The streams have the same slide; a batch in
    /// which one has no RDD cannot be generated, as in Spark.
    ///
    /// - Parameter partitions: output partitions, at least 1; nil: the engine's default.
    @inlinable
    public func cogroup<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: DStream<(Key, Other)>, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<(Key, ([Value], [Other]))> where Element == (Key, Value) {
        let site = OperatorSite("cogroup", file: file, line: line)
        return beside(other, site, partitions, .hash) { .cogrouped(site) }
    }

    /// ``cogroup(_:partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func cogroup<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: DStream<(Key, Other)>, partitioner: some Partitioner<Key>, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<(Key, ([Value], [Other]))> where Element == (Key, Value) {
        let site = OperatorSite("cogroup", file: file, line: line)
        return beside(other, site, partitioner.partitionCount, .custom(partitioner)) {
            .cogrouped(site)
        }
    }

    /// ``cogroup(_:partitions:file:line:)`` with two other streams.
    @inlinable
    public func cogroup<Key: StreamKey, Value: Sendable, Second: Sendable, Third: Sendable>(
        _ second: DStream<(Key, Second)>, _ third: DStream<(Key, Third)>,
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line
    ) -> DStream<(Key, ([Value], [Second], [Third]))> where Element == (Key, Value) {
        let site = OperatorSite("cogroup", file: file, line: line)
        let placement = KeyPlacement<Key>.hash
        let inputs = [
            ShuffledInput(self, site, placement), ShuffledInput(second, site, placement),
            ShuffledInput(third, site, placement),
        ]
        return beside(inputs, site, partitions) { .cogrouped(site) }
    }

    /// ``cogroup(_:partitioner:file:line:)`` with two other streams.
    @inlinable
    public func cogroup<Key: StreamKey, Value: Sendable, Second: Sendable, Third: Sendable>(
        _ second: DStream<(Key, Second)>, _ third: DStream<(Key, Third)>,
        partitioner: some Partitioner<Key>, file: String = #fileID, line: UInt = #line
    ) -> DStream<(Key, ([Value], [Second], [Third]))> where Element == (Key, Value) {
        let site = OperatorSite("cogroup", file: file, line: line)
        let placement = KeyPlacement<Key>.custom(partitioner)
        let inputs = [
            ShuffledInput(self, site, placement), ShuffledInput(second, site, placement),
            ShuffledInput(third, site, placement),
        ]
        return beside(inputs, site, partitioner.partitionCount) { .cogrouped(site) }
    }
}
