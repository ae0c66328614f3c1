public import BatchEngine
public import DStreamCore
public import FaultTolerance
public import JobGeneration
internal import ProcessEngine
public import ReceiverRuntime
internal import Synchronization

/// The one entry: declares streams, starts them, waits for their end.
///
/// ```swift
/// let ssc = StreamingContext(appName: "NetworkWordCount", batchInterval: .seconds(1))
/// let counts = ssc.socketTextStream("localhost", port: 9999)
///     .flatMap { $0.words() }
///     .map { ($0, 1) }
///     .reduceByKey(+)
/// counts.print()
///
/// try await ssc.runUntilInterrupted()
/// ```
///
/// A context goes from initialized to active to stopped and never back. Any number of contexts
/// can run in a process.
///
/// ## Isolation
/// All methods are callable from any task.
public final class StreamingContext: Sendable {
    /// Where a context is in its life.
    public enum State: String, Sendable, Hashable, CustomStringConvertible {
        /// Streams can be declared. Can transition to: active, stopped.
        case initialized = "INITIALIZED"
        /// Batches run. Can transition to: stopped.
        case active = "ACTIVE"
        /// Over for good.
        case stopped = "STOPPED"

        /// Spark's name of the state.
        public var description: String { rawValue }
    }

    /// What runs the work.
    public enum EngineSelection: Sendable {
        /// Threads of this process; nil slots: one per core.
        case localSlots(Int?)
        /// An engine of the caller's, which the context does not shut down.
        case custom(any ExecutionEngine)
        /// An engine that the context makes and shuts down.
        case made(@Sendable () -> any ExecutionEngine)

        /// Threads of this process, Spark's `local[N]` (`local[*]` without a number).
        public static func local(slots: Int? = nil) -> EngineSelection { .localSlots(slots) }

        /// Worker processes of this machine, which run the same program: what crashes in the user's
        /// closures ends a worker, not the stream.
        ///
        /// The program is a ``StreamingApplication``; see `Docs/Guides/WorkerProcesses.md`.
        ///
        /// - Parameters:
        ///   - workers: how many, at least 1; each runs one task at a time.
        ///   - taskLimit: how long a task may take before its worker is killed and the try counts as
        ///     failed; nil: for ever.
        ///   - strict: whether stages made in the body of `transform` or `foreachRDD`, which run in
        ///     this process, are refused.
        public static func processes(
            workers: Int, taskLimit: Duration? = nil, strict: Bool = false
        ) -> EngineSelection {
            .made {
                var configuration = ProcessEngine.Configuration(workers: workers)
                configuration.taskLimit = taskLimit
                configuration.isStrict = strict
                return ProcessEngine(configuration)
            }
        }
    }

    /// The parts a context is built from, each with its default.
    public struct Components: Sendable {
        /// What tells the time.
        public var clock: any StreamClock = SystemStreamClock()
        /// Where diagnostics go; warnings and errors to the standard error by default.
        public var logger: any DiagnosticLogger = StandardErrorDiagnosticLogger(
            minimumLevel: .warning)
        /// Where `print()` writes.
        public var standardOutput: @Sendable (String) -> Void = { text in
            ProcessOutput.writeStandardOutput(text)
        }
        /// Makes what stores the received blocks of a stream; nil: the engine's block store does.
        ///
        /// Batches read blocks from the engine's store, so a handler of your own puts them there
        /// too: give it the engine that the context is given. Streams declared `.writeAheadLog` have
        /// one that logs; `start()` refuses another beside it.
        public var makeReceivedBlockHandler: ReceiverRegistration.MakeHandler?
        /// Makes what estimates the rate of a stream under back-pressure; nil: a PID controller, with
        /// the configuration's settings.
        ///
        /// It is given the batch interval. What it throws is thrown by `start()`.
        public var makeRateEstimator: (@Sendable (StreamID, Duration) throws -> any RateEstimator)?
        /// Where checkpoints go; nil: into files, once a directory is set.
        public var checkpointStore: (any CheckpointStore)?
        /// Where dead letters go; nil: into files, once a directory is set.
        public var deadLetterStore: (any DeadLetterStore)?
        /// Where the checkpoint directory is.
        ///
        /// All that a context keeps is there: checkpoints, logs of received blocks, what input
        /// streams chose, dead letters. Sinks have media of their own.
        public var storageMedium: any StorageMedium = FileStorageMedium()

        /// The defaults.
        public init() {}
    }

    /// A receiver, and where it was declared.
    struct Registration: Sendable {
        let receiver: ReceiverRegistration
        let protection: InputProtection
        /// What the stream says; nil: nothing.
        var placement: ReceiverPlacement?
        let site: OperatorSite
    }

    enum Life: Sendable {
        /// Can transition to: starting, stopped.
        case initialized
        /// A call of `start()` is at work; its error, or nil, comes. Can transition to: active,
        /// stopped.
        case starting(OneShot<(any Error)?>)
        /// Can transition to: stopped, when everything has ended.
        case active(Runtime)
        case stopped(StopReport)
    }

    /// How many errors are kept for ``reportedErrors``.
    static let reportedErrorMaximum = 1000

