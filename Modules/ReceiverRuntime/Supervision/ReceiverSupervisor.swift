public import DStreamCore

/// What a supervisor works with, the same for all receivers of a tracker.
public struct ReceiverEnvironment: Sendable {
    /// How receivers are set up.
    public var configuration: ReceiverConfiguration
    /// The source of time.
    public var clock: any StreamClock
    /// Stores blocks.
    public var handler: any ReceivedBlockHandler
    /// Takes reports of stored blocks.
    public var reporter: any ReceivedBlockReporting
    /// Bounds stored blocks over all receivers.
    public var budget: ReceivedBlockBudget
    /// Hears of receivers that start, fail and stop.
    public var bus: ListenerBus
    /// The highest number that an earlier run gave to a block of the stream.
    public var lastBlockNumber: Int64?

    /// Makes an environment.
    public init(
        configuration: ReceiverConfiguration, clock: any StreamClock,
        handler: any ReceivedBlockHandler, reporter: any ReceivedBlockReporting,
        budget: ReceivedBlockBudget, bus: ListenerBus, lastBlockNumber: Int64? = nil
    ) {
        self.lastBlockNumber = lastBlockNumber
        self.configuration = configuration
        self.clock = clock
        self.handler = handler
        self.reporter = reporter
        self.budget = budget
        self.bus = bus
    }
}

/// A supervisor whose receiver's element type is forgotten.
protocol Supervisor: Actor {
    nonisolated var info: ReceiverInfo { get }
    func run() async
    func stop(drains: Bool) async
    func cutAndPush() async
    func abandon()
    nonisolated func updateRate(_ elementsPerSecond: Double)
}

/// Runs one receiver: starts it, starts it again when it ends, and stores what it receives.
///
/// ## Ordering
/// The stop of a receiver is posted when its `run` has ended, before its last blocks are stored.
///
/// ## Cancellation
/// Cancelling the task of `run()` ends the receiver and drops what is not stored.
public actor ReceiverSupervisor<Source: Receiver>: Supervisor {
    private let receiver: Source
    private let environment: ReceiverEnvironment
    private nonisolated let status: ReceiverStatus
    private nonisolated let generator: BlockGenerator<StoringListener<Source.Element>>
    private let sink: BlockSink
    private let orders = AsyncMonitor(SupervisorOrders())
    private var control: ReceiverControl?
    private var hasBegun = false

    /// Creates a supervisor.
    ///
    /// - Parameters:
    ///   - receiver: what is run.
    ///   - streamID: the stream it feeds.
    ///   - environment: what it works with.
    /// - Throws: ``ReceiverError/Code/badConfiguration``.
    public init(
        _ receiver: Source, streamID: StreamID, environment: ReceiverEnvironment
    ) throws {
        self.receiver = receiver
        self.environment = environment
        let clock = environment.clock
        let numbering = BlockNumbering(streamID: streamID, after: environment.lastBlockNumber)
        status = ReceiverStatus(
            streamID: streamID, name: receiver.name, clock: clock, bus: environment.bus)
        sink = BlockSink(
            streamID: streamID, numbering: numbering, handler: environment.handler,
            reporter: environment.reporter, budget: environment.budget, clock: clock)
        generator = try BlockGenerator(
            numbering: numbering, configuration: environment.configuration, clock: clock,
            listener: StoringListener(sink: sink, status: status), budget: environment.budget,
            cutsOnPool: true)
    }

    /// What is known of the receiver.
    public nonisolated var info: ReceiverInfo { status.info }

    /// Runs the receiver until stopped or cancelled; leaving means that everything has ended.
    ///
    /// - Precondition: called once.
    public func run() async {
        precondition(!hasBegun, "a receiver supervisor is run twice")
        hasBegun = true
        await generator.start()
        await withTaskGroup(of: Void.self) { group in
            let generator = generator
            group.addTask { await generator.run() }
            await keepReceiving()
            if orders.read({ $0.drains }), !Task.isCancelled {
                await generator.stop()
            } else {
                group.cancelAll()
            }
        }
        orders.update { $0.hasEnded = true }
    }

    /// Stops the receiver, and returns when `run()` has done its work.
    ///
    /// - Parameter drains: whether what was received is stored and reported; else it is dropped.
    public func stop(drains: Bool) async {
        orders.update { $0.stop(drains: drains) }
        if drains { generator.liftRateLimit() }
        control?.ask(.stopByDriver)
        guard hasBegun else { return }
        try? await orders.wait(for: \.hasEnded)
    }

    /// Cuts what was received into a block and waits until it is stored and reported, or until
    /// storing waits for room that only running batches make.
    public func cutAndPush() async { await generator.cutAndPush() }

    /// Gives up on a receiver that does not end although it was stopped.
    ///
    /// Its thread is left, and ``run()`` goes on as if it had ended. What it stores from then on is
    /// refused.
    public func abandon() { control?.abandon() }

    /// Changes the rate limit and tells listeners if it is another.
    public nonisolated func updateRate(_ elementsPerSecond: Double) {
        guard let limit = generator.updateRate(elementsPerSecond) else { return }
        status.post(.rateUpdated(stream: status.streamID, elementsPerSecond: limit))
    }

    // MARK: The receiver

    private func keepReceiving() async {
        let restarts = ReceiverRestarts(
            status: status, clock: environment.clock,
            delay: environment.configuration.restartDelay, orders: orders)
        while restarts.isWanted {
            guard await restarts.follow(await receiveOnce()) else { return }
        }
    }

    private func receiveOnce() async -> ReceiverEnding {
        let control = ReceiverControl()
        self.control = control
        defer { self.control = nil }
        if orders.read({ $0.isStopping }) { control.ask(.stopByDriver) }
        let output = ReceiverOutput<Source.Element>(
            configuration: environment.configuration, generator: generator, sink: sink,
            control: control, status: status)
        status.started()
        return await control.run(receiver, output)
    }
}
