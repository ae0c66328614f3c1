internal import BatchEngine
internal import DStreamCore
internal import FaultTolerance
internal import JobGeneration
internal import ReceiverRuntime

/// What runs while a context is active: tracker, scheduler and generator, wired together.
struct Runtime: Sendable {
    let tracker: ReceiverTracker
    let scheduler: JobScheduler
    let generator: JobGenerator
    /// Where checkpoints go; nil: nowhere.
    let checkpointStore: NamingCheckpointStore?
    let grid: BatchAlignment
    let firstBatch: BatchTime
    /// What an earlier run left; nil: this is the first one.
    let earlier: CheckpointRecord?
    /// The batches of the earlier run that run again, ascending.
    var rerun: [BatchTime] = []
    let stopRequest = OneShot<StopRequest>()
    let stopReport = OneShot<StreamingContext.StopReport>()
    private let engine: any ExecutionEngine
    private let clock: any StreamClock
    private let appName: String
    private let contextID: ObjectIdentifier
    private let streamIDs: [StreamID]
    private let listeners: ListenerBus
    private let logger: any DiagnosticLogger
    private let report: @Sendable (StreamError) -> Void

    /// How to stop.
    struct StopRequest: Sendable {
        /// Whether everything received is processed first.
        let isGraceful: Bool
        /// How long that may take.
        let limit: Duration
        /// How long what was cancelled has to end before it is abandoned.
        let grace: Duration
    }

    /// Builds the parts.
    ///
    /// - Throws: ``StreamError`` or ``ReceiverError`` for a configuration that cannot work.
    init(
        _ context: StreamingContext, _ receivers: [ReceiverRegistration], zeroTime: BatchTime,
        _ checkpoints: StreamingContext.Checkpoints?, _ logs: ReceiverLogs?,
        _ deadLetters: (any DeadLetterStore)?
    ) throws {
        earlier = checkpoints?.found?.record
        var batch = context.batchContext
        if let parallelism = earlier?.parallelism, parallelism > 0 {
            // State lies in as many partitions; another number counts from an empty directory on.
            batch.defaultParallelism = parallelism
        }
        let configuration = context.configuration
        engine = context.batchContext.engine
        clock = context.components.clock
        appName = context.appName
        contextID = ObjectIdentifier(context)
        streamIDs = receivers.map(\.streamID)
        listeners = context.listeners
        logger = context.components.logger
        let graph = MarkedGraph(
            graph: context.graph, contextID: contextID, deadLetters: deadLetters,
            restart: earlier.map { max(context.components.clock.now, $0.time + $0.batchInterval) })
        let report: @Sendable (StreamError) -> Void = { [weak context] error in
            context?.report(error)
        }
        self.report = report
        tracker = try ReceiverTracker(
            receivers: receivers,
            configuration: configuration.receiver(batchInterval: context.batchInterval),
            engine: engine, clock: clock, bus: context.listeners, log: logs?.events,
            makeHandler: { [engine, clock, own = context.components.makeReceivedBlockHandler] in
                logs?.handler($0, $1, $2, engine, clock) ?? own?($0, $1, $2)
                    ?? BlockStoreHandler(streamID: $0, engine: engine, level: $1, codec: $2)
            })
        var backPressure: BackPressure?
        if configuration.backpressure.isEnabled {
            backPressure = BackPressure(
                estimators: try Self.estimators(of: context, receivers.map(\.streamID)),
                initialRate: configuration.backpressure.initialRate, controller: tracker)
        }
        scheduler = JobScheduler(
            JobScheduler.Configuration(
                concurrentJobs: configuration.concurrentJobs,
                failurePolicy: configuration.failurePolicy), clock: clock,
            listeners: context.listeners, backPressure: backPressure, deadLetters: deadLetters,
            errorSink: report)
        var generation = JobGenerator.Configuration(
            appName: context.appName, failurePolicy: configuration.failurePolicy,
            lateBatches: configuration.lateBatches,
            maxQueuedBatches: configuration.maxQueuedBatches)
        generation.checkpointSpacing = configuration.checkpointSpacing
        generation.settings = context.recordedSettings
        let letters = (deadLetters as? FileDeadLetterStore).map(KeptLetters.init)
        checkpointStore = checkpoints.map {
            NamingCheckpointStore($0, logs, letters)
        }
        generator = JobGenerator(
            generation, source: graph,
            queue: scheduler, allocator: tracker, inputInfo: InputInfoTracker(),
            batch: batch, choices: logs?.choices,
            checkpointStore: checkpointStore,
            clock: clock, listeners: context.listeners,
            standardOutput: Self.standardOutput(of: context), errorSink: report)
        grid = try BatchAlignment(zeroTime: zeroTime, period: context.batchInterval)
        firstBatch = (earlier?.time ?? zeroTime) + context.batchInterval
    }

