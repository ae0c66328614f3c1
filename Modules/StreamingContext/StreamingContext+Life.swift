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
        /// Batches generated or allocated and not completed.
        public var pendingBatches: [BatchTime] = []
        /// Whether blocks were received that belong to no batch.
        public var hasUnallocatedBlocks = false
        /// Closures that did not return in time, by operator and partition.
        public var abandoned: [String] = []

        /// The report in words.
        public var description: String {
            if isDrained { return "drained" }
            var parts = ["stopped without draining"]
            if !pendingBatches.isEmpty { parts.append("\(pendingBatches.count) batches pending") }
            if hasUnallocatedBlocks { parts.append("received blocks were dropped") }
            parts += abandoned.map { "abandoned: \($0)" }
            return parts.joined(separator: "; ")
        }
    }

    /// Starts receiving and processing.
    ///
    /// A second call while active does nothing.
    ///
    /// - Throws: ``DStreamCore/StreamError``: every bad declaration and setting together; the
    ///   context is stopped then. `.alreadyStopped` after a stop.
    public func start() async throws {
        guard let runtime = try prepare() else { return }
        // The one unstructured task: it owns everything that runs, and stop() ends it.
        Task { [self] in
            await runtime.run { self.report($0) }
            finish()
        }
    }

    /// Starts, waits for the end, and stops: when it returns, everything has ended.
    ///
    /// ## Cancellation
    /// Cancelling the task stops the context, gracefully when the configuration says so.
    ///
    /// - Throws: what ``start()`` and ``awaitTermination()`` throw.
    public func run() async throws {
        try await start()
        do {
            try await awaitTermination()
        } catch {
            let isCancelled = error is CancellationError
            await stop(graceful: isCancelled && configuration.stopsGracefullyOnShutdown)
            throw error
        }
    }

    /// Waits until the context is stopped.
    ///
    /// - Throws: the first error of a batch, a receiver's set-up or a late declaration. The context
    ///   stays as it is: stop it.
    public func awaitTermination() async throws { try await termination.wait() }

    /// Waits until the context is stopped, but no longer than `timeout` on the context's clock.
    ///
    /// - Returns: whether it was stopped.
    /// - Throws: as ``awaitTermination()``.
    public func awaitTermination(timeout: Duration) async throws -> Bool {
        let clock = components.clock
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask { [termination] in
                try await termination.wait()
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

    /// Starts, and stops gracefully when the process is told to end (SIGINT, SIGTERM) or something
    /// fails.
    ///
    /// - Throws: what ``start()`` and ``awaitTermination()`` throw.
    @discardableResult
    public func runUntilInterrupted() async throws -> StopReport {
        let signals = try SignalWaiter()
        try await start()
        let failure: (any Error)? = await withTaskGroup(of: (any Error)?.self) { group in
            group.addTask { [self] in
                do { try await awaitTermination() } catch { return error }
                return nil
            }
            group.addTask {
                _ = try? await signals.next()
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        let report = await stop(graceful: failure == nil)
        if let failure { throw failure }
        return report
    }

    /// Stops the context, in whatever state it is; a second call joins the first.
    ///
    /// - Parameters:
    ///   - graceful: whether everything received is processed first.
    ///   - deadline: how long a graceful stop may take on the context's clock; nil: as configured,
    ///     or ten batch intervals. What is not drained by then is reported, and closures that do
    ///     not return are abandoned.
    @discardableResult
    public func stop(graceful: Bool = false, deadline: Duration? = nil) async -> StopReport {
        let running: Runtime? = life.withLock { life in
            switch life {
            case .initialized: life = .stopped
            case .stopped: break
            case .active(let runtime): return runtime
            }
            return nil
        }
        guard let running else {
            graph.stop()
            termination.end()
            return StopReport()
        }
        let limit = deadline ?? configuration.gracefulStopTimeout ?? batchInterval * 10
        running.stopRequest.set(Runtime.StopRequest(graceful: graceful, limit: limit))
        let report = await running.stopReport.value
        finish()
        return report
    }
}

extension StreamingContext {
    /// Validates everything and builds the runtime; nil when it is active already.
    private func prepare() throws -> Runtime? {
        switch state {
        case .active: return nil
        case .stopped:
            throw StreamError(
                .alreadyStopped, "the StreamingContext has been stopped; make a new one")
        case .initialized: break
        }
        for problem in configuration.problems() { graph.record(problem) }
        let now = components.clock.now
        let interval = max(1, batchInterval.milliseconds)
        // Rounded down also before 1970.
        let offset = ((now.milliseconds % interval) + interval) % interval
        let zeroTime = BatchTime(milliseconds: now.milliseconds - offset)
        do {
            try graph.start(zeroTime: zeroTime)
            let runtime = try Runtime(self, zeroTime: zeroTime)
            life.withLock { $0 = .active(runtime) }
            listeners.post(.streamingStarted(now))
            ActiveContexts.add(self)
            return runtime
        } catch {
            graph.stop()
            life.withLock { $0 = .stopped }
            throw error
        }
    }

    /// What remains to be done when everything has ended; done once.
    private func finish() {
        let isFirst = life.withLock { life in
            guard case .active = life else { return false }
            life = .stopped
            return true
        }
        guard isFirst else { return }
        graph.stop()
        graph.clear()
        if ownsEngine { batchContext.engine.shutdown() }
        ActiveContexts.remove(self)
        termination.end()
    }

    /// Where checkpoints go: nil when no directory was set.
    func checkpointStore() -> (any CheckpointStore)? {
        components.checkpointStore
            ?? (graph.hasCheckpointDirectory ? InMemoryCheckpointStore() : nil)
    }
}
