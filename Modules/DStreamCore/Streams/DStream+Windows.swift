public import BatchEngine
internal import Synchronization

extension DStream {
    /// The elements of the last `window`, every `slide`: oldest batch first.
    ///
    /// Batches without RDD are skipped; a window without any is empty, not missing.
    ///
    /// - Parameters:
    ///   - window: a positive multiple of this stream's slide.
    ///   - slide: a positive multiple of this stream's slide; nil: that slide.
    @inlinable
    public func window(
        _ window: Duration, slide: Duration? = nil, file: String = #fileID, line: UInt = #line
    ) -> DStream {
        let site = OperatorSite("window", file: file, line: line)
        let span = checkedWindow(window, slide, site)
        keepForWindow()
        return DStream(
            graph, site, parents: [node], slide: span.slide, traits: span.traits,
            pipe: { .source(site) },
            compute: { [node] _, time, context in
                let panes = try await node.plans(
                    from: span.start(of: time), through: time, context)
                return .union(panes.map(\.plan))
            })
    }

    /// The reduction of the elements of the last `window`, every `slide`.
    ///
    /// - Parameters:
    ///   - combine: associative; called in batch order.
    ///   - window: a positive multiple of this stream's slide.
    ///   - slide: a positive multiple of this stream's slide; nil: that slide.
    /// - Complexity: a constant number of calls of `combine` per slide, whatever the window's length.
    @inlinable
    public func reduceByWindow(
        @ClosureBody<(Element, Element), Element>
        _ combine: @escaping @Sendable (Element, Element) throws -> Element,
        window: Duration, slide: Duration? = nil, file: String = #fileID, line: UInt = #line
    ) -> DStream {
        let site = OperatorSite("reduceByWindow", file: file, line: line)
        return reducedPanes(site, combine)
            .aggregated(site, over: checkedWindow(window, slide, site), 1, .hash, combine)
            .derivedValues(site)
    }

    /// ``reduceByWindow(_:window:slide:file:line:)`` with the function as a trailing closure.
    @inlinable
    public func reduceByWindow(
        window: Duration, slide: Duration? = nil, file: String = #fileID, line: UInt = #line,
        @ClosureBody<(Element, Element), Element>
        _ combine: @escaping @Sendable (Element, Element) throws -> Element
    ) -> DStream {
        reduceByWindow(combine, window: window, slide: slide, file: file, line: line)
    }

    /// ``reduceByWindow(_:window:slide:file:line:)`` that takes leaving elements out by `inverse`
    /// instead of reducing the whole window again.
    ///
    /// Nothing comes out before the first element ever. Needs a checkpoint directory, as in Spark.
    @inlinable
    public func reduceByWindow(
        @ClosureBody<(Element, Element), Element>
        _ combine: @escaping @Sendable (Element, Element) throws -> Element,
        @ClosureBody<(Element, Element), Element>
        inverse: @escaping @Sendable (Element, Element) throws -> Element,
        window: Duration, slide: Duration? = nil, file: String = #fileID, line: UInt = #line
    ) -> DStream {
        let site = OperatorSite("reduceByWindow", file: file, line: line)
        return reducedPanes(site, combine)
            .incremental(site, combine, inverse, checkedWindow(window, slide, site), 1, .hash, nil)
            .derivedValues(site)
    }

    /// Each batch's reduction as a table of one entry; empty batches give none.
    @inlinable
    func reducedPanes(
        _ site: OperatorSite, _ combine: @escaping @Sendable (Element, Element) throws -> Element
    ) -> DStream<(Bool, Element)> {
        let panes = reduce(site, combine)
        return panes.derived(site) { [pipe = panes.pipe] in pipe().map(site) { (true, $0) } }
    }

    /// The values of a table.
    @inlinable
    func derivedValues<Key: Sendable, Value: Sendable>(
        _ site: OperatorSite
    ) -> DStream<Value> where Element == (Key, Value) {
        derived(site) { [pipe] in pipe().map(site) { $0.1 } }
    }

