public import BatchEngine
public import DStreamCore

/// Runs all receivers of a context and knows which of their blocks belong to which batch.
///
/// ## Ordering
/// A block whose `store` has returned is part of the next allocation. State changes in steps
/// without suspension; with a log, allocations and clean-ups follow one another.
///
/// ## Back-pressure
/// Stored blocks of all receivers are bounded; storing suspends until batches are released.
///
/// ## Cancellation
/// Cancelling the task of `run()` ends all receivers and drops what is not stored.
public actor ReceiverTracker: BlockAllocator, RateController, ReceivedBlockReporting {
    private enum Phase { case initialized, running, ended }

    /// Those that have not been started.
    private var registrations: [ReceiverRegistration]
    private nonisolated let configuration: ReceiverConfiguration
    private nonisolated let clock: any StreamClock
    private nonisolated let bus: ListenerBus
    private nonisolated let handlers: [StreamID: any ReceivedBlockHandler]
    private nonisolated let log: (any WriteAheadLog)?
    /// Bounds the stored blocks of all receivers.
    public nonisolated let budget: ReceivedBlockBudget

    private var phase = Phase.initialized
    private var tracker: ReceivedBlockTracker
    private var supervisors: [StreamID: any Supervisor] = [:]
    /// What is known of the receivers when all have ended.
    private var endedReceivers: [ReceiverInfo] = []
    private var rates: [StreamID: Double] = [:]
    /// The highest numbers of blocks of an earlier run.
    private var lastNumbers: [StreamID: Int64] = [:]
    /// Batches kept for a restart whose blocks take no memory any more.
    private var setAside: Set<BatchTime> = []
    /// Whether an allocation or clean-up is being logged.
    private nonisolated let isLogging = AsyncMonitor(false)

    /// Creates a tracker.
    ///
    /// - Parameters:
    ///   - receivers: one per stream.
    ///   - configuration: how receivers are set up.
    ///   - engine: whose block store takes the blocks.
    ///   - clock: the source of time.
    ///   - bus: hears of receivers that start, fail and stop.
    ///   - log: where changes are logged before they take effect; nil: nowhere.
    ///   - makeHandler: makes what stores a stream's blocks; nil: the engine's block store does.
    /// - Throws: ``ReceiverError`` `.badConfiguration` or `.codecMissing`.
    public init(
        receivers: [ReceiverRegistration], configuration: ReceiverConfiguration,
        engine: any ExecutionEngine, clock: any StreamClock, bus: ListenerBus,
        log: (any WriteAheadLog)? = nil, makeHandler: ReceiverRegistration.MakeHandler? = nil
    ) throws {
        try configuration.validate()
        if let problem = configuration.threadProblem(of: receivers) { throw problem }
        var handlers: [StreamID: any ReceivedBlockHandler] = [:]
        for receiver in receivers {
            try receiver.validate()
            let (id, level, codec) = (receiver.streamID, receiver.storageLevel, receiver.codec)
            let handler =
                makeHandler.map { UserBlockHandler.wrapping($0(id, level, codec)) }
                ?? BlockStoreHandler(streamID: id, engine: engine, level: level, codec: codec)
            guard handlers.updateValue(handler, forKey: id) == nil else {
                throw ReceiverError(.badConfiguration, "stream \(id) has two receivers")
            }
        }
        self.registrations = receivers
        self.configuration = configuration
        self.clock = clock
        self.bus = bus
        self.log = log
        self.handlers = handlers
        budget = ReceivedBlockBudget(limit: configuration.receivedBytesLimit)
        tracker = ReceivedBlockTracker(streamIDs: receivers.map(\.streamID))
    }

    // MARK: Life

    /// Runs all receivers until they are stopped or the task is cancelled.
    ///
    /// Leaving means that all have ended. Without receivers it returns at once.
    ///
    /// - Precondition: called once.
    /// - Throws: ``ReceiverError`` when a receiver cannot be set up; none was started then.
    public func run() async throws {
        precondition(phase != .running, "a receiver tracker is run twice")
        // Stopped before it was run: there is nothing to do.
        guard phase == .initialized else { return }
        for registration in registrations {
            let id = registration.streamID
            guard let handler = handlers[id] else { continue }
            let supervisor = try registration.makeSupervisor(
                ReceiverEnvironment(
                    configuration: configuration, clock: clock, handler: handler,
                    reporter: self, budget: budget, bus: bus,
                    lastBlockNumber: lastNumbers[id]))
            if let rate = rates[id] { supervisor.updateRate(rate) }
            supervisors[id] = supervisor
        }
        // A receiver may keep its output, which leads back here.
        registrations = []
        phase = .running
        await withDiscardingTaskGroup { group in
            for supervisor in supervisors.values {
                group.addTask { await supervisor.run() }
            }
        }
        phase = .ended
        endedReceivers = receivers
        // They report to this tracker: neither would ever be released.
        supervisors = [:]
    }

    /// Stops all receivers and returns when they have ended, or when the calling task is cancelled.
    ///
    /// - Parameter graceful: whether what they received is stored and waits for batches; otherwise
    ///   what is not stored yet is dropped.
    public func stop(graceful: Bool) async {
        guard phase == .running else {
            phase = .ended
            return
        }
        // Only a few last blocks will come, and no batch may run that would make room for them.
        budget.lift()
        await withDiscardingTaskGroup { group in
            for supervisor in supervisors.values {
                group.addTask { await supervisor.stop(drains: graceful) }
            }
        }
        // What comes now, from tasks that receivers left behind, would be in no batch.
        phase = .ended
    }

    /// Returns once the tracker takes a call: a sign that it moves.
    package func pulse() {}

    /// Gives up on the receivers that have not ended: ``run()`` and ``stop(graceful:)`` wait for them
    /// no more.
    ///
    /// Their threads are left to them.
    public func abandon() async {
        for supervisor in supervisors.values { await supervisor.abandon() }
    }

    /// What is known of each receiver, by stream; empty before `run()`.
    public var receivers: [ReceiverInfo] {
        if !endedReceivers.isEmpty { return endedReceivers }
        return supervisors.values.map(\.info).sorted { $0.streamID < $1.streamID }
    }

    // MARK: Blocks

    /// Adds a stored block, logged first.
    ///
    /// - Throws: what the log throws, or ``ReceiverError/Code/notActive`` when all receivers have
    ///   ended; the block is in no batch then.
    public func addBlock(_ block: StoredBlock) async throws {
        if phase == .ended { throw ReceiverError.notActive }
        try await record(.blockAdded(block))
    }

    /// Cuts what all receivers gathered, then gives all blocks at hand to a batch.
    public func allocateBlocks(to batch: BatchTime) async throws {
        if supervisors.count == 1, let supervisor = supervisors.values.first {
            await supervisor.cutAndPush()
        } else if !supervisors.isEmpty {
            await withDiscardingTaskGroup { group in
                for supervisor in supervisors.values {
                    group.addTask { await supervisor.cutAndPush() }
                }
            }
        }
        try await bringBack(batch)
        try await loggingAlone {
            guard let event = tracker.allocation(to: batch) else { return }
            try await record(event)
        }
    }

    /// The blocks of a stream that belong to a batch.
    public func blocks(allocatedTo batch: BatchTime, stream: StreamID) -> [StoredBlock] {
        tracker.blocks(of: batch, stream: stream)
    }

    /// The blocks of a batch by stream; empty when the batch is unknown.
    public func blocks(allocatedTo batch: BatchTime) -> [StreamID: [StoredBlock]] {
        tracker.blocks(of: batch)
    }

    /// The blocks of a stream that belong to no batch yet.
    public func unallocatedBlocks(of stream: StreamID) -> [StoredBlock] {
        tracker.unallocatedBlocks(of: stream)
    }

    /// Forgets batches before a threshold, removes their blocks and makes room for others.
    ///
    /// Those that are `pending` make room, too; where there is a log, it keeps them for a restart.
    ///
    /// - Throws: ``ReceiverError/Code/cleanupTooEarly``, or what the log throws when it is written;
    ///   nothing is released then. Also what cleaning the log throws: it is longer than it must be.
    public func releaseBatches(
        before threshold: BatchTime, keeping pending: Set<BatchTime>
    ) async throws {
        // Without a log, nothing would be there after a restart.
        let kept = Set(log == nil ? [] : pending.filter { $0 < threshold })
        let released = try await loggingAlone {
            let event = try tracker.cleanup(before: threshold, keeping: kept, now: clock.now)
            guard case .batchesCleaned(let times) = event, !times.isEmpty else {
                return [StoredBlock]()
            }
            return try await record(event)
        }
        for (stream, blocks) in Dictionary(grouping: released, by: \.streamID) {
            await handlers[stream]?.remove(blocks)
        }
        budget.release(released.map(\.id))
        await setAside(kept, before: threshold)
        try await log?.clean(before: min(threshold, kept.min() ?? threshold))
    }

    /// Frees the memory of batches that only a restart will run.
    private func setAside(_ batches: Set<BatchTime>, before threshold: BatchTime) async {
        let new = batches.subtracting(setAside)
        setAside = batches.union(setAside.filter { $0 >= threshold })
        for (stream, blocks) in new.flatMap({ tracker.blocks(of: $0) }) {
            await handlers[stream]?.setAside(blocks)
            budget.release(blocks.map(\.id))
        }
    }

    /// Stores the blocks of a batch again that were set aside; it is to run now.
    private func bringBack(_ batch: BatchTime) async throws {
        guard setAside.remove(batch) != nil else { return }
        for (stream, blocks) in tracker.blocks(of: batch) {
            for block in blocks where try await handlers[stream]?.restore(block) == true {
                budget.restore(block.id, bytes: block.budgetBytes)
            }
        }
    }

    /// All blocks that were not released, allocated or not.
    package var heldBlocks: [StoredBlock] { tracker.heldBlocks }

    /// Whether there are blocks that belong to no batch yet.
    public var hasUnallocatedBlocks: Bool { tracker.hasUnallocatedBlocks }

    /// The first of some batches whose blocks have been released: it would run again without.
    package func firstReleased(of batches: [BatchTime]) -> BatchTime? {
        batches.sorted().first { tracker.isReleased($0) }
    }

    /// Takes up what the log of an earlier run says; without a log there is nothing.
    ///
    /// - Returns: where the blocks it speaks of were logged, by stream.
    /// - Throws: what reading throws, or `CodecError` for a record that is not one of a tracker.
    @discardableResult
    public func recover() async throws -> [StreamID: [LogRecordHandle]] {
        guard let log else { return [:] }
        var handles: [StreamID: [LogRecordHandle]] = [:]
        for record in try await log.readAll() {
            let event = try Codec<BlockTrackingEvent>.of().value(of: record)
            if case .blockAdded(let block) = event, let handle = block.logHandle {
                handles[block.streamID, default: []].append(handle)
            }
            tracker.apply(event)
        }
        return handles
    }

    /// Takes all blocks back from the batches of an earlier run, which will not run again: there is
    /// no checkpoint that speaks of them.
    public func takeBackAllocations() { tracker.takeBackAllocations() }

    /// The batches after one to which an earlier run had given their blocks, maybe none.
    package func allocatedBatches(after batch: BatchTime) -> Set<BatchTime> {
        tracker.allocatedBatches(after: batch)
    }

    /// The newest batch that blocks were given to; nil: none.
    package var lastAllocated: BatchTime? { tracker.lastAllocated }

    /// Has batches up to one that have no blocks stay without: the next one takes what there is.
    package func allocateNothing(through batch: BatchTime) async throws {
        if let last = tracker.lastAllocated, batch <= last { return }
        try await record(.batchAllocated(batch, [:]))
    }

    /// Stores again the blocks that ``recover()`` found; called before ``run()``.
    ///
    /// - Parameter pending: batches that will run again: their blocks are looked at, and take memory
    ///   when their turn comes, however many batches wait.
    /// - Returns: the blocks that ended with the earlier run: they are in no batch any more, nor sought
    ///   by later runs.
    /// - Throws: what the handlers throw for blocks that should be there, and the log.
    public func restoreBlocks(pending: [BatchTime] = []) async throws -> [StoredBlock] {
        var lost: [StoredBlock] = []
        setAside = Set(pending)
        let later = Set(pending.flatMap { tracker.blocks(of: $0).values.joined() }.map(\.id))
        for block in tracker.heldBlocks {
            if case .input(_, let number) = block.id {
                let last = lastNumbers[block.streamID] ?? number
                lastNumbers[block.streamID] = max(last, number)
            }
            guard let handler = handlers[block.streamID], try await handler.restore(block) else {
                lost.append(block)
                continue
            }
            if later.contains(block.id) {
                await handler.setAside([block])
            } else {
                budget.restore(block.id, bytes: block.budgetBytes)
            }
        }
        if !lost.isEmpty { try await record(.blocksLost(lost)) }
        return lost
    }

    // MARK: Rates

    /// Sets the rate of a stream's receiver, at most the configured highest.
    public func updateRate(_ elementsPerSecond: Double, of stream: StreamID) {
        guard elementsPerSecond > 0 else { return }
        rates[stream] = elementsPerSecond
        supervisors[stream]?.updateRate(elementsPerSecond)
    }

    // MARK: The log

    /// Logs an event where there is a log, then makes it take effect.
    @discardableResult
    private func record(_ event: BlockTrackingEvent) async throws -> [StoredBlock] {
        if let log {
            let bytes = try Codec<BlockTrackingEvent>.of().bytes(of: event)
            _ = try await log.write(bytes, time: event.logTime(at: clock.now))
        }
        return tracker.apply(event)
    }

    /// Runs a decision and its logging while no other is under way.
    private func loggingAlone<Value>(_ body: () async throws -> Value) async throws -> Value {
        guard log != nil else { return try await body() }
        try await isLogging.wait { isLogging -> Bool? in
            guard !isLogging else { return nil }
            isLogging = true
            return true
        }
        defer { isLogging.update { $0 = false } }
        return try await body()
    }
}
