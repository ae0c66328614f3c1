package import DStreamCore

/// Decides when a batch is generated, when a checkpoint is written and what may be forgotten.
///
/// A value without clock, lock or suspension: it takes an event and returns what is to be done.
///
/// ```
///             failure under .stop, or
///             too many batches not durable
///   running ───────────────────────▶ halted
///      │ drain                          │ drain
///      ▼                                ▼
///   finishing ─▶ probing ─┬─▶ finalBatch ─▶ settling ─▶ ended
///                         └───────────────────▲    (stop: any ─▶ ended)
/// ```
package struct JobGeneratorMachine: Sendable {
    private struct Generation {
        let batch: BatchTime
        /// Jobs may end before the news of their submission has come.
        var earlyOutcome: JobSetOutcome?
    }

    /// Where the generator is.
    package private(set) var phase = Phase.running
    /// Which batches are not done.
    package private(set) var ledger: BatchLedger
    /// Whether the last checkpoint that was answered could not be written.
    package private(set) var isLastCheckpointLost = false

    private let configuration: JobGenerator.Configuration
    private let interval: Duration
    private var next: BatchTime
    private var reruns: ArraySlice<BatchTime>
    private var generation: Generation?
    private var lastRequestedTicket = 0
    private var lastAnsweredTicket = 0
    /// Batches that have ended and may be cleaned up after once the checkpoint with the ticket is
    /// durable.
    private var endedNotDurable: [(ticket: Int, batch: BatchTime)] = []
    private var isCleaningUp = false
    private var nextCleanUp: BatchTime?
    private let hasCheckpoints: Bool
    private var checkpoints: CheckpointSpacing

    /// Makes a machine that runs.
    ///
    /// - Parameters:
    ///   - interval: the time between batches, more than 0.
    ///   - firstBatch: the first batch to generate when due.
    ///   - rerun: batches to generate before it, whatever the time.
    ///   - newestCompleted: the latest batch that completed before a restart.
    ///   - hasCheckpoints: whether checkpoints are written.
    package init(
        _ configuration: JobGenerator.Configuration, interval: Duration, firstBatch: BatchTime,
        rerun: [BatchTime], newestCompleted: BatchTime? = nil, hasCheckpoints: Bool
    ) {
        self.configuration = configuration
        self.interval = interval
        self.hasCheckpoints = hasCheckpoints
        checkpoints = CheckpointSpacing(configuration.checkpointSpacing, interval: interval)
        ledger = BatchLedger(
            pending: rerun, newest: firstBatch - interval, newestCompleted: newestCompleted,
            failedMaximum: configuration.maxFailedBatches)
        reruns = ledger.pending[...]
        // A batch to be re-run is not generated once more when it is due.
        next = max(firstBatch, (reruns.last ?? firstBatch - interval) + interval)
    }

    /// Takes an event.
    ///
    /// - Parameter now: the present time.
    /// - Returns: what is to be done, in this order.
    package mutating func handle(_ event: Event, now: BatchTime) -> [Action] {
        if phase == .ended { return [] }
        checkpoints.now = now
        var actions: [Action] = []
        switch event {
        case .ticked: break
        case .generated(let batch): actions = generationEnded(batch, hasFailed: false)
        case .generationFailed(let batch): actions = generationEnded(batch, hasFailed: true)
        case .batchEnded(let batch, let outcome): actions = batchEnded(batch, outcome)
        case .probed(let hasBlocks): probed(hasBlocks)
        case .checkpointWritten(let ticket): actions = checkpointWritten(ticket)
        case .checkpointFailed(let ticket):
            lastAnsweredTicket = max(lastAnsweredTicket, ticket)
            isLastCheckpointLost = true
            actions = haltWithoutCheckpoints()
        case .cleanedUp:
            isCleaningUp = false
            if let batch = nextCleanUp {
                nextCleanUp = nil
                actions = cleanUp(batch)
            }
        case .drain: beginDraining(now)
        case .stop:
            phase = .ended
            return [.end]
        }
        if checkpoints.isPostponed { actions += requestCheckpoint() }
        return actions + advance(now)
    }
}

// Batches.
extension JobGeneratorMachine {
    /// Begins the next batch, or the next stage of draining, if it is time.
    private mutating func advance(_ now: BatchTime) -> [Action] {
        let isFree =
            generation == nil && ledger.unfinished.count < max(1, configuration.maxQueuedBatches)
            && !hasTooManyNotDurable
        switch phase {
        case .running:
            return isFree ? takeDue(through: now, now) : []
        case .draining(.finishing(let through)):
            if hasDue(through: through) { return isFree ? takeDue(through: through, now) : [] }
            if generation != nil { return [] }
            phase = .draining(.probing)
            return [.probe]
        case .draining(.finalBatch):
            guard isFree else { return [] }
            phase = .draining(.settling)
            return begin(takeNext())
        case .draining(.settling):
            guard isSettled else { return [] }
            phase = .ended
            return [.end]
        case .halted, .draining(.probing), .ended:
            return []
        }
    }

    private func hasDue(through limit: BatchTime) -> Bool { !reruns.isEmpty || next <= limit }

    private mutating func takeDue(through limit: BatchTime, _ now: BatchTime) -> [Action] {
        if let batch = reruns.popFirst() { return begin(batch) }
        guard next <= limit else { return [] }
        var actions: [Action] = []
        if configuration.lateBatches == .skip {
            // Only the newest of those due is generated; it takes the blocks of the others.
            let count = (limit - next).milliseconds / max(1, interval.milliseconds)
            if count > 0 {
                actions.append(.reportSkipped(from: next, count: count))
                next = next + .milliseconds(interval.milliseconds.saturatingMultiply(count))
            }
        }
        let batch = takeNext()
        // By a whole interval: its successor is due as well.
        if now - batch >= interval { actions.append(.reportLate(batch, by: now - batch)) }
        return actions + begin(batch)
    }

