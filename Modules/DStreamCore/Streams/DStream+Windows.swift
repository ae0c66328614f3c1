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
    @inlinable
    public func reduceByWindow(
        window: Duration, slide: Duration? = nil, file: String = #fileID, line: UInt = #line,
        _ combine: @escaping @Sendable (Element, Element) throws -> Element
    ) -> DStream {
        let site = OperatorSite("reduceByWindow", file: file, line: line)
        let panes = exchanged(
            site, partitions: 1,
            kernel: { [pipe] id in pipe().foldKernel(id: id, site, combine) },
            pipe: { .folded(site, combine) })
        return panes.overPanes(site, window, slide, partitions: 1) { .folded(site, combine) }
    }

    /// ``reduceByWindow(window:slide:file:line:_:)`` that takes leaving elements out by `inverse`
    /// instead of reducing the whole window again.
    ///
    /// Nothing comes out before the first element ever. Needs a checkpoint directory, as in Spark.
    @inlinable
    public func reduceByWindow(
        _ combine: @escaping @Sendable (Element, Element) throws -> Element,
        inverse: @escaping @Sendable (Element, Element) throws -> Element,
        window: Duration, slide: Duration? = nil, file: String = #fileID, line: UInt = #line
    ) -> DStream {
        map(file: file, line: line) { (1, $0) }
            .reduceByKeyAndWindow(
                combine, inverse: inverse, window: window, slide: slide, partitions: 1, file: file,
                line: line
            )
            .map(file: file, line: line) { $0.1 }
    }

    /// Combines the values of each key over the last `window`, every `slide`.
    ///
    /// - Parameters:
    ///   - window: a positive multiple of this stream's slide.
    ///   - slide: a positive multiple of this stream's slide; nil: that slide.
    ///   - combine: associative; called in batch order.
    @inlinable
    public func reduceByKeyAndWindow<Key: StreamKey, Value: Sendable>(
        window: Duration, slide: Duration? = nil, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line, _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> DStream where Element == (Key, Value) {
        let site = OperatorSite("reduceByKeyAndWindow", file: file, line: line)
        let panes = reduceByKey(site, partitions, .hash, combine)
        return panes.overPanes(site, window, slide, partitions: partitions) {
            .merged(site, combine)
        }
    }

    /// ``reduceByKeyAndWindow(window:slide:partitions:file:line:_:)`` with the user's own placement
    /// of keys.
    @inlinable
    public func reduceByKeyAndWindow<Key: StreamKey, Value: Sendable>(
        window: Duration, slide: Duration? = nil, partitioner: some Partitioner<Key>,
        file: String = #fileID, line: UInt = #line,
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> DStream where Element == (Key, Value) {
        let site = OperatorSite("reduceByKeyAndWindow", file: file, line: line)
        let panes = reduceByKey(site, partitioner.partitionCount, .custom(partitioner), combine)
        return panes.overPanes(site, window, slide, partitions: partitioner.partitionCount) {
            .merged(site, combine)
        }
    }

    /// Reduces what each batch of this stream has kept already, partition by partition.
    @inlinable
    func overPanes(
        _ site: OperatorSite, _ window: Duration, _ slide: Duration?, partitions: Int?,
        _ pipe: @escaping @Sendable () -> Pipe<Element>
    ) -> DStream {
        let span = checkedWindow(window, slide, site)
        keepForWindow()
        return DStream(
            graph, site, parents: [node], slide: span.slide, traits: span.traits, pipe: pipe,
            compute: { [node] _, time, context in
                let panes = try await node.plans(
                    from: span.start(of: time), through: time, context)
                let count = partitions ?? context.batch.defaultParallelism
                return alignedPanes(panes.map(\.plan), count)
            })
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
            value <= .zero || (try? value.isMultiple(of: unit)) != true
        }
        if !wrong.isEmpty {
            let values = wrong.map { "the \($0.0) duration \($0.1.milliseconds) ms" }
            graph.record(
                StreamError(
                    .badWindow,
                    "\(values.joined(separator: " and ")) must be a positive multiple of the slide "
                        + "duration of the parent stream, \(unit.milliseconds) ms", site: site))
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