    /// Combines the values of each key over the last `window`, every `slide`.
    ///
    /// - Parameters:
    ///   - combine: associative; called in batch order.
    ///   - window: a positive multiple of this stream's slide.
    ///   - slide: a positive multiple of this stream's slide; nil: that slide.
    ///   - partitions: output partitions, at least 1; nil: the engine's default.
    /// - Complexity: a constant number of merges of tables per slide, whatever the window's length:
    ///   O(keys of the window) and O(values of the batches that enter).
    @inlinable @_disfavoredOverload
    public func reduceByKeyAndWindow<Key: StreamKey, Value: Sendable>(
        @ClosureBody<(Value, Value), Value>
        _ combine: @escaping @Sendable (Value, Value) throws -> Value,
        window: Duration, slide: Duration? = nil, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> DStream where Element == (Key, Value) {
        let site = OperatorSite("reduceByKeyAndWindow", file: file, line: line)
        let panes = reduceByKey(site, partitions, .hash, combine)
        let span = checkedWindow(window, slide, site)
        return panes.aggregated(site, over: span, partitions, .hash, combine)
    }

    /// ``reduceByKeyAndWindow(_:window:slide:partitions:file:line:)`` with the function as a
    /// trailing closure.
    @inlinable
    public func reduceByKeyAndWindow<Key: StreamKey, Value: Sendable>(
        window: Duration, slide: Duration? = nil, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line,
        @ClosureBody<(Value, Value), Value>
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> DStream where Element == (Key, Value) {
        reduceByKeyAndWindow(
            combine, window: window, slide: slide, partitions: partitions, file: file, line: line)
    }

    /// ``reduceByKeyAndWindow(_:window:slide:partitions:file:line:)`` with the user's own placement
    /// of keys.
    @inlinable
    public func reduceByKeyAndWindow<Key: StreamKey, Value: Sendable>(
        @ClosureBody<(Value, Value), Value>
        _ combine: @escaping @Sendable (Value, Value) throws -> Value,
        window: Duration, slide: Duration? = nil, partitioner: some Partitioner<Key>,
        file: String = #fileID, line: UInt = #line
    ) -> DStream where Element == (Key, Value) {
        let site = OperatorSite("reduceByKeyAndWindow", file: file, line: line)
        let count = partitioner.partitionCount
        let panes = reduceByKey(site, count, .custom(partitioner), combine)
        let span = checkedWindow(window, slide, site)
        return panes.aggregated(site, over: span, count, .custom(partitioner), combine)
    }

    /// Keeps the stream's RDDs while a window needs them.
    @usableFromInline
    func keepForWindow() {
        node.settings.withLock { settings in
            if settings.persistLevel == nil { settings.persistLevel = .memoryOnly }
        }
    }

    /// Checks window and slide and records what cannot work.
    @usableFromInline
    func checkedWindow(
        _ window: Duration, _ slide: Duration?, _ site: OperatorSite
    ) -> WindowSpan {
        let slide = slide ?? slideDuration
        let unit = slideDuration
        // One call, one problem, as many of its arguments as are wrong.
        let wrong = [("window", window), ("slide", slide)].filter { _, value in
            value <= .zero || value > DStreamGraph.longestDuration
                || (try? value.isMultiple(of: unit)) != true
        }
        if !wrong.isEmpty {
            let values = wrong.map { "the \($0.0) duration \($0.1.milliseconds) ms" }
            graph.record(
                StreamError(
                    .badWindow,
                    "\(values.joined(separator: " and ")) must be a positive multiple of the slide "
                        + "duration of the parent stream, \(unit.milliseconds) ms, and at most "
                        + "100 years", site: site))
        }
        return WindowSpan(window: window, slide: slide, unit: unit)
    }
}

/// The times of a window.
@usableFromInline
struct WindowSpan: Sendable {
    @usableFromInline let window: Duration
    @usableFromInline let slide: Duration
    @usableFromInline let unit: Duration

    @usableFromInline
    init(window: Duration, slide: Duration, unit: Duration) {
        self.window = window
        self.slide = slide
        self.unit = unit
    }

    /// The oldest batch in the window that ends at `time`.
    @usableFromInline
    func start(of time: BatchTime) -> BatchTime { time - window + unit }

    @usableFromInline
    var traits: StreamNode.Traits {
        var traits = StreamNode.Traits()
        traits.parentRemember = window
        return traits
    }
}

/// The panes' partitions side by side; partitions without anything when there is no pane.
@usableFromInline
func alignedPanes(_ panes: [Plan], _ partitions: Int) -> Plan {
    panes.isEmpty
        ? .source([[PartitionData]](repeating: [], count: max(1, partitions))) : .zip(panes)
}