    private mutating func takeNext() -> BatchTime {
        defer { next = next + interval }
        return next
    }

    private mutating func begin(_ batch: BatchTime) -> [Action] {
        generation = Generation(batch: batch)
        ledger.begin(batch)
        return [.generate(batch)]
    }

    private mutating func generationEnded(_ batch: BatchTime, hasFailed: Bool) -> [Action] {
        guard let ended = generation, ended.batch == batch else {
            preconditionFailure("generation of \(batch) ended in \(phase) without having begun")
        }
        generation = nil
        if hasFailed {
            let policy = configuration.failurePolicy
            return fail(batch, policy) + (policy == .continue ? [] : requestCheckpoint())
        }
        var actions = requestCheckpoint()
        if let outcome = ended.earlyOutcome { actions += batchEnded(batch, outcome) }
        return actions
    }

    private mutating func batchEnded(_ batch: BatchTime, _ outcome: JobSetOutcome) -> [Action] {
        if generation?.batch == batch {
            // The checkpoint of its generation comes first.
            generation?.earlyOutcome = outcome
            return []
        }
        switch outcome {
        case .completed:
            ledger.complete(batch)
            return forget(batch)
        case .failed(let policy):
            return fail(batch, policy)
        case .notRun:
            ledger.leave(batch)
            halt()
            return []
        }
    }

    private mutating func fail(_ batch: BatchTime, _ policy: FailurePolicy) -> [Action] {
        let setAside = ledger.fail(batch).map { [Action.setAside($0)] } ?? []
        // Later batches go on, so memory must not grow though none may ever complete.
        if policy == .continue { return setAside + forget(batch) }
        // Dead letters are written by jobs: what fails here has none.
        halt()
        return setAside
    }

    /// Forgets what no batch after this one needs, once a checkpoint says what became of it.
    private mutating func forget(_ batch: BatchTime) -> [Action] {
        guard hasCheckpoints else { return cleanUp(batch) }
        let actions = requestCheckpoint()
        let ticket = lastRequestedTicket + (checkpoints.isPostponed ? 1 : 0)
        endedNotDurable.append((ticket, batch))
        return actions + (isLastCheckpointLost ? haltWithoutCheckpoints() : [])
    }

    private mutating func halt() {
        switch phase {
        case .running: phase = .halted
        case .draining: phase = .draining(.settling)
        case .halted, .ended: break
        }
    }
}

// Checkpoints and what follows them.
extension JobGeneratorMachine {
    /// Writes a checkpoint, or puts it off while others came shortly before and more will come.
    private mutating func requestCheckpoint() -> [Action] {
        guard hasCheckpoints else { return [] }
        let mayWait = phase == .running && !hasTooManyNotDurable
        guard checkpoints.takes(mayWait: mayWait) else { return [] }
        lastRequestedTicket += 1
        return [
            .writeCheckpoint(
                Checkpoint(
                    ticket: lastRequestedTicket, time: ledger.newest, pending: ledger.pending,
                    isCompleted: ledger.isNewestCompleted,
                    newestCompleted: ledger.newestCompleted))
        ]
    }

    private mutating func checkpointWritten(_ ticket: Int) -> [Action] {
        lastAnsweredTicket = max(lastAnsweredTicket, ticket)
        isLastCheckpointLost = false
        let durable = endedNotDurable.prefix { $0.ticket <= ticket }
        endedNotDurable.removeFirst(durable.count)
        guard let batch = durable.map(\.batch).max() else { return [] }
        return cleanUp(batch)
    }

    /// Whether more has ended without a checkpoint than may be kept in memory for it.
    private var hasTooManyNotDurable: Bool {
        endedNotDurable.count >= max(1, configuration.maxBatchesWithoutCheckpoint)
    }

    /// Ends generation when too much has ended since the last checkpoint that could be written.
    private mutating func haltWithoutCheckpoints() -> [Action] {
        guard hasTooManyNotDurable, let oldest = endedNotDurable.first,
            phase != .halted, phase != .draining(.settling)
        else { return [] }
        halt()
        return [.reportCheckpointsLost(since: oldest.batch, count: endedNotDurable.count)]
    }

    private mutating func cleanUp(_ batch: BatchTime) -> [Action] {
        if isCleaningUp {
            // Cleaning up for the later one does it for both.
            nextCleanUp = max(batch, nextCleanUp ?? batch)
            return []
        }
        isCleaningUp = true
        return [.cleanUp(batch, keeping: ledger.oldestToRun, failed: ledger.failedSet)]
    }
}

// Draining.
extension JobGeneratorMachine {
    private mutating func beginDraining(_ now: BatchTime) {
        switch phase {
        case .running: phase = .draining(.finishing(through: now))
        case .halted: phase = .draining(.settling)
        case .draining, .ended: break
        }
    }

    private mutating func probed(_ hasUnallocatedBlocks: Bool) {
        guard phase == .draining(.probing) else { return }
        phase = .draining(hasUnallocatedBlocks ? .finalBatch : .settling)
    }

    /// Whether nothing is under way any more.
    package var isSettled: Bool {
        generation == nil && ledger.unfinished.isEmpty && !isCleaningUp
            && lastAnsweredTicket == lastRequestedTicket && !checkpoints.isPostponed
    }
}
