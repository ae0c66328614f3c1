public import BatchEngine
public import DStreamCore

/// Gathers single elements into a block per block interval, and pushes the blocks in order.
///
/// ```
/// initialized ── start ──▶ active ── stop ──▶ stoppedAddingData ──▶ stoppedGeneratingBlocks
///      │                     │                      │                          │
///      └──── run ends ───────┴──────────────────────┴──▶ stoppedAll ◀── all blocks pushed
/// ```
///
/// Blocks are cut at the times of a grid of block intervals, when asked (a batch tick does), and when
/// one is full. Nothing runs while nothing is added.
///
/// ## Back-pressure
/// Adding suspends while the block being gathered is full and as many blocks wait as may; above a rate
/// limit it suspends until the limit allows the elements.
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
    private nonisolated let clock: any StreamClock
    private nonisolated let alignment: BatchAlignment
    private let numbering: BlockNumbering
    private let budget: ReceivedBlockBudget?
    private nonisolated let queue: AsyncMonitor<BlockQueue>
    /// When the block being gathered is due; nil while there is none.
    private nonisolated let due = AsyncMonitor<BatchTime?>(nil)
    private nonisolated let rateVersion = AsyncMonitor(0)
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
        try configuration.validate()
        alignment = try BatchAlignment(period: configuration.blockInterval)
        self.numbering = numbering
        self.clock = clock
        self.listener = listener
        self.budget = budget
        buffer = BlockBuffer(
            maxRecords: configuration.maxBlockRecords, maxBytes: configuration.maxBlockBytes,
            limiter: RateLimiter(configuration: configuration.rate, now: clock.monotonicNow))
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
    /// Returns at once when it was stopped before.
    ///
    /// - Precondition: called once.
    public func run() async {
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
            // Nobody runs the generator yet, so the queue is drained here, and `run` finds it ended.
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

    /// Cuts what was gathered and waits until it is pushed, or until pushing waits for room that only
    /// running batches make.
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
        guard queue.read({ $0.hasRoom && !$0.isClosed }), let taken = buffer.take() else {
            return false
        }
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
                try await clock.sleep(until: time)
                tick(time)
            }
        } catch {
            // Cancelled: the generator ends.
        }
    }

    private func tick(_ time: BatchTime) {
        // Before the cut: what is added after it makes the next time due.
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
            if let budget, !budget.tryAcquire(block.id, bytes: block.byteCount) {
                queue.update { $0.isHeld = true }
                try await budget.acquire(block.id, bytes: block.byteCount)
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

extension BlockGenerator {
    // MARK: Adding

    /// Adds an element; nobody hears of it, it may be lost with its block.
    ///
    /// - Throws: ``ReceiverError/Code/notActive``, or `CancellationError` while waiting for room; the
    ///   element was not added.
    @inlinable
    public nonisolated func add(_ element: Element) async throws {
        let addition = buffer.append(element)
        if addition.isAdded {
            if addition.isFirst { noteFirst() }
            return
        }
        try await addSlowly([element])
    }

    /// Adds elements in order; they may end up in several blocks.
    ///
    /// - Throws: ``ReceiverError/Code/notActive``, or `CancellationError` while waiting for room; some
    ///   of the first elements may have been added.
    @inlinable
    public nonisolated func add(contentsOf elements: [Element]) async throws {
        var start = 0
        while start < elements.count {
            let end = try await admitSlice(of: elements.count, from: start)
            while start < end {
                switch buffer.append(elements, from: start, to: end) {
                case .added(let through, let isFirst):
                    start = through
                    if isFirst { noteFirst() }
                case .full: try await makeRoom()
                case .inactive: throw ReceiverError.inactive()
                }
            }
        }
    }

    /// Adds an element and tells the listener, before any later block is cut.
    public func add(_ element: Element, metadata: Listener.Metadata) async throws {
        try await add(contentsOf: [element], metadata: metadata)
    }

    /// Adds elements to one block and tells the listener, before any later block is cut.
    public func add(contentsOf elements: [Element], metadata: Listener.Metadata) async throws {
        try await admit(elements.count)
        while true {
            switch buffer.appendTogether(elements) {
            case .added(_, let isFirst):
                // No suspension in between: a cut is a step of this actor.
                listener.onAddData(elements, metadata: metadata)
                if isFirst { noteFirst() }
                return
            case .full: try await makeRoom()
            case .inactive: throw ReceiverError.inactive()
            }
        }
    }

    /// Adds a piece that stays as it is, behind what was added before.
    ///
    /// - Throws: as ``add(_:)``.
    public nonisolated func add(
        piece: PartitionData, recordCount: Int, byteCount: Int
    ) async throws {
        try await admit(recordCount)
        while true {
            switch buffer.append(piece, records: recordCount, bytes: byteCount) {
            case .added(_, let isFirst):
                if isFirst { noteFirst() }
                return
            case .full: try await makeRoom()
            case .inactive: throw ReceiverError.inactive()
            }
        }
    }

    @usableFromInline
    nonisolated func addSlowly(_ elements: [Element]) async throws {
        try await add(contentsOf: elements)
    }

    /// Says when the block is due whose first element was just added.
    @usableFromInline
    nonisolated func noteFirst() {
        let time = alignment.firstTime(after: clock.now)
        due.update { $0 = $0 ?? time }
    }

    /// Cuts the full block, suspending while the queue has no room for it.
    @usableFromInline
    func makeRoom() async throws {
        while phase == .active, buffer.isFull, !cut() {
            try await queue.wait(for: { $0.hasRoom || $0.isClosed })
        }
    }

    // MARK: The rate

    /// The present limit in elements per second; nil: none.
    public nonisolated var rateLimit: Int64? { buffer.rateLimit }

    /// Changes the rate limit, within the configured highest.
    ///
    /// - Returns: the new limit; nil if it is the old one.
    @discardableResult
    public nonisolated func updateRate(_ elementsPerSecond: Double) -> Int64? {
        let limit = buffer.updateRate(elementsPerSecond, now: clock.monotonicNow)
        if limit != nil { rateVersion.update { $0 += 1 } }
        return limit
    }

    /// Suspends until the rate limit allows so many elements.
    nonisolated func admit(_ count: Int) async throws {
        guard buffer.rateLimit != nil, var (wait, limit) = buffer.admit(count, now: now) else {
            return
        }
        while wait > .zero {
            let (start, version) = (now, rateVersion.read { $0 })
            try await sleep(for: wait, unlessRateChangesFrom: version)
            wait -= now - start
            let newLimit = buffer.rateLimit ?? .max
            // What is still owed is paid at the new rate.
            if newLimit != limit { wait = wait * (Double(limit) / Double(newLimit)) }
            limit = newLimit
        }
    }

    /// Waits until some of the elements from `start` may be added; returns the end of those.
    @usableFromInline
    nonisolated func admitSlice(of count: Int, from start: Int) async throws -> Int {
        guard let limit = buffer.rateLimit else { return count }
        // Tenths of a second, so that a large array does not pass in one piece.
        let slice = Int(clamping: max(1, limit / 10))
        let end = start + min(count - start, slice)
        try await admit(end - start)
        return end
    }

    private nonisolated var now: Duration { clock.monotonicNow }

    private nonisolated func sleep(
        for duration: Duration, unlessRateChangesFrom version: Int
    ) async throws {
        let (clock, rateVersion) = (clock, rateVersion)
        try await firstOf {
            try await clock.sleep(for: duration)
        } or: {
            try await rateVersion.wait(for: { $0 != version })
        }
    }
}

extension ReceiverError {
    @usableFromInline
    static func inactive() -> ReceiverError { .notActive }
}