    private static func estimators(
        of context: StreamingContext, _ streams: [StreamID]
    ) throws -> [StreamID: any RateEstimator] {
        let pid = RateEstimatorConfiguration.pid(context.configuration.backpressure.pid.estimator)
        let interval = context.batchInterval
        return try streams.reduce(into: [:]) { estimators, stream in
            estimators[stream] =
                try context.components.makeRateEstimator?(stream, interval)
                ?? pid.makeEstimator(batchInterval: interval)
        }
    }

    /// Where `print()` writes; once the standard output is closed, that is logged.
    private static func standardOutput(
        of context: StreamingContext
    ) -> @Sendable (String) -> Void {
        let (appName, components) = (context.appName, context.components)
        return { text in
            components.standardOutput(text)
            guard let problem = ProcessOutput.takeProblem() else { return }
            components.logger.log(
                level: .warning,
                "\(appName): the standard output takes nothing any more, and what print() writes is "
                    + "dropped: \(problem)")
        }
    }

    /// Runs everything until a stop is requested; returning means that all has ended.
    ///
    /// - Parameter onOverdue: called when something does not end although it was abandoned, such as a
    ///   store of the user's that never returns: nobody waits for it any more.
    func run(
        onOverdue: @escaping @Sendable (StreamingContext.StopReport) -> Void
    ) async -> StreamingContext.StopReport {
        let watch = controlWatch
        do { try Watchdog.shared.add(watch) } catch {
            logger.log(level: .warning, "\(appName): nobody looks for stalls: \(error)")
        }
        defer { Watchdog.shared.remove(watch) }
        async let _: Void = watch.run()
        let abandoned = SharedValue<[String]>([])
        var isDrained = false
        var alreadyProcessed: Int?
        await withTaskGroup(of: Void.self) { work in
            work.addTask { await receive() }
            work.addTask { await scheduler.run() }
            work.addTask {
                await generator.run(
                    on: grid, from: firstBatch, rerun: rerun,
                    newestCompleted: earlier?.newestCompleted)
            }
            let request = await stopRequest.value
            if request.isGraceful {
                alreadyProcessed = await processedRecordCount
                isDrained = await drain(within: request.limit)
            }
            if !isDrained {
                generator.stop()
                work.cancelAll()
            }
            // A closure that does not return must not keep the context from ending.
            async let _: Void = giveUp(after: request.grace, abandoned, onOverdue)
            scheduler.stop()
            await tracker.stop(graceful: false)
            await work.waitForAll()
        }
        var report = await stopReport(isDrained: isDrained, abandoned: abandoned.value)
        if let alreadyProcessed {
            report.drainedRecordCount = await processedRecordCount - alreadyProcessed
        }
        // The engine may outlive this context, whose blocks nobody can use any more.
        for block in await tracker.heldBlocks { engine.blockStore.remove(block.id) }
        return report
    }

    /// Looks at the loops that batches go through.
    private var controlWatch: ControlWatch {
        let (tracker, scheduler, generator) = (tracker, scheduler, generator)
        return ControlWatch(
            appName: appName, clock: clock, logger: logger,
            activity: { [listeners] in listeners.activity },
            [
                ControlWatch.Station("the thread of sockets and timers") {
                    await withTaskExecutorPreference(IOThread.shared) { await Task.yield() }
                },
                ControlWatch.Station("the tracker of receivers") { await tracker.pulse() },
                ControlWatch.Station("the generator of batches") { await generator.pulse() },
                ControlWatch.Station("the scheduler of jobs") { await scheduler.pulse() },
                ControlWatch.Station("the group of threads for stores and handlers") {
                    await UserThreads.pulse()
                },
            ])
    }

