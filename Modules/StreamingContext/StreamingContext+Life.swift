internal import BatchEngine
public import DStreamCore
internal import FaultTolerance
internal import JobGeneration
internal import ReceiverRuntime
internal import Synchronization

extension StreamingContext {
    /// What a stop achieved.
    public struct StopReport: Sendable, CustomStringConvertible {
        /// Whether everything received was processed; false also when that was not asked for.
        public var isDrained = false
        /// Whether the stop was only asked for, from within the context, and goes on.
        public var isUnderWay = false
        /// Batches generated or allocated and not completed.
        public var pendingBatches: [BatchTime] = []
        /// Received records of the batches that have completed since a graceful stop was asked for.
        public var drainedRecordCount = 0
        /// Records that were received and belong to no completed batch.
        public var undrainedRecordCount = 0
        /// Closures and receivers that did not return in time: a body by its output operation, a
        /// task by its partition and the operator with which its stage ends.
        public var abandoned: [String] = []
        /// Batches that have failed and are pending: a restart runs them again.
        ///
        /// Their errors are in ``StreamingContext/reportedErrors``.
        public var failedBatches: [BatchTime] = []
        /// How many failures of output operations are kept as dead letters, to be replayed.
        public var deadLetterCount = 0

        /// Whether nothing but failed batches kept the stop from processing everything.
        var isDrainedButFailures = false

        /// Whether blocks were received that belong to no batch.
        public var hasUnallocatedBlocks = false

        /// The report in words.
        public var description: String {
            if isUnderWay { return "stopping" }
            var parts: [String] = []
            if isDrained {
                parts.append(
                    drainedRecordCount == 0
                        ? "drained" : "drained, \(drainedRecordCount) records at last")
            } else {
                parts.append("stopped without draining")
                if drainedRecordCount > 0 {
                    parts.append("\(drainedRecordCount) records were processed at last")
                }
            }
            if !pendingBatches.isEmpty { parts.append("\(pendingBatches.count) batches pending") }
            if !failedBatches.isEmpty {
                let shown = failedBatches.prefix(10).map { "\($0)" }.joined(separator: ", ")
                let more = failedBatches.count > 10 ? ", …" : ""
                parts.append("\(failedBatches.count) of them have failed: \(shown)\(more)")
            }
            if deadLetterCount > 0 { parts.append("\(deadLetterCount) dead letters") }
            if undrainedRecordCount > 0 {
                parts.append("\(undrainedRecordCount) received records were not processed")
            }
            parts += abandoned.map { "abandoned: \($0)" }
            return parts.joined(separator: "; ")
        }
    }

    /// Starts receiving and processing.
    ///
    /// A call while active does nothing; one that comes while another starts has its outcome.
    ///
    /// - Throws: ``DStreamCore/StreamError``: every bad declaration and setting together; the
    ///   context is stopped then. `.alreadyStopped` after a stop.
    public func start() async throws {
        let claim = OneShot<(any Error)?>()
        switch claimStart(claim) {
        case .initialized: break
        case .starting(let other):
            if let error = await other.value { throw error }
            return
        case .active: return
        case .stopped:
            throw StreamError(
                .alreadyStopped, "the StreamingContext has been stopped; make a new one")
        }
        let runtime: Runtime
        do {
            runtime = try await makeRuntime()
        } catch {
            life.withLock { $0 = .stopped(StopReport()) }
            await graph.closeSinks()
            await closeCheckpoints()
            close()
            termination.fail(error)
            termination.end()
            claim.set(error)
            throw error
        }
        life.withLock { $0 = .active(runtime) }
        ActiveContexts.add(self)
        listeners.post(.streamingStarted(components.clock.now))
        // The one unstructured task: it owns everything that runs, and stop() ends it.
        Task { [self] in await keepRunning(runtime) }
        claim.set(nil)
    }

    /// Starts, waits for the end, and stops: when it returns, everything has ended.
    ///
    /// Failures after which later batches go on, under ``DStreamCore/FailurePolicy/continue`` and
    /// ``DStreamCore/FailurePolicy/deadLetter``, do not end it: they are reported to listeners and
    /// logged, and are in ``reportedErrors``.
    ///
    /// ## Cancellation
    /// Cancelling the task stops the context, gracefully when the configuration says so.
    ///
    /// - Throws: what ``start()`` throws; the first error after which no later batch runs.
    public func run() async throws {
        try await start()
        do {
            try await termination.halt.wait()
        } catch {
            let isCancelled = error is CancellationError
            await stop(graceful: isCancelled && configuration.stopsGracefullyOnShutdown)
            throw error
        }
    }