    /// The application's name, for people and checkpoints.
    public let appName: String
    /// The time between batches.
    public let batchInterval: Duration
    /// The configuration the context was made with.
    public let configuration: Configuration
    /// The streams declared on this context.
    public let graph: DStreamGraph
    /// Makes RDDs on the context's engine: the role of Spark's `sparkContext`.
    public let batchContext: BatchContext
    /// The logs that may have lost something, by their names in the checkpoint directory.
    let acceptedLosses = Locked<[String: OperatorSite]>([:])
    let components: Components
    let ownsEngine: Bool
    let listeners = ListenerBus()
    let termination = Ending()
    let registrations = Locked<[Registration]>([])
    let life = Locked<Life>(.initialized)
    /// Where checkpoints go, once that is settled.
    let checkpoints = Locked<Checkpoints?>(nil)
    let receiverLogs = Locked<ReceiverLogs?>(nil)
    /// The directory set by ``checkpoint(_:file:line:)``.
    let checkpointDirectory = Locked<String?>(nil)
    /// Who built the graph and builds it in workers, too; nil: the graph was built in place.
    let application = Locked<(name: String, sums: DeclaredSums)?>(nil)
    private let errors = SharedValue<[StreamError]>([])

    /// Makes a context; nothing runs before ``start()``.
    ///
    /// - Parameters:
    ///   - batchInterval: whole milliseconds, more than 0; reported by ``start()`` otherwise.
    ///   - engine: what runs the work; threads of this process, one per core, by default.
    public init(
        appName: String, batchInterval: Duration, engine: EngineSelection = .local(),
        configuration: Configuration = Configuration(), components: Components = Components()
    ) {
        self.appName = appName
        self.batchInterval = batchInterval
        self.configuration = configuration
        self.components = components
        graph = DStreamGraph(batchInterval: batchInterval)
        let chosen: any ExecutionEngine
        switch engine {
        case .localSlots(let slots):
            chosen = LocalEngine(LocalEngine.Configuration(slots: slots))
            ownsEngine = true
            if let slots, slots < 1 {
                graph.record(
                    StreamError(
                        .badConfiguration,
                        "engine: .local(slots: \(slots)) has no thread; slots must be at least 1"))
            }
        case .custom(let engine):
            chosen = engine
            ownsEngine = false
        case .made(let make):
            chosen = make()
            ownsEngine = true
        }
        batchContext = BatchContext(
            engine: chosen, maxTaskFailures: configuration.maxTaskFailures,
            defaultParallelism: configuration.defaultParallelism)
        listeners.add(TroubleLog(components.logger, appName: appName))
        graph.onEvent { [listeners] in listeners.post($0) }
        graph.onLateProblem { [termination, errors, logger = components.logger] problem in
            Self.note(problem, errors, termination)
            logger.log(level: .error, "\(appName): \(problem)")
        }
        if !configuration.keysWithoutEffect.isEmpty {
            let keys = configuration.keysWithoutEffect.joined(separator: ", ")
            components.logger.log(
                level: .warning, "\(appName): these settings have no effect here: \(keys)")
        }
        if let directory = configuration.checkpointDirectory { checkpoint(directory) }
    }

    /// Where the context is in its life.
    public var state: State {
        life.withLock { life in
            switch life {
            case .initialized, .starting: .initialized
            case .active: .active
            case .stopped: .stopped
            }
        }
    }

    /// The errors of batches and late declarations so far, in order; of more than a
    /// thousand the last ones.
    public var reportedErrors: [StreamError] { errors.value }

    /// Adds a listener; one that was added already is not added again.
    public func addStreamingListener(_ listener: any StreamingListener) { listeners.add(listener) }

    /// Removes a listener.
    public func removeStreamingListener(_ listener: any StreamingListener) {
        listeners.remove(listener)
    }

    /// Remembers the RDDs of all streams for at least `duration`; can be set once.
    public func remember(_ duration: Duration, file: String = #fileID, line: UInt = #line) {
        graph.remember(duration, at: OperatorSite("remember", file: file, line: line))
    }

    /// Sets the directory for checkpoints and checks that it can be written.
    ///
    /// What operators keep, and which batches are done, is written there after every batch. To go
    /// on from it after a restart, make the context with
    /// ``getOrCreate(checkpointDirectory:create:)``. A directory that cannot be written, or that
    /// holds what an earlier run left, is reported by ``start()``.
    public func checkpoint(_ directory: String, file: String = #fileID, line: UInt = #line) {
        let site = OperatorSite("checkpoint", file: file, line: line)
        guard state == .initialized else {
            let isActive = state == .active
            return graph.record(
                StreamError(
                    isActive ? .alreadyStarted : .alreadyStopped,
                    "the checkpoint directory was set after the context was "
                        + "\(isActive ? "started" : "stopped"); it changes nothing", site: site))
        }
        // The directory is the driver's.
        if WorkerProcess.isCurrent { return graph.setCheckpointDirectory(true) }
        do {
            try CheckpointDirectory.prepare(directory, on: components.storageMedium)
        } catch {
            return graph.record(
                StreamError(
                    .checkpointUnwritable,
                    "the checkpoint directory cannot be used: \(CheckpointDirectory.text(error))",
                    site: site))
        }
        checkpointDirectory.withLock { $0 = directory }
        graph.setCheckpointDirectory(true)
    }

    /// Notes an error and lets waiters throw it.
    func report(_ error: StreamError) { Self.note(error, errors, termination) }

    private static func note(
        _ error: StreamError, _ errors: SharedValue<[StreamError]>, _ termination: Ending
    ) {
        errors.change { errors in
            if errors.count >= reportedErrorMaximum { errors.removeFirst() }
            errors.append(error)
        }
        termination.fail(error)
    }
}