    private func receive() async {
        do {
            try await StreamingContext.$within.withValue(contextID) { try await tracker.run() }
        } catch {
            report(
                StreamError(
                    .receiverFailed, "the receivers could not be started", underlying: error))
        }
    }

    /// How many records of receivers were in batches that have completed.
    private var processedRecordCount: Int {
        get async {
            let counts = await generator.processedRecordCounts
            return streamIDs.reduce(0) { $0 + (counts[$1] ?? 0) }
        }
    }

    /// Stops receiving and processes everything received; false when the limit has passed.
    private func drain(within limit: Duration) async -> Bool {
        let (clock, tracker, generator) = (clock, tracker, generator)
        let draining = Question {
            await tracker.stop(graceful: true)
            do { try await generator.drain() } catch { return false }
            return true
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await clock.sleep(for: limit) }
            group.addTask { await draining.wait() }
            await group.next()
            group.cancelAll()
        }
        let isDrained = draining.answer ?? false
        draining.cancel()
        await draining.waitBriefly()
        return isDrained
    }

    /// Abandons closures and receivers that do not end within `grace`.
    private func giveUp(
        after grace: Duration, _ abandoned: SharedValue<[String]>,
        _ onOverdue: @Sendable (StreamingContext.StopReport) -> Void
    ) async {
        do {
            try await clock.sleep(for: grace)
            let closures = engine.abandon(
                reason: "\(appName) was stopped and waited for \(grace)")
            UserThreads.replaceThreads()
            abandoned.change { $0 = closures }
            let tracker = tracker
            await Question {
                // Before those who wait for them hear of the end.
                let receivers = await tracker.receivers.filter(\.isActive)
                abandoned.change { $0 = closures + receivers.map { "receiver \($0.name)" } }
                await tracker.abandon()
            }.waitBriefly()
            try await clock.sleep(for: grace)
        } catch {
            return
        }
        let reporting = Question { await stopReport(isDrained: false, abandoned: abandoned.value) }
        await reporting.waitBriefly()
        if Task.isCancelled { return }
        var unknown = StreamingContext.StopReport()
        unknown.abandoned = abandoned.value
        onOverdue(reporting.answer ?? unknown)
    }

    private func stopReport(
        isDrained: Bool, abandoned: [String]
    ) async -> StreamingContext.StopReport {
        var report = StreamingContext.StopReport()
        report.pendingBatches = await generator.pendingBatches
        report.failedBatches = await generator.failedBatches
        report.deadLetterCount = await scheduler.statistics.deadLetters
        report.hasUnallocatedBlocks = await tracker.hasUnallocatedBlocks
        report.undrainedRecordCount = await recordsAtHand(pending: report.pendingBatches)
        report.abandoned = abandoned
        report.isDrainedButFailures =
            isDrained && !report.hasUnallocatedBlocks
            && report.pendingBatches == report.failedBatches
        report.isDrained =
            isDrained && report.pendingBatches.isEmpty && !report.hasUnallocatedBlocks
        return report
    }

    /// How many received records belong to no completed batch.
    private func recordsAtHand(pending: [BatchTime]) async -> Int {
        var count = 0
        for stream in streamIDs {
            var blocks = await tracker.unallocatedBlocks(of: stream)
            for batch in pending {
                blocks += await tracker.blocks(allocatedTo: batch, stream: stream)
            }
            count += blocks.reduce(0) { $0 + $1.recordCount }
        }
        return count
    }

    /// Tells listeners what a graceful stop left, and makes an error of a missed deadline.
    func problem(of report: StreamingContext.StopReport) -> StreamError? {
        guard let request = stopRequest.current, request.isGraceful, !report.isDrained else {
            return nil
        }
        listeners.post(.drainIncomplete(elementCount: report.undrainedRecordCount))
        // Batches that have failed have said so, and no deadline has passed for them.
        if report.isDrainedButFailures { return nil }
        return StreamError(
            .drainIncomplete, "\(appName) was to drain within \(request.limit): \(report)",
            batchTime: report.pendingBatches.first)
    }
}