    /// Waits until the context is stopped, or something fails, as in Spark.
    ///
    /// Under ``DStreamCore/FailurePolicy/continue`` this throws at the first batch that fails, though
    /// later ones go on; ``run()`` and ``runUntilInterrupted()`` wait on.
    ///
    /// - Throws: the first error of a batch, a receiver's set-up or a late declaration, after which
    ///   ``run()`` waits on as well. The context stays as it is: stop it.
    public func awaitTermination() async throws { try await termination.first.wait() }

    /// Waits until the context is stopped, but no longer than `timeout` on the context's clock.
    ///
    /// - Parameter timeout: zero or less only looks.
    /// - Returns: whether it was stopped.
    /// - Throws: as ``awaitTermination()``.
    public func awaitTermination(timeout: Duration) async throws -> Bool {
        if let outcome = termination.first.outcome {
            try outcome.get()
            return true
        }
        try Task.checkCancellation()
        if timeout <= .zero { return false }
        let clock = components.clock
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask { [termination] in
                try await termination.first.wait()
                return true
            }
            group.addTask {
                try await clock.sleep(for: timeout)
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }

    /// Notifies `observer` of the error after which no later batch runs, and of the end.
    ///
    /// It is called at once for what has been before, may be called several times, and must not block.
    package func onEnding(
        _ observer: @escaping @Sendable (_ failure: (any Error)?, _ hasEnded: Bool) -> Void
    ) {
        termination.observe(observer)
        guard let outcome = termination.halt.outcome else { return }
        var failure: (any Error)?
        do { try outcome.get() } catch { failure = error }
        observer(failure, state == .stopped)
    }

    /// Whether a batch is one of this run, which is active; false for those that an earlier one has
    /// completed.
    package func hasBatch(_ batch: BatchTime) -> Bool {
        guard case .active(let runtime) = life.withLock({ $0 }) else { return false }
        return batch >= runtime.firstBatch || runtime.rerun.contains(batch)
    }

    /// Starts, and stops gracefully when the process is told to end (SIGINT, SIGTERM); when something
    /// fails after which no later batch runs, it stops at once.
    ///
    /// Failures after which later batches go on, under ``DStreamCore/FailurePolicy/continue`` and
    /// ``DStreamCore/FailurePolicy/deadLetter``, do not end it: they are reported to listeners and
    /// logged, and the report says how many there were.
    ///
    /// Only one context of a process can be run this way at a time. The signals have their usual
    /// effect again while it drains, so that a second one ends the process.
    ///
    /// - Throws: what ``start()`` throws; the first error after which no later batch runs.
    @discardableResult
    public func runUntilInterrupted() async throws -> StopReport {
        let failure = try await startAndAwaitInterrupt()
        let report = await stop(graceful: failure == nil)
        if let failure { throw failure }
        return report
    }

    /// Returns when a signal has come, or with what has failed before.
    private func startAndAwaitInterrupt() async throws -> (any Error)? {
        let signals = try SignalWaiter()
        try await start()
        return await withTaskGroup(of: (any Error)?.self) { group in
            group.addTask { [self] in
                do { try await termination.halt.wait() } catch { return error }
                return nil
            }
            group.addTask {
                _ = try? await signals.next()
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    /// Stops the context, in whatever state it is; a call during or after another stop has the
    /// outcome of that one, whatever it asks for.
    ///
    /// Called from within the context - in the body of an output operation or of `transform`, in a
    /// receiver, or in a task made there - it only asks for the stop and returns at once, because
    /// waiting for the end would be waiting for itself: the report says ``StopReport/isUnderWay``.
    /// ``awaitTermination()`` tells the end then.
    ///
    /// - Parameters:
    ///   - graceful: whether everything received is processed first.
    ///   - deadline: how long that may take on the context's clock; nil: as configured, or ten
    ///     batch intervals. Then whatever still runs is cancelled, and what does not end within a
    ///     second more (or the deadline, if that is shorter) is abandoned. A stop that is not
    ///     graceful cancels at once and abandons at the deadline, by default after a second at
    ///     least. What was not drained and what was abandoned is reported; an engine that was
    ///     abandoned takes no further work.
    @discardableResult
    public func stop(graceful: Bool = false, deadline: Duration? = nil) async -> StopReport {
        while true {
            switch claimStop() {
            case .initialized:
                // A checkpoint directory is had from `getOrCreate` on.
                await closeCheckpoints()
                close()
                termination.end()
                return StopReport()
            case .starting(let outcome): _ = await outcome.value
            case .active(let runtime):
                runtime.stopRequest.set(stopRequest(graceful: graceful, deadline: deadline))
                if Self.within == ObjectIdentifier(self) { return StopReport(isUnderWay: true) }
                return await runtime.stopReport.value
            case .stopped(let report): return report
            }
        }
    }
}

extension StreamingContext {
    /// The context whose work the current task does.
    @TaskLocal static var within: ObjectIdentifier?

    /// Where the context is; from now on starting, if it was not started yet.
    func claimStart(_ claim: OneShot<(any Error)?>) -> Life {
        life.withLock { life in
            let before = life
            if case .initialized = life { life = .starting(claim) }
            return before
        }
    }

    /// Where the context is; from now on stopped, if it was not started yet.
    private func claimStop() -> Life {
        life.withLock { life in
            let before = life
            if case .initialized = life { life = .stopped(StopReport()) }
            return before
        }
    }

    private func stopRequest(graceful: Bool, deadline: Duration?) -> Runtime.StopRequest {
        let usual = configuration.gracefulStopTimeout ?? max(batchInterval * 10, .seconds(10))
        let limit = deadline ?? usual
        let grace =
            graceful ? min(limit, .seconds(1)) : deadline ?? max(usual, .seconds(1))
        return Runtime.StopRequest(isGraceful: graceful, limit: limit, grace: grace)
    }

    /// Notes what is wrong with configuration and inputs; gives the inputs.
    @discardableResult
    func recordProblems(hasDirectory: Bool) -> [Registration] {
        let registrations = registrations.withLock { $0 }
        for problem in configuration.problems(batchInterval: batchInterval) {
            graph.record(problem)
        }
        for registration in registrations {
            do { try registration.receiver.validate() } catch {
                let code =
                    error.code == .codecMissing ? StreamError.Code.codecMissing : .badDeclaration
                // Its declaration may have said so already.
                if code == .codecMissing || !graph.hasProblem(at: registration.site) {
                    graph.record(StreamError(code, error.message, site: registration.site))
                }
            }
            let problem = registration.protectionProblem(
                hasDirectory: hasDirectory,
                hasOwnHandler: components.makeReceivedBlockHandler != nil,
                batchContext.engine.capabilities)
            if let problem { graph.record(problem) }
            if let problem = registration.placementProblem(on: batchContext.engine) {
                graph.record(problem)
            }
        }
        recordThreadProblem(registrations)
        recordUnknownLosses(registrations)
        return registrations
    }

    /// Notes that more receivers are to have a thread of their own than may.
    private func recordThreadProblem(_ registrations: [Registration]) {
        let engine = batchContext.engine
        let threads = registrations.filter { $0.receiver(on: engine).hasThread }
        let problem = configuration.receiver.threadProblem(of: threads.map(\.receiver))
        guard let problem else { return }
        let first = threads[configuration.receiver.maxReceiverThreads]
        graph.record(StreamError(.badConfiguration, problem.message, site: first.site))
    }

    /// Sees to the thread without which nothing runs, and that an output which ends does not end the
    /// process.
    private func prepareProcess() throws {
        ProcessOutput.ignoreBrokenPipes()
        do { try IOThread.shared.prepare() } catch {
            throw StreamError(.engineUnusable, "\(error)", underlying: error)
        }
    }

    /// Validates everything and builds the runtime.
    private func makeRuntime() async throws -> Runtime {
        endUnlessRunning()
        try prepareProcess()
        let hasDirectory = checkpointDirectory.withLock { $0 } != nil
        let registrations = recordProblems(hasDirectory: hasDirectory)
        let now = components.clock.now
        let interval = max(1, batchInterval.milliseconds)
        // Rounded down also before 1970.
        let remainder = now.milliseconds % interval
        let offset = remainder < 0 ? remainder + interval : remainder
        let deadLetters = await prepareDeadLetters()
        let checkpoints = try await openCheckpoints()
        if checkpoints != nil, checkpoints?.found == nil,
            let directory = checkpointDirectory.withLock({ $0 })
        {
            try await refuseMissingCheckpoints(in: directory)
        }
        let zeroTime =
            checkpoints?.found?.record.zeroTime
            ?? BatchTime(milliseconds: now.milliseconds - offset)
        if checkpoints != nil { graph.expectCheckpoints() }
        try graph.start(zeroTime: zeroTime)
        try await prepareEngine()
        if checkpoints != nil { graph.prepareCapture() }
        if let found = checkpoints?.found {
            try await restore(found, from: checkpointDirectory.withLock { $0 })
            warnOfClock(now, behind: found.record.time)
        }
        let record = checkpoints?.found?.record
        try await graph.beginFileInputs(on: batchContext.engine)
        let committed = try await graph.openSinks(on: batchContext.engine, from: record)
        let logs = try await openLogs(registrations, record)
        if hasDirectory { warnOfInputsGivenOnce() }
        if let record { try checkInputs(of: record, logs, registrations) }
        var runtime = try Runtime(
            self, registrations.map { $0.receiver(on: batchContext.engine) }, zeroTime: zeroTime,
            checkpoints, logs, deadLetters)
        // What is removed from now on is missed by the next start.
        _ = await runtime.checkpointStore?.letters?.settings()
        try await recover(runtime.tracker, logs, record, committed: committed)
        if let checkpoints, checkpoints.found == nil {
            // The checkpoint of what is left here was taken away.
            await runtime.tracker.takeBackAllocations()
            try await logs?.choices?.release(before: BatchTime(milliseconds: .max))
        }
        if let record {
            runtime.rerun = record.pendingBatches
            if configuration.lateBatches == .skip {
                // What was begun is not skipped: a sink may hold it already.
                let allocated = await runtime.tracker.allocatedBatches(after: record.time)
                let chosen = logs?.choices?.batches(after: record.time) ?? []
                runtime.rerun += allocated.union(chosen).sorted()
                await warnOfReleased(runtime.rerun, record, runtime.tracker)
            } else {
                let next = record.time + batchInterval
                await warnOfReleased(runtime.rerun + [next], record, runtime.tracker)
            }
        }
        warnOfLost(try await restoreBlocks(runtime.tracker, pending: runtime.rerun))
        graph.prepareReading(runtime.generator.generationContext)
        if let store = runtime.checkpointStore, checkpoints?.found == nil {
            try await writeFirst(store, zeroTime, runtime.generator.generationContext)
        }
        return runtime
    }

    /// Refuses batches that would run again without their input, and reports what they lack.
    private func checkInputs(
        of record: CheckpointRecord, _ logs: ReceiverLogs?, _ registrations: [Registration]
    ) throws {
        if let choices = logs?.choices {
            let inputs = try PendingInputs.inputs(in: choices.all, record)
            try graph.refuseMovedInputs(Set(inputs.map(\.stream)), since: record)
            try checkRepeatedInputs(inputs, in: checkpointDirectory.withLock { $0 } ?? "")
            reportForgotten(inputs)
        }
        if logs?.events == nil { warnOfUnloggedReceivers(registrations, record) }
    }

    private func warnOfClock(_ now: BatchTime, behind newest: BatchTime) {
        // The last batch of a graceful stop lies up to one interval ahead.
        guard newest - now > batchInterval else { return }
        components.logger.log(
            level: .warning,
            "\(appName): the clock is at \(now), before the latest batch of the checkpoint, "
                + "\(newest): no new batch comes for \((newest - now).prettyPrint()), until the "
                + "clock is past it; was it set back?")
    }

    /// Says which batches run again without what receivers had given them: where several of the
    /// newest checkpoints cannot be read, the one that counts does not say that they had completed.
    ///
    /// - Parameter again: the first of them; blocks are released in the order of batches.
    private func warnOfReleased(
        _ again: [BatchTime], _ record: CheckpointRecord, _ tracker: ReceiverTracker
    ) async {
        guard let first = await tracker.firstReleased(of: again) else { return }
        let directory = checkpointDirectory.withLock { $0 } ?? "memory"
        components.logger.log(
            level: .error,
            "\(appName): the checkpoint of batch \(record.time) in \(directory), the newest that can be read, does not "
                + "say that batch \(first) and those after it had completed, and what receivers had "
                + "given to them has been released, if they had been given anything: they run again "
                + "without it, and state and windows lack it; where that must not be, stop, put back "
                + "readable checkpoints, and start again")
    }

    private func keepRunning(_ runtime: Runtime) async {
        let report = await runtime.run { self.end(runtime, $0) }
        await graph.closeSinks()
        await closeCheckpoints()
        end(runtime, report)
    }

    /// Notes that a run has ended, before anyone who waits for it hears of it; done once.
    private func end(_ runtime: Runtime, _ report: StopReport) {
        let isFirst = life.withLock { life in
            guard case .active = life else { return false }
            life = .stopped(report)
            return true
        }
        guard isFirst else { return }
        close()
        ActiveContexts.remove(self)
        if let problem = runtime.problem(of: report) {
            components.logger.log(level: .warning, "\(problem.message)")
            self.report(problem)
        }
        termination.end()
        runtime.stopReport.set(report)
    }

    /// Lets go of what a stopped context does not need.
    func close() {
        graph.stop()
        graph.clear()
        if ownsEngine { batchContext.engine.shutdown() }
    }
}
