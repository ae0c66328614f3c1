public import BatchEngine
public import DStreamCore

/// Makes one instance of the graph per batch: knows when a batch is due, checkpoints it, and decides
/// when it may be forgotten.
///
/// For each batch, in this order: blocks are allocated, jobs generated, input facts collected, the
/// job set submitted, and at once, without waiting for the jobs, a checkpoint is written; another
/// when the batch completes. Only when that one is durable is old metadata forgotten. Without a
/// checkpoint store it is forgotten at completion.
///
/// ## Ordering
/// Batches are generated in the order of their times, one at a time, re-runs first. None is skipped
/// unless ``DStreamCore/LateBatches/skip`` says so.
///
/// ## Isolation
/// ``run(on:from:rerun:newestCompleted:)`` owns everything that is going on; leaving it means all
/// has ended. The other methods may be called from any task.
///
/// ## Cancellation
/// Cancelling the task of ``run(on:from:rerun:newestCompleted:)`` ends it at once; what is pending
/// in the last durable checkpoint runs again after a restart.
///
/// ## Back-pressure
/// At most `maxQueuedBatches` job sets are submitted and not ended; later batches are generated late.
public actor JobGenerator {
    enum Message: Sendable {
        case ticked
        case generated(BatchTime)
        case generationFailed(BatchTime, any Error)
        case batchEnded(BatchTime, JobSetOutcome)
        case probed(hasUnallocatedBlocks: Bool)
        case checkpointAnswered(CheckpointWriter.Answer)
        case cleanedUp(BatchTime, error: (any Error)?)
        case drain(reply: Mailbox<Bool>)
        case stop
    }

    /// What generation uses; also of use for reading a stream's RDDs outside a batch.
    public nonisolated let generationContext: GenerationContext
    private let configuration: Configuration
    private let clock: any StreamClock
    private let listeners: ListenerBus
    private let errorSink: @Sendable (StreamError) -> Void
    private let checkpoints: CheckpointWriter?
    private let worker: GenerationWorker
    private nonisolated let mailbox = Mailbox<Message>(capacity: 1)

    private var machine: JobGeneratorMachine?
    private var grid: BatchAlignment?
    /// Batches that have ended and were not cleaned up after yet.
    private var unsettled: [BatchTime] = []
    private var drainReplies: [Mailbox<Bool>] = []
    private var isStopped = false
    private var takesMessages = false
    /// How many records of each input stream were in batches that have completed, in this process.
    public private(set) var processedRecordCounts: [StreamID: Int] = [:]
    private var lastCheckpointError: (any Error)?
    /// The frozen graph's, so that it is described once.
    private var fingerprint = ""
    private var statefulOperators: [StatefulOperator] = []

    /// Makes a generator; nothing happens before ``run(on:from:rerun:newestCompleted:)``.
    ///
    /// - Parameters:
    ///   - source: the graph.
    ///   - queue: who runs the job sets.
    ///   - inputInfo: where the graph's input streams report.
    ///   - choices: who keeps what input streams choose; nil: nobody.
    ///   - checkpointStore: where checkpoints go; nil: none are written.
    ///   - errorSink: takes errors that end the stream or a batch, from any thread.
    public init(
        _ configuration: Configuration, source: any JobSource, queue: any JobQueue,
        allocator: any BlockAllocator, inputInfo: InputInfoTracker, batch: BatchContext,
        choices: (any InputChoices)? = nil, checkpointStore: (any CheckpointStore)?,
        clock: any StreamClock, listeners: ListenerBus,
        standardOutput: @escaping @Sendable (String) -> Void,
        errorSink: @escaping @Sendable (StreamError) -> Void
    ) {
        self.configuration = configuration
        self.clock = clock
        self.listeners = listeners
        self.errorSink = errorSink
        checkpoints = checkpointStore.map { CheckpointWriter(store: $0) }
        let context = GenerationContext(
            batch: batch, allocator: allocator, inputInfo: inputInfo,
            standardOutput: standardOutput, choices: choices)
        generationContext = context
        worker = GenerationWorker(
            source: source, queue: queue, inputInfo: inputInfo, context: context,
            mailbox: mailbox)
    }

    /// Generates batches until it is stopped, drained, or its task is cancelled.
    ///
    /// - Parameters:
    ///   - grid: zero time and batch interval.
    ///   - firstBatch: the first batch to generate; when it is past, it and those after it are
    ///     generated late.
    ///   - rerun: batches to generate before, in ascending order: those a checkpoint lists as pending.
    ///   - newestCompleted: the latest batch that completed before a restart.
    /// - Precondition: it was not called before, and the graph is started.
    public func run(
        on grid: BatchAlignment, from firstBatch: BatchTime, rerun: [BatchTime] = [],
        newestCompleted: BatchTime? = nil
    ) async {
        precondition(machine == nil, "a JobGenerator runs once")
        self.grid = grid
        fingerprint = worker.source.fingerprint
        statefulOperators = worker.source.statefulOperators
        machine = JobGeneratorMachine(
            configuration, interval: grid.period, firstBatch: firstBatch, rerun: rerun,
            newestCompleted: newestCompleted, hasCheckpoints: checkpoints != nil)
        await withTaskGroup(of: Void.self) { group in
            let thread = clock is SystemStreamClock ? SystemStreamClock.thread : nil
            group.addTask(executorPreference: thread) { [self] in
                await keepTime(on: grid, from: firstBatch) {
                    // What follows a tick calls listeners: not on the thread of all timers.
                    if thread == nil { await takeNow(.ticked) } else { mailbox.post(.ticked) }
                }
            }
            group.addTask { [self] in await worker.run { await takeNow($0) } }
            if let checkpoints {
                group.addTask { [mailbox, worker] in
                    await checkpoints.run(
                        capture: { try await worker.capture($0, since: $1) },
                        onAnswer: { mailbox.post(.checkpointAnswered($0)) })
                }
            }
            takesMessages = handle(.ticked)
            while takesMessages, await mailbox.hasNext() { takeWaiting() }
            takesMessages = false
            group.cancelAll()
        }
        let wasDrained = machine?.phase == .ended && !isStopped
        for case .drain(let reply) in mailbox.close() { drainReplies.append(reply) }
        for reply in drainReplies {
            reply.post(wasDrained)
            reply.finish()
        }
        drainReplies = []
    }

    /// Processes everything received and ends ``run(on:from:rerun:newestCompleted:)``: generates
    /// batches until no block is left, waits for all jobs, and for the checkpoint that says so.
    ///
    /// Receivers are expected to have stopped. Calling it again joins the first call; after a failure
    /// under `.stop` no further batch is generated. When ``run(on:from:rerun:newestCompleted:)`` has
    /// ended before, this returns at once; when it was not called yet, this waits for it.
    ///
    /// - Throws: `CancellationError` when the waiting task is cancelled, or the generator ended before
    ///   it was drained; draining goes on in the first case.
    public nonisolated func drain() async throws {
        let reply = Mailbox<Bool>(capacity: 1)
        guard mailbox.post(.drain(reply: reply)) else { return }
        guard await reply.next() == true else { throw CancellationError() }
    }

    /// Ends ``run(on:from:rerun:newestCompleted:)`` at once: what is in flight is cancelled; does not
    /// wait for that.
    public nonisolated func stop() { mailbox.post(.stop) }

    /// The batches begun, or known from the checkpoint, and not completed.
    public var pendingBatches: [BatchTime] { machine?.ledger.pending ?? [] }

    /// The pending batches that have failed in this run, ascending.
    public var failedBatches: [BatchTime] { (machine?.ledger.failedSet ?? []).sorted() }

    /// Returns once the generator takes a call: a sign that it moves.
    package func pulse() {}

    /// Tells the loop whenever a batch becomes due.
    private nonisolated func keepTime(
        on grid: BatchAlignment, from firstBatch: BatchTime, tick: () async -> Void
    ) async {
        var due = firstBatch
        // The only error is cancellation.
        while (try? await clock.sleep(until: due)) != nil {
            // Read before the message: a batch that gets due after it has a tick of its own.
            let now = clock.now
            await tick()
            due = grid.firstTime(after: now)
        }
    }
}

