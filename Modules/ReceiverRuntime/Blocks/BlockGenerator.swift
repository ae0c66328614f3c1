internal import BatchEngine
public import DStreamCore

/// Gathers single elements into a block per block interval, and pushes the blocks in order.
///
/// ```
/// initialized ── start ──▶ active ── stop ──▶ stoppedAddingData ──▶ stoppedGeneratingBlocks
///      │                     │                      │                          │
///      └──── run ends ───────┴──────────────────────┴──▶ stoppedAll ◀── all blocks pushed
/// ```
///
/// Blocks are cut at the times of a grid of block intervals, when asked (a batch tick does), and
/// when one is full. Nothing runs while nothing is added.
///
/// ## Back-pressure
/// Adding suspends while the block being gathered is full and as many blocks wait as may; above a
/// rate limit it suspends until the limit lets the elements pass, a piece at a time.
///
/// ## Cancellation
/// Cancelling the task of `run()` drops what is not pushed.
public actor BlockGenerator<Listener: BlockGeneratorListener> {
    /// The elements of the blocks.
    public typealias Element = Listener.Element

    /// Where the generator is in its life.
    public enum Phase: Sendable, Hashable, CaseIterable {
        /// Takes no data yet. Can transition to: active, stoppedAll.
        case initialized
        /// Takes data and makes blocks. Can transition to: stoppedAddingData, stoppedAll.
        case active
        /// Takes no data any more; what was added is cut into last blocks. Can transition to:
        /// stoppedGeneratingBlocks, stoppedAll.
        case stoppedAddingData
        /// All blocks are cut; the last ones are pushed. Can transition to: stoppedAll.
        case stoppedGeneratingBlocks
        /// Over for good.
        case stoppedAll
    }

    /// Where the generator is in its life.
    public private(set) var phase = Phase.initialized

    @usableFromInline nonisolated let buffer: BlockBuffer<Element>
    let listener: Listener
    nonisolated let clock: any StreamClock
    nonisolated let alignment: BatchAlignment
    /// How long after its time a block is cut here, if nobody has asked for it by then.
    private let cutGrace: Duration
    /// Whether a full block is cut on the pool: the runtime's own generators, so that a receiver which
    /// blocks its thread never has this actor wait for that.
    nonisolated let cutsOnPool: Bool
    private let numbering: BlockNumbering
    private let budget: ReceivedBlockBudget?
    nonisolated let queue: AsyncMonitor<BlockQueue>
    /// When the block being gathered is due; nil while there is none.
    nonisolated let due = AsyncMonitor<BatchTime?>(nil)
    nonisolated let rateTurns = Turns()
    /// Counts the changes of the rate limit.
    nonisolated let rateVersion = AsyncMonitor(0)
    private var isPushing = false

    /// Creates a generator.
    ///
    /// - Parameters:
    ///   - numbering: names the blocks.
    ///   - configuration: interval, bounds and rate.
    ///   - clock: the source of time.
    ///   - listener: hears of everything and stores the blocks.
    ///   - budget: bounds the stored blocks; nil: the listener does.
    /// - Throws: ``ReceiverError/Code/badConfiguration``.
    public init(
        numbering: BlockNumbering, configuration: ReceiverConfiguration, clock: any StreamClock,
        listener: Listener, budget: ReceivedBlockBudget? = nil
    ) throws {
        try self.init(
            numbering: numbering, configuration: configuration, clock: clock, listener: listener,
            budget: budget, cutsOnPool: false)
    }

    init(
        numbering: BlockNumbering, configuration: ReceiverConfiguration, clock: any StreamClock,
        listener: Listener, budget: ReceivedBlockBudget? = nil, cutsOnPool: Bool
    ) throws {
        try configuration.validate()
        self.cutsOnPool = cutsOnPool
        alignment = try BatchAlignment(period: configuration.blockInterval)
        cutGrace = configuration.cutGrace
        self.numbering = numbering
        self.clock = clock
        self.listener = listener
        self.budget = budget
        buffer = BlockBuffer(
            maxRecords: configuration.maxBlockRecords, maxBytes: configuration.maxBlockBytes,
            limiter: RateLimiter(
                configuration: configuration.limiterConfiguration, now: clock.monotonicNow))
        queue = AsyncMonitor(
            BlockQueue(
                maxBlocks: configuration.blockQueueSize, maxBytes: configuration.blockQueueBytes))
    }

    // MARK: Life

    /// Begins to take data; without effect unless initialized.
    public func start() {
        guard phase == .initialized else { return }
        phase = .active
        buffer.setActive(true)
    }

    /// Cuts and pushes blocks until stopped or cancelled; starts the generator if nobody has.
    ///
    /// Returns at once when it was stopped before, and with a stop that is under way.
    ///
    /// - Precondition: called once.
    public func run() async {
        if phase == .stoppedAddingData || phase == .stoppedGeneratingBlocks {
            // Whoever stops it pushes what is left.
            try? await queue.wait(for: \.isAbandoned)
            return
        }
        guard phase != .stoppedAll else { return }
        precondition(!isPushing, "a block generator is run twice")
        isPushing = true
        start()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.cutWhenDue() }
            await pushBlocks()
            group.cancelAll()
        }
        end()
    }

    /// Takes no more data, cuts the last block, and returns when all blocks are pushed.
    ///
    /// ## Cancellation
    /// Returns early; what is not pushed yet may be dropped.
    public func stop() async {
        switch phase {
        case .initialized: end()
        case .active: await stopActive()
        case .stoppedAddingData, .stoppedGeneratingBlocks, .stoppedAll:
            try? await queue.wait(for: \.isAbandoned)
        }
    }

    private func stopActive() async {
        phase = .stoppedAddingData
        buffer.setActive(false)
        let pushesHere = !isPushing
        isPushing = true
        if pushesHere {
            // Nobody runs the generator yet, so the queue is drained here, and `run` finds it
            // ended.
            if !cut() {
                await pushBlocks(untilEmpty: true)
                cut()
            }
        } else {
            while !cut() {
                do { try await queue.wait(for: { $0.hasRoom || $0.isClosed }) } catch { break }
                if queue.read({ $0.isClosed }) { break }
            }
        }
        if phase == .stoppedAddingData { phase = .stoppedGeneratingBlocks }
        queue.update { $0.isClosed = true }
        if pushesHere {
            await pushBlocks()
            end()
        }
        try? await queue.wait(for: \.isAbandoned)
    }

    private func end() {
        phase = .stoppedAll
        buffer.setActive(false)
        buffer.discard()
        queue.update { $0.abandon() }
    }

    // MARK: Cutting

    /// Cuts what was gathered into a block, if there is anything and the queue has room.
    ///
    /// - Returns: whether nothing is left to cut.
    @discardableResult
    public func cut() -> Bool {
        guard let period = due.read({ $0 }) else {
            return cut(due: alignment.firstTime(after: clock.now))
        }
        return cut(due: period)
    }

    /// Cuts what was gathered and waits until it is pushed, or until pushing waits for room that
    /// only running batches make.
    public func cutAndPush() async {
        while phase == .active, !cut() {
            guard !queue.read({ $0.isHeld }), await waitForRoom() else { return }
        }
        let target = queue.read { $0.cutCount }
        try? await queue.wait(for: { queue in
            queue.pushedCount >= target || queue.isHeld || queue.isAbandoned
        })
    }

    private func cut(due: BatchTime) -> Bool {
        guard !buffer.isEmpty else { return true }
        guard queue.read({ $0.hasRoom && !$0.isClosed }) else { return false }
        // Before the cut: what is added after it makes the next time due.
        self.due.update { $0 = nil }
        guard let taken = buffer.take() else { return true }
        // Named by the beginning of the interval in which it was gathered.
        let id = numbering.next(preferring: due - alignment.period)
        listener.onGenerateBlock(id)
        let block = ReceivedBlock(
            id: id, contents: taken.contents, recordCount: taken.records, byteCount: taken.bytes)
        queue.update { $0.append(block) }
        return true
    }

    /// Suspends until a block may be cut; false: none will.
    private func waitForRoom() async -> Bool {
        let hasRoom = try? await queue.wait { queue -> Bool? in
            if queue.isClosed { return false }
            return queue.hasRoom || queue.isHeld ? queue.hasRoom : nil
        }
        return hasRoom ?? false
    }

    private func cutWhenDue() async {
        do {
            while true {
                let time = try await due.wait { $0 }
                try await clock.sleep(until: time + cutGrace)
                tick(time)
            }
        } catch {
            // Cancelled: the generator ends.
        }
    }

    private func tick(_ time: BatchTime) {
        // Cut meanwhile; another one is being gathered.
        guard due.read({ $0 }) == time else { return }
        due.update { $0 = nil }
        guard phase == .active, !cut(due: time) else { return }
        let next = alignment.firstTime(after: clock.now)
        due.update { $0 = $0 ?? next }
    }

    // MARK: Pushing

    private func pushBlocks(untilEmpty: Bool = false) async {
        while !Task.isCancelled, !(untilEmpty && queue.read({ $0.isEmpty })),
            case .block(let block)? = try? await queue.wait(until: { $0.takeNext() })
        {
            await push(block)
            queue.update { $0.notePushed() }
        }
    }

    private func push(_ block: ReceivedBlock) async {
        do {
            if let budget, !budget.tryAcquire(block.id, bytes: block.budgetBytes) {
                try await budget.acquire(block.id, bytes: block.budgetBytes) { [queue] in
                    queue.update { $0.isHeld = true }
                }
                queue.update { $0.isHeld = false }
            }
            try await listener.onPushBlock(block)
        } catch {
            budget?.release([block.id])
            if !Task.isCancelled {
                listener.onError("block \(block.id) could not be stored and is lost", error)
            }
        }
    }
}
