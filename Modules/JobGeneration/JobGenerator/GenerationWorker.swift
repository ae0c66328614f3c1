internal import DStreamCore

/// Does the generator's work that suspends, one piece after the other, and reports each by message.
///
/// Generating and clearing thus never overlap, while the generator's loop stays free for messages.
final class GenerationWorker: Sendable {
    private enum Work: Sendable {
        case generate(BatchTime)
        case cleanUp(BatchTime, keeping: BatchTime?, failed: Set<BatchTime>)
        case probe
        case setAside(BatchTime)
    }

    let source: any JobSource
    private let queue: any JobQueue
    let inputInfo: InputInfoTracker
    private let context: GenerationContext
    private let mailbox: Mailbox<JobGenerator.Message>
    /// At most one batch, one clean-up and one probe, and one batch given up per failure.
    private let work = Mailbox<Work>(capacity: 1)

    init(
        source: any JobSource, queue: any JobQueue, inputInfo: InputInfoTracker,
        context: GenerationContext, mailbox: Mailbox<JobGenerator.Message>
    ) {
        self.source = source
        self.queue = queue
        self.inputInfo = inputInfo
        self.context = context
        self.mailbox = mailbox
    }

    func generate(_ batch: BatchTime) { work.post(.generate(batch)) }

    func cleanUp(_ batch: BatchTime, keeping: BatchTime?, failed: Set<BatchTime>) {
        work.post(.cleanUp(batch, keeping: keeping, failed: failed))
    }

    func probe() { work.post(.probe) }

    /// Adds to a record the state that belongs to it, away from the work on batches.
    func capture(
        _ record: CheckpointRecord, since: BatchTime?
    ) async throws -> (CheckpointRecord, [OperatorState]) {
        let (pieces, oldest) = try await source.captureState(
            through: record.newestCompleted ?? record.zeroTime, since: since, context)
        var record = record
        record.oldestState = oldest
        if let reach = source.paneReach, let pending = record.pendingBatches.first {
            // Windows of batches that run again ask for it.
            record.oldestState = min(oldest, pending - reach)
        }
        return (record, pieces)
    }

    func setAside(_ batch: BatchTime) { work.post(.setAside(batch)) }

    /// Works until the task is cancelled.
    ///
    /// - Parameter report: takes what came of each piece.
    func run(_ report: (JobGenerator.Message) async -> Void) async {
        while let piece = await work.next() {
            switch piece {
            case .generate(let batch):
                if let message = await doGenerate(batch) { await report(message) }
            case .cleanUp(let batch, let oldestToRun, let failed):
                await report(await doCleanUp(batch, keeping: oldestToRun, failed))
            case .probe:
                let hasBlocks = await context.allocator.hasUnallocatedBlocks
                await report(.probed(hasUnallocatedBlocks: hasBlocks))
            case .setAside(let batch): await queue.setAside(batch)
            }
        }
        work.finish()
    }

    /// Steps 1 to 4 of a batch; nil when they were cut short.
    private func doGenerate(_ batch: BatchTime) async -> JobGenerator.Message? {
        let jobs: [OutputJob]
        do {
            try await context.allocator.allocateBlocks(to: batch)
            jobs = try await generatedJobs(batch)
        } catch {
            // A batch cut short by cancellation did not fail: a restart generates it.
            return Task.isCancelled ? nil : .generationFailed(batch, error)
        }
        let jobSet = JobSet(time: batch, outputs: jobs, inputInfo: inputInfo.info(at: batch))
        do {
            try await queue.submit(jobSet) { [mailbox] outcome in
                mailbox.post(.batchEnded(batch, outcome))
            }
        } catch {
            // The queue has ended, so neither this batch nor a later one can be run.
            mailbox.post(.batchEnded(batch, .notRun))
        }
        return .generated(batch)
    }

    private func generatedJobs(_ batch: BatchTime) async throws -> [OutputJob] {
        do { return try await source.generateJobs(at: batch, context) } catch {
            if Task.isCancelled { throw error }
            guard let failed = await source.failedJobs(at: batch, error, context) else {
                throw error
            }
            return failed
        }
    }

    private func doCleanUp(
        _ batch: BatchTime, keeping oldestToRun: BatchTime?, _ failed: Set<BatchTime>
    ) async -> JobGenerator.Message {
        source.clearMetadata(batch)
        // A batch that waits for its jobs keeps what it reads, however old it is.
        let threshold = min(batch - source.inputRememberDuration, oldestToRun ?? batch)
        inputInfo.clear(before: threshold)
        do {
            try await context.allocator.releaseBatches(before: threshold, keeping: failed)
            try await context.choices?.release(before: threshold, keeping: failed)
            return .cleanedUp(batch, error: nil)
        } catch {
            return .cleanedUp(batch, error: error)
        }
    }
}