extension JobGenerator {
    /// Takes a message after those that wait, in place of the loop: that wakes no thread.
    private func takeNow(_ message: Message) {
        let wakesLoop = takesMessages
        mailbox.post(message, quietly: true)
        takeWaiting()
        // The loop is to end, and looks only when there is something.
        if wakesLoop, !takesMessages { mailbox.post(.stop) }
    }

    private func takeWaiting() {
        while takesMessages, let message = mailbox.takeNext() {
            takesMessages = take(message)
            settleWithoutCheckpoint()
        }
    }

    /// Takes a message; false when the loop is to end.
    private func take(_ message: Message) -> Bool {
        switch message {
        case .ticked: return handle(.ticked)
        case .generated(let batch): return handle(.generated(batch))
        case .generationFailed(let batch, let error):
            listeners.post(
                .batchGenerationFailed(time: batch, message: FailureCause(error).text))
            var reported = StreamError.generation(of: batch, error)
            reported.policy = configuration.failurePolicy == .continue ? .continue : .stop
            errorSink(reported)
            return end(
                batch, .generationFailed(batch),
                isCleanedUp: configuration.failurePolicy == .continue)
        case .batchEnded(let batch, let outcome):
            if outcome == .completed {
                for (stream, info) in worker.inputInfo.info(at: batch) {
                    processedRecordCounts[stream, default: 0] += info.recordCount
                }
            }
            return end(
                batch, .batchEnded(batch, outcome),
                isCleanedUp: outcome == .completed || outcome == .failed(.continue))
        case .probed(let hasBlocks): return handle(.probed(hasUnallocatedBlocks: hasBlocks))
        case .checkpointAnswered(let answer):
            guard let error = answer.error else {
                return handle(.checkpointWritten(ticket: answer.ticket))
            }
            listeners.post(
                .checkpointFailed(
                    time: answer.time, message: "no checkpoint could be written: \(error)"))
            lastCheckpointError = error
            return handle(.checkpointFailed(ticket: answer.ticket), underlying: error)
        case .cleanedUp(let batch, let error):
            if let error {
                // The next clean-up covers it; until then old blocks and log files stay.
                listeners.post(
                    .checkpointFailed(
                        time: batch, message: "old batches could not be released: \(error)"))
            }
            settle(unsettled.filter { $0 <= batch })
            return handle(.cleanedUp)
        case .drain(let reply):
            drainReplies.append(reply)
            return handle(.drain)
        case .stop:
            isStopped = true
            return handle(.stop)
        }
    }

