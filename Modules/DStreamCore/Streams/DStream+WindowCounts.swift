public import BatchEngine

extension DStream {
    /// The number of elements in the last `window`, every `slide`, as one element.
    ///
    /// Nothing comes out before the first element ever, and 0 when a later window is empty. Needs a
    /// checkpoint directory, as in Spark.
    ///
    /// - Parameters:
    ///   - window: a positive multiple of this stream's slide.
    ///   - slide: a positive multiple of this stream's slide; nil: that slide.
    @inlinable
    public func countByWindow(
        _ window: Duration, slide: Duration? = nil, file: String = #fileID, line: UInt = #line
    ) -> DStream<Int> {
        let site = OperatorSite("countByWindow", file: file, line: line)
        let counts = count(site, requiresParent: false)
        let panes = counts.derived(site) { [pipe = counts.pipe] in
            pipe().filter(site) { $0 > 0 }.map(site) { (true, $0) }
        }
        return panes.incremental(
            site, { $0 + $1 }, { $0 - $1 }, checkedWindow(window, slide, site), 1, .hash, nil
        )
        .derivedValues(site)
    }

    /// How often each element occurs in the last `window`, every `slide`.
    ///
    /// Elements that do not occur are not in it. Needs a checkpoint directory, as in Spark.
    ///
    /// - Parameters:
    ///   - window: a positive multiple of this stream's slide.
    ///   - slide: a positive multiple of this stream's slide; nil: that slide.
    ///   - partitions: output partitions, at least 1; nil: the engine's default.
    @inlinable
    public func countByValueAndWindow(
        _ window: Duration, slide: Duration? = nil, partitions: Int? = nil,
        file: String = #fileID, line: UInt = #line
    ) -> DStream<(Element, Int)> where Element: StreamKey {
        let site = OperatorSite("countByValueAndWindow", file: file, line: line)
        let add: @Sendable (Int, Int) -> Int = { $0 + $1 }
        let subtract: @Sendable (Int, Int) -> Int = { $0 - $1 }
        let occurs: @Sendable ((Element, Int)) -> Bool = { $0.1 != 0 }
        let span = checkedWindow(window, slide, site)
        return countByValue(site, partitions)
            .incremental(site, add, subtract, span, partitions, .hash, occurs)
    }

    /// Gathers the values of each key over the last `window`, every `slide`: oldest batch first, in
    /// arrival order within a batch.
    ///
    /// - Parameters:
    ///   - window: a positive multiple of this stream's slide.
    ///   - slide: a positive multiple of this stream's slide; nil: that slide.
    ///   - partitions: output partitions, at least 1; nil: the engine's default.
    /// - Complexity: O(values of the window) per slide, as many as come out.
    @inlinable
    public func groupByKeyAndWindow<Key: StreamKey, Value: Sendable>(
        _ window: Duration, slide: Duration? = nil, partitions: Int? = nil,
        file: String = #fileID, line: UInt = #line
    ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
        groupByKeyAndWindow(
            OperatorSite("groupByKeyAndWindow", file: file, line: line), window, slide, partitions,
            .hash)
    }

    /// ``groupByKeyAndWindow(_:slide:partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func groupByKeyAndWindow<Key: StreamKey, Value: Sendable>(
        _ window: Duration, slide: Duration? = nil, partitioner: some Partitioner<Key>,
        file: String = #fileID, line: UInt = #line
    ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
        groupByKeyAndWindow(
            OperatorSite("groupByKeyAndWindow", file: file, line: line), window, slide,
            partitioner.partitionCount, .custom(partitioner))
    }

    @inlinable
    func groupByKeyAndWindow<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite, _ window: Duration, _ slide: Duration?, _ partitions: Int?,
        _ placement: KeyPlacement<Key>
    ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
        let span = checkedWindow(window, slide, site)
        return groupByKey(site, partitions, placement)
            .overPanes(site, span, partitions: partitions) { .concatenated(site) }
    }
}

extension Pipe {
    /// The values of each key in several tables of groups, table by table.
    @inlinable
    static func concatenated<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite
    ) -> Pipe where Element == (Key, [Value]) {
        let source = Pipe.source(site)
        let hint = TableSizeHint()
        return Pipe { context, inputs, sink in
            let table = AggregationTable<Key, [Value]>(minimumCapacity: hint.capacity)
            try source.push(context, inputs) { entry in
                table.update(entry.0, default: []) { $0 += entry.1 }
            }
            hint.record(table.count)
            try table.drain { try sink(($0, $1)) }
        }
    }
}
