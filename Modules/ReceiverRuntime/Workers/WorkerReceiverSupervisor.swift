internal import BatchEngine
internal import DStreamCore
internal import Synchronization

/// Has a receiver run in a worker process of its own, and stores what it sends.
///
/// The receiver is started again in the same process when it ends, and in a fresh one when its
/// process has ended. A block is answered when it is stored and reported, so what was acknowledged
/// does not depend on the worker any more.
///
/// ## Cancellation
/// Cancelling the task of `run()` ends the process.
actor WorkerReceiverSupervisor: Supervisor {
    /// What waits to be sent; whatever it was that came first.
    private struct Outbox: Sendable {
        var start: ReceiverOrder?
        var rate: Double?
        var isStopping = false
        /// The answer to the block that was sent last.
        var answer: ReceiverOrder?

        /// The orders, in the order in which they make sense.
        mutating func take() -> [ReceiverOrder]? {
            let orders =
                [start, rate.map { .rate($0) }, answer, isStopping ? .stop : nil]
                .compactMap(\.self)
            self = Outbox()
            return orders.isEmpty ? nil : orders
        }
    }

    private let engine: any ServiceEngine
    private let environment: ReceiverEnvironment
    private nonisolated let status: ReceiverStatus
    private let sink: BlockSink
    private let orders = AsyncMonitor(SupervisorOrders())
    private nonisolated let outbox = AsyncMonitor(Outbox())
    private nonisolated let limiter: Locked<RateLimiter>
    private var hasBegun = false

    init(
        _ name: String, streamID: StreamID, engine: any ServiceEngine,
        environment: ReceiverEnvironment
    ) {
        self.engine = engine
        self.environment = environment
        let clock = environment.clock
        status = ReceiverStatus(
            streamID: streamID, name: name, executorID: "worker", clock: clock,
            bus: environment.bus)
        sink = BlockSink(
            streamID: streamID,
            numbering: BlockNumbering(streamID: streamID, after: environment.lastBlockNumber),
            handler: environment.handler, reporter: environment.reporter,
            budget: environment.budget, clock: clock)
        limiter = Locked(
            RateLimiter(
                configuration: environment.configuration.limiterConfiguration,
                now: clock.monotonicNow))
    }

    nonisolated var info: ReceiverInfo { status.info }

    func run() async {
        precondition(!hasBegun, "a receiver supervisor is run twice")
        hasBegun = true
        let orders = orders
        try? await firstOf {
            await self.keepReceiving()
        } or: {
            try await orders.wait(for: { $0.isStopping && !$0.drains })
        }
        orders.update { $0.hasEnded = true }
    }

    func stop(drains: Bool) async {
        orders.update { $0.stop(drains: drains) }
        outbox.update { $0.isStopping = true }
        guard hasBegun else { return }
        try? await orders.wait(for: \.hasEnded)
    }

    /// Does nothing: the receiver cuts its blocks by itself, and a batch takes those that are here.
    func cutAndPush() async {}

    /// Does nothing: with its process, which the engine ends, the receiver has ended.
    func abandon() {}

    nonisolated func updateRate(_ elementsPerSecond: Double) {
        let now = environment.clock.monotonicNow
        let limit: Int64? = limiter.withLock { limiter in
            let before = limiter.currentLimit
            limiter.updateRate(estimated: elementsPerSecond, now: now)
            return limiter.currentLimit == before ? nil : limiter.currentLimit
        }
        guard let limit else { return }
        outbox.update { $0.rate = Double(limit) }
        status.post(.rateUpdated(stream: status.streamID, elementsPerSecond: limit))
    }

    // MARK: The receiver

    private func keepReceiving() async {
        let restarts = ReceiverRestarts(
            status: status, clock: environment.clock,
            delay: environment.configuration.restartDelay, orders: orders)
        let number = Int(status.streamID.rawValue)
        while restarts.isWanted {
            do {
                try await engine.withService(number) { channel in
                    try await self.receive(from: channel, restarts)
                }
            } catch {
                let ending = ReceiverEnding.restart(message: "\(error)", error: error, delay: nil)
                let isOver = Task.isCancelled || orders.read(\.isStopping)
                guard await restarts.follow(isOver ? .stoppedByDriver : ending) else { return }
            }
        }
    }

    /// Has the receiver run as often as it is wanted, as long as its process lives.
    private func receive(
        from channel: any MessageChannel, _ restarts: ReceiverRestarts
    ) async throws {
        // What another process was to be told is void; how fast to be is told at the start.
        outbox.update { $0 = Outbox() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.sendOrders(to: channel) }
            defer { group.cancelAll() }
            // Of the process, not of a run: a block that is sent twice is noticed.
            var nextBlock: UInt64 = 0
            while restarts.isWanted {
                let limit = limiter.withLock { $0.isLimited ? Double($0.currentLimit) : nil }
                outbox.update { $0.start = .start(rate: limit) }
                // A stop that came before the start would have been for nobody.
                if orders.read(\.isStopping) { outbox.update { $0.isStopping = true } }
                status.started()
                guard await restarts.follow(try await receiveOnce(from: channel, &nextBlock))
                else { return }
            }
        }
    }

    private nonisolated func sendOrders(to channel: any MessageChannel) async throws {
        while true {
            for order in try await outbox.wait(until: { $0.take() }) {
                try await channel.send(order.bytes)
            }
        }
    }

    /// Stores what one run of the receiver sends.
    ///
    /// A message that is none ends the process: what it says next cannot be trusted.
    private func receiveOnce(
        from channel: any MessageChannel, _ nextBlock: inout UInt64
    ) async throws -> ReceiverEnding {
        while true {
            switch try ReceiverReport(try await channel.receive()) {
            case .block(let block):
                guard block.number == nextBlock else {
                    throw CodecError(
                        .invalidValue,
                        "the worker sent block \(block.number) in place of \(nextBlock)")
                }
                nextBlock += 1
                let answer = try await store(block)
                outbox.update { $0.answer = answer }
            case .error(let message, let cause):
                status.reportError(message, cause.map { WorkerReceiverFailure($0) })
            case .linesTruncated(let count):
                status.post(.linesTruncated(stream: status.streamID, count: count))
            case .invalidUTF8Replaced(let count):
                status.post(.invalidUTF8Replaced(stream: status.streamID, count: count))
            case .ended(let ending): return ending
            }
        }
    }

    private func store(_ block: ReceiverReport.ReportedBlock) async throws -> ReceiverOrder {
        do {
            try await sink.putDirectly(
                block.contents, recordCount: block.recordCount,
                byteCount: block.contents.reduce(0) { $0 + $1.byteCount },
                metadata: block.metadata)
            return .stored(block.number)
        } catch {
            try Task.checkCancellation()
            return .refused(block.number, "\(error)")
        }
    }
}
