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
    /// What ended a run of the receiver.
    private enum Ending {
        case cancelled
        case stoppedByDriver
        case restart(message: String, error: (any Error)?, delay: Duration)
        case stoppedItself(message: String)
    }

    /// What the supervisor has been told.
    private struct Orders: Sendable {
        var isStopping = false
        var drains = true
        var hasEnded = false
    }

    private let receiver: Source
    private let environment: ReceiverEnvironment
    private nonisolated let status: ReceiverStatus
    private nonisolated let generator: BlockGenerator<StoringListener<Source.Element>>
    private let sink: BlockSink
    private let orders = AsyncMonitor(Orders())
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
            listener: StoringListener(sink: sink, status: status), budget: environment.budget)
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
        orders.update { orders in
            orders.drains = drains && (orders.drains || !orders.isStopping)
            orders.isStopping = true
        }
        control?.ask(.stopByDriver)
        guard hasBegun else { return }
        try? await orders.wait(for: \.hasEnded)
    }

    /// Cuts what was received into a block and waits until it is stored and reported, or until
    /// storing waits for room that only running batches make.
    public func cutAndPush() async { await generator.cutAndPush() }

    /// Changes the rate limit and tells listeners if it is another.
    public nonisolated func updateRate(_ elementsPerSecond: Double) {
        guard let limit = generator.updateRate(elementsPerSecond) else { return }
        status.post(.rateUpdated(stream: status.streamID, elementsPerSecond: limit))
    }

    // MARK: The receiver

    private func keepReceiving() async {
        while !orders.read({ $0.isStopping }), !Task.isCancelled {
            let delay: Duration
            switch await receiveOnce() {
            case .cancelled, .stoppedByDriver:
                status.stopped("Stopped by driver", nil)
                return
            case .restart(let message, let error, let wait):
                let text =
                    "Restarting receiver with delay \(wait.milliseconds)ms: \(message)"
                let info = status.stopped(text, error)
                status.post(.receiverRestarting(info, after: wait))
                delay = wait
            case .stoppedItself(let message):
                let info = status.stopped(message, nil)
                delay = environment.configuration.restartDelay
                status.post(.receiverRestarting(info, after: delay))
            }
            guard await pause(for: delay) else { return }
        }
    }

    private func receiveOnce() async -> Ending {
        let control = ReceiverControl()
        self.control = control
        if orders.read({ $0.isStopping }) { control.ask(.stopByDriver) }
        let output = ReceiverOutput<Source.Element>(
            configuration: environment.configuration, generator: generator, sink: sink,
            control: control, status: status)
        status.started()
        let outcome = await outcome(of: receiver, output, control)
        self.control = nil
        if case .stopByDriver? = control.current { return .stoppedByDriver }
        if Task.isCancelled { return .cancelled }
        let delay = environment.configuration.restartDelay
        switch control.current {
        case .restart(let message, let error, let wait):
            return .restart(message: message, error: error, delay: wait ?? delay)
        case .stop(let message): return .stoppedItself(message: message)
        case .stopByDriver: return .stoppedByDriver
        case nil: break
        }
        switch outcome {
        case .success: return .stoppedItself(message: "The receiver ended by itself")
        case .failure(let error):
            return .restart(message: "\(error)", error: error, delay: delay)
        }
    }

    /// Runs the receiver until it ends, cancelling it once something is asked.
    private func outcome(
        of receiver: Source, _ output: ReceiverOutput<Source.Element>, _ control: ReceiverControl
    ) async -> Result<Void, any Error> {
        await withTaskGroup(of: Result<Void, any Error>?.self) { group in
            group.addTask {
                do {
                    try await receiver.run(output)
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                try? await control.wait()
                return nil
            }
            var outcome = Result<Void, any Error>.failure(CancellationError())
            for await ended in group {
                group.cancelAll()
                if let ended { outcome = ended }
            }
            return outcome
        }
    }

    /// Sleeps; false: there will be no restart.
    private func pause(for delay: Duration) async -> Bool {
        let (clock, orders) = (environment.clock, orders)
        do {
            try await firstOf {
                try await clock.sleep(for: delay)
            } or: {
                try await orders.wait(for: \.isStopping)
            }
        } catch {
            return false
        }
        return true
    }
}
