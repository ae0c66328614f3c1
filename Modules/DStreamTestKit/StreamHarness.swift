internal import BatchEngine
public import DStreamCore
internal import ProcessEngine
public import StreamingContext
internal import Synchronization

/// Runs a pipeline batch by batch on a manual clock: input batches in, output batches out.
///
/// ```swift
/// let harness = StreamHarness()
/// let lines = harness.input([["a b"], ["b"]])
/// let counts = harness.record(lines.flatMap { $0.words() }.map { ($0, 1) }.reduceByKey(+))
/// try await harness.run(batches: 2)
/// #expect(counts.batches.map(\.elements.count) == [2, 1])
/// ```
///
/// Every batch has ended, and its metadata been cleared, before the clock moves on.
public final class StreamHarness: Sendable {
    /// The context under test.
    public let ssc: StreamingContext
    /// The clock it runs on.
    public let clock: ManualClock
    /// What its listeners were told.
    public let listener: RecordingListener

    /// Makes a context on a manual clock, with two engine threads.
    ///
    /// - Parameters:
    ///   - batchInterval: the time between batches.
    ///   - startTime: what the clock says when the context starts.
    ///   - engine: what runs the work.
    ///   - configuration: the context's configuration.
    ///   - components: the context's parts; clock and standard output are the harness's.
    public init(
        batchInterval: Duration = .seconds(1), startTime: BatchTime = .zero,
        engine: StreamingContext.EngineSelection = StreamHarness.usualEngine,
        configuration: StreamingContext.Configuration = StreamingContext.Configuration(),
        components: StreamingContext.Components = StreamHarness.quietComponents,
        standardOutput: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        let clock = ManualClock(now: startTime)
        self.clock = clock
        listener = RecordingListener()
        var components = components
        components.clock = clock
        components.standardOutput = standardOutput
        ssc = StreamingContext(
            appName: "harness", batchInterval: batchInterval, engine: engine,
            configuration: configuration, components: components)
        ssc.addStreamingListener(listener)
    }

    /// Two engine threads; with `DSTREAMS_TEST_ENGINE=loopback` in the environment two workers in
    /// this process instead, to and from which everything goes as bytes.
    public static var usualEngine: StreamingContext.EngineSelection {
        guard let name = ProcessEnvironment["DSTREAMS_TEST_ENGINE"] else { return .local(slots: 2) }
        precondition(name == "loopback", "DSTREAMS_TEST_ENGINE is \(name), not loopback")
        return .made {
            var configuration = ProcessEngine.Configuration(workers: 2)
            configuration.isLoopback = true
            return ProcessEngine(configuration)
        }
    }

    /// The usual parts, without diagnostics on the standard error.
    public static var quietComponents: StreamingContext.Components {
        var components = StreamingContext.Components()
        components.logger = SilentDiagnosticLogger()
        return components
    }

    /// An input stream that gives `batches`, one per batch.
    ///
    /// Nil stands for no RDD; later batches are empty.
    ///
    /// - Parameter partitions: partitions of each RDD, cut as Spark cuts.
    public func input<Element: Sendable>(
        _ batches: [[Element]?], partitions: Int = 2, file: String = #fileID, line: UInt = #line
    ) -> DStream<Element> {
        let interval = ssc.batchInterval.milliseconds
        let graph = ssc.graph
        let site = OperatorSite("input", file: file, line: line)
        return graph.computedStream(site, givesOnce: false) { _, time, context in
            let zero = graph.zeroTime?.milliseconds ?? 0
            let index = Int((time.milliseconds - zero) / interval) - 1
            guard index < batches.count else {
                return context.batch.parallelize([], partitions: partitions)
            }
            return batches[index].map {
                context.batch.parallelize($0, partitions: partitions)
            }
        }
    }

    /// Records what `stream` puts out.
    public func record<Element: Sendable>(
        _ stream: DStream<Element>, file: String = #fileID, line: UInt = #line
    ) -> OutputRecorder<Element> {
        let recorder = OutputRecorder<Element>()
        stream.foreachRDD(file: file, line: line) { rdd, time in
            recorder.append(time, try await rdd.collectPartitions())
        }
        return recorder
    }

    /// Starts, runs so many batches, and stops.
    ///
    /// - Throws: what `start()` throws; errors of batches are in ``errors``.
    public func run(batches: Int) async throws {
        try await ssc.start()
        for _ in 0..<batches { await advance() }
        await ssc.stop()
    }

    /// Moves the clock by one batch interval and waits until that batch has ended.
    public func advance() async {
        let interval = ssc.batchInterval
        let next = clock.now + interval
        let zero = ssc.graph.zeroTime ?? .zero
        let offset = (next - zero).milliseconds / interval.milliseconds
        let batch = zero + interval * Int(offset)
        clock.advance(by: interval)
        // Nothing is generated any more after a failure under `.stop`.
        if ssc.configuration.failurePolicy == .stop, !ssc.reportedErrors.isEmpty { return }
        await listener.batchSettled(batch)
    }

    /// The errors reported so far, in order.
    public var errors: [StreamError] { ssc.reportedErrors }
}

/// What an output operation saw, batch by batch.
public final class OutputRecorder<Element: Sendable>: Sendable {
    /// One call of the output operation.
    public struct Batch: Sendable {
        /// The batch time.
        public let time: BatchTime
        /// The elements, one array per partition.
        public let partitions: [[Element]]
        /// All elements in partition order.
        public var elements: [Element] { Array(partitions.joined()) }
    }

    private let state = Locked<[Batch]>([])

    init() {}

    func append(_ time: BatchTime, _ partitions: [[Element]]) {
        state.withLock { $0.append(Batch(time: time, partitions: partitions)) }
    }

    /// The calls so far, in order.
    public var batches: [Batch] { state.withLock { $0 } }
}
