internal import BatchEngine
internal import DStreamCore
internal import FaultTolerance
internal import JobGeneration
internal import ReceiverRuntime
internal import Synchronization

/// What runs while a context is active: tracker, scheduler and generator, wired together.
struct Runtime: Sendable {
    let tracker: ReceiverTracker
    let scheduler: JobScheduler
    let generator: JobGenerator
    let grid: BatchAlignment
    let firstBatch: BatchTime
    let stopRequest = OneShot<StopRequest>()
    let stopReport = OneShot<StreamingContext.StopReport>()
    private let engine: any ExecutionEngine
    private let clock: any StreamClock
    private let appName: String

    /// How to stop.
    struct StopRequest: Sendable {
        let graceful: Bool
        let limit: Duration
    }

    /// Builds the parts.
    ///
    /// - Throws: ``StreamError`` or ``ReceiverError`` for a configuration that cannot work.
    init(_ context: StreamingContext, zeroTime: BatchTime) throws {
        let configuration = context.configuration
        engine = context.batchContext.engine
        clock = context.components.clock
        appName = context.appName
        let report: @Sendable (StreamError) -> Void = { [weak context] error in
            context?.report(error)
        }
        var makeHandler: ReceiverRegistration.MakeHandler?
        if let handler = context.components.receivedBlockHandler {
            makeHandler = { _, _, _ in handler }
        }
        tracker = try ReceiverTracker(
            receivers: context.registrations.withLock { $0 },
            configuration: configuration.receiver(batchInterval: context.batchInterval),
            engine: context.batchContext.engine, clock: clock, bus: context.listeners,
            makeHandler: makeHandler)
        var backPressure: BackPressure?
        if configuration.backpressure.isEnabled {
            backPressure = try BackPressure(
                streams: context.registrations.withLock { $0.map(\.streamID) },
                estimator: .pid(configuration.backpressure.pid),
                batchInterval: context.batchInterval,
                initialRate: configuration.backpressure.initialRate, controller: tracker)
        }
        scheduler = JobScheduler(
            JobScheduler.Configuration(
                concurrentJobs: configuration.concurrentJobs,
                failurePolicy: configuration.failurePolicy), clock: clock,
            listeners: context.listeners, backPressure: backPressure, errorSink: report)
        generator = JobGenerator(
            JobGenerator.Configuration(
                appName: context.appName, failurePolicy: configuration.failurePolicy,
                lateBatches: configuration.lateBatches,
                maxQueuedBatches: configuration.queuedBatchMaximum), source: context.graph,
            queue: scheduler, allocator: tracker, inputInfo: InputInfoTracker(),
            batch: context.batchContext, checkpointStore: context.checkpointStore(),
            clock: clock, listeners: context.listeners,
            standardOutput: context.components.standardOutput, errorSink: report)
        grid = try BatchAlignment(zeroTime: zeroTime, period: context.batchInterval)
        firstBatch = zeroTime + context.batchInterval
    }

    /// Runs everything until a stop is requested; returning means that all has ended.
    func run(report: @escaping @Sendable (StreamError) -> Void) async {
        var result = StreamingContext.StopReport()
        let abandoned = SharedValue<[String]>([])
        await withTaskGroup(of: Void.self) { work in
            work.addTask {
                do { try await tracker.run() } catch {
                    report(
                        StreamError(
                            .receiverFailed, "the receivers could not be started",
                            underlying: error))
                }
            }
            work.addTask { await scheduler.run() }
            work.addTask { await generator.run(on: grid, from: firstBatch) }
            let request = await stopRequest.value
            if request.graceful { result.isDrained = await drain(within: request.limit) }
            if !result.isDrained {
                try? await generator.stop(graceful: false)
                work.cancelAll()
            }
            // A closure that does not return must not keep the context from ending.
            async let _: Void = giveUp(after: request.limit) { what in
                abandoned.change { $0 = what }
            }
            scheduler.stop()
            await tracker.stop(graceful: false)
            await work.waitForAll()
        }
        result.abandoned = abandoned.value
        result.pendingBatches = await generator.pendingBatches
        result.hasUnallocatedBlocks = await tracker.hasUnallocatedBlocks
        result.isDrained =
            result.isDrained && result.pendingBatches.isEmpty && !result.hasUnallocatedBlocks
        stopReport.set(result)
    }

    /// Stops receiving and processes everything received; false when the limit has passed.
    private func drain(within limit: Duration) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await tracker.stop(graceful: true)
                do { try await generator.drain(.now) } catch { return false }
                return true
            }
            group.addTask {
                // Cancelled when the draining was faster.
                try? await clock.sleep(for: limit)
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }

    private func giveUp(
        after limit: Duration, _ note: @escaping @Sendable ([String]) -> Void
    ) async {
        do { try await clock.sleep(for: limit) } catch { return }
        note(engine.abandon(reason: "the stop of \(appName) took longer than \(limit)"))
    }
}
