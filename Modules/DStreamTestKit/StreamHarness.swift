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
/// Every batch has ended, and its metadata been cleared, before the clock moves on. Batches shorter
/// than the configured `checkpointSpacing` have checkpoints of their own here, too.
public final class StreamHarness: Sendable {
    /// The context under test.
    public let ssc: StreamingContext
    /// The clock it runs on.
    public let clock: ManualClock
    /// What its listeners were told.
    public let listener: RecordingListener
    private let startTime: BatchTime

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
        self.startTime = startTime
        var components = components
        components.clock = clock
        components.standardOutput = standardOutput
        var configuration = configuration
        // Else the end of a batch would wait for a later one, which the clock has to reach.
        if configuration.checkpointSpacing > batchInterval {
            configuration.checkpointSpacing = .zero
        }
        ssc = StreamingContext(
            appName: "harness", batchInterval: batchInterval, engine: engine,
            configuration: configuration, components: components)
        listener = RecordingListener(of: ssc)
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
    /// Nil stands for no RDD; later batches are empty. An earlier batch fails: after a recovery, those
    /// that had not completed run again, and those missed while the program was down run late. Give
    /// such a run the input of all runs, with the first batch of the first run.
    ///
    /// - Parameters:
    ///   - first: the time of the batch that gets the first of `batches`; nil: of the first one that
    ///     is due after the harness's start time.
    ///   - partitions: partitions of each RDD, cut as Spark cuts.
    public func input<Element: Sendable>(
        _ batches: [[Element]?], from first: BatchTime? = nil, partitions: Int = 2,
        file: String = #fileID, line: UInt = #line
    ) -> DStream<Element> {
        let site = OperatorSite("input", file: file, line: line)
        let (interval, startTime) = (ssc.batchInterval, startTime)
        return ssc.graph.computedStream(site, givesOnce: false) { [weak ssc] _, time, context in
            // The context is there while its batches are made.
            let earliest = try first ?? ssc?.firstBatch(ofRunFrom: startTime) ?? time
            guard time >= earliest else {
                throw StreamError(
                    .badDeclaration,
                    "batch \(time) comes before \(earliest), the first that the input of the harness "
                        + "has elements for; give it those of all runs, and say "
                        + "input(_:from:) with the first batch of the first run",
                    site: site)
            }
            let index = Int((time - earliest).milliseconds / interval.milliseconds)
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

    /// Starts, runs so many batches, and stops, also when something fails.
    ///
    /// Failures after which later batches run, under `.continue` and `.deadLetter`, are not thrown:
    /// they are in ``errors`` and events.
    ///
    /// - Throws: what `start()` and ``advance()`` throw.
    public func run(batches: Int) async throws {
        try await ssc.start()
        do {
            for _ in 0..<batches { try await advance() }
        } catch {
            await ssc.stop()
            throw error
        }
        await ssc.stop()
    }

    /// Moves the clock by one batch interval and waits until that batch has ended.
    ///
    /// An output that is retried after a wait, or a receiver that is, waits for the clock: move
    /// ``clock`` in a task beside this one.
    ///
    /// - Throws: `StreamError` when the batch, or anything else, has failed so that no later batch
    ///   runs. ``WaitError`` when the batch cannot come, because the context was not started, was
    ///   stopped or has failed before, and when a checkpoint could not be written; the batch has ended
    ///   then. `CancellationError`.
    public func advance() async throws {
        let batch = try nextBatch()
        clock.advance(by: ssc.batchInterval)
        try await listener.batchSettled(batch)
        if let failure = listener.failure { throw failure }
        if let (time, message) = listener.takeCheckpointFailure() {
            throw WaitError(.checkpointFailed, awaited: "the checkpoint of batch \(time)", message)
        }
    }

    /// The batch that is due when the clock has moved by an interval.
    ///
    /// - Throws: ``WaitError`` when it cannot come.
    private func nextBatch() throws -> BatchTime {
        switch ssc.state {
        case .initialized:
            throw WaitError(
                .notStarted, awaited: "the next batch",
                "the context was not started; call start() on the harness's ssc before")
        case .stopped:
            throw WaitError(
                .stopped, awaited: "the next batch", "the context was stopped",
                underlying: listener.failure)
        case .active: break
        }
        let batch = try ssc.firstBatch(after: clock.now)
        // One that has failed already when it ran again at the start has its failure thrown.
        if let failure = listener.failure, (failure as? StreamError)?.batchTime != batch {
            throw WaitError(
                .streamFailed, awaited: "the end of batch \(batch)",
                "no batch runs after a failure", underlying: failure)
        }
        guard ssc.hasBatch(batch) else {
            throw WaitError(
                .notDue, awaited: "the end of batch \(batch)",
                "the checkpoint that this run resumes from has later ones; give the harness the "
                    + "start time at which the run before has ended")
        }
        return batch
    }

    /// The errors reported so far, in order.
    public var errors: [StreamError] { ssc.reportedErrors }
}

extension StreamingContext {
    fileprivate func firstBatch(after time: BatchTime) throws -> BatchTime {
        try BatchAlignment(zeroTime: graph.zeroTime ?? .zero, period: batchInterval)
            .firstTime(after: time)
    }

    /// The first batch that no earlier run has had due.
    fileprivate func firstBatch(ofRunFrom startTime: BatchTime) throws -> BatchTime {
        // The clock may have been moved before the start.
        try firstBatch(after: isRecovered ? startTime : graph.zeroTime ?? startTime)
    }
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