    /// Takes the end of a batch: it settles now or, maybe together with others, when it has been
    /// cleaned up after.
    private func end(
        _ batch: BatchTime, _ event: JobGeneratorMachine.Event, isCleanedUp: Bool
    ) -> Bool {
        if isCleanedUp { unsettled.append(batch) }
        defer { if !isCleanedUp { listeners.post(.batchSettled(batch)) } }
        return handle(event)
    }

    /// Settles what waited for a checkpoint that could not be written, when no other is under way:
    /// what could be forgotten once one is durable stays.
    private func settleWithoutCheckpoint() {
        if unsettled.isEmpty { return }
        guard machine?.isLastCheckpointLost == true, machine?.isSettled == true else { return }
        settle(unsettled)
    }

    private func settle(_ batches: [BatchTime]) {
        for batch in batches.sorted() { listeners.post(.batchSettled(batch)) }
        unsettled.removeAll { batches.contains($0) }
    }

    /// Decides and performs; false when the loop is to end.
    private func handle(
        _ event: JobGeneratorMachine.Event, underlying: (any Error)? = nil
    ) -> Bool {
        let actions = machine?.handle(event, now: clock.now) ?? []
        for action in actions {
            switch action {
            case .generate(let batch): worker.generate(batch)
            case .reportLate(let batch, let delay):
                listeners.post(.batchLate(time: batch, by: delay))
            case .reportSkipped(let first, let count): reportSkipped(first, count)
            case .writeCheckpoint(let checkpoint): write(checkpoint)
            case .cleanUp(let batch, let keeping, let failed):
                worker.cleanUp(
                    batch, keeping: keeping.map { oldestRead(by: $0) }, failed: read(by: failed))
            case .setAside(let batch): setAside(batch)
            case .reportCheckpointsLost(let first, let count):
                reportCheckpointsLost(since: first, count, underlying)
            case .probe: worker.probe()
            case .end:
                reportLostCheckpoint(underlying)
                return false
            }
        }
        return true
    }

    /// The first batch that windows of a batch read; the batch itself where there are none.
    private func oldestRead(by batch: BatchTime) -> BatchTime {
        guard let grid else { return batch }
        return min(batch, batch - worker.source.inputRememberDuration + grid.period)
    }

    /// The batches that windows of some batches read, these included.
    private func read(by batches: Set<BatchTime>) -> Set<BatchTime> {
        guard let grid else { return batches }
        var read = batches
        var last: BatchTime?
        for batch in batches.sorted() {
            let oldest = oldestRead(by: batch)
            var pane = batch - grid.period
            while pane >= oldest, last.map({ pane > $0 }) ?? true {
                read.insert(pane)
                pane = pane - grid.period
            }
            last = batch
        }
        return read
    }

    private func reportSkipped(_ first: BatchTime, _ count: Int64) {
        guard let grid else { return }
        let now = clock.now
        var batch = first
        // After long downtime of short batches there are millions.
        let singles = min(count, 1000)
        for _ in 0..<singles {
            listeners.post(.batchLate(time: batch, by: now - batch))
            batch = grid.firstTime(after: batch)
        }
        guard count > singles else { return }
        listeners.post(.batchesSkipped(from: batch, count: Int(clamping: count - singles)))
    }

    private func write(_ checkpoint: JobGeneratorMachine.Checkpoint) {
        guard let grid else { return }
        var record = CheckpointRecord(
            time: checkpoint.time, appName: configuration.appName, zeroTime: grid.zeroTime,
            batchInterval: grid.period, fingerprint: fingerprint,
            pendingBatches: checkpoint.pending, isCompleted: checkpoint.isCompleted)
        record.newestCompleted = checkpoint.newestCompleted
        record.parallelism = generationContext.batch.defaultParallelism
        record.operators = statefulOperators
        record.configuration = configuration.settings
        checkpoints?.submit(record, ticket: checkpoint.ticket)
    }

    private func setAside(_ batch: BatchTime) {
        listeners.post(
            .batchSetAside(
                time: batch,
                message: "more than \(configuration.maxFailedBatches) batches have failed; this "
                    + "one will not be run again"))
        worker.setAside(batch)
    }

    private func reportCheckpointsLost(
        since first: BatchTime, _ count: Int, _ underlying: (any Error)?
    ) {
        let cause = underlying ?? lastCheckpointError
        errorSink(
            StreamError(
                .checkpointUnwritable,
                "no checkpoint could be written since batch \(first), and \(count) batches have "
                    + "ended; no later batch starts. Make the checkpoint directory writable and "
                    + "start again: these batches will run again",
                batchTime: first, underlying: cause))
    }

    /// A drained stream whose last checkpoint was not kept would run batches again.
    private func reportLostCheckpoint(_ underlying: (any Error)?) {
        guard let machine, machine.isLastCheckpointLost, !drainReplies.isEmpty else { return }
        errorSink(
            StreamError(
                .checkpointUnwritable,
                "the final checkpoint could not be written; a restart runs batches again",
                batchTime: machine.ledger.newest, underlying: underlying))
    }
}
