/// Runs plans: the port behind which a thread pool, worker processes or a cluster stand.
///
/// An engine of one's own says where tasks run; what has to run, retries and datasets are
/// ``PlanRun``'s, and what runs now is kept by ``EngineActivity``. `checkExecutionEngine` of
/// `DStreamTestKit` checks its promises.
///
/// ## Ordering
/// Requests are independent; one job's stages run in the order its plan demands.
///
/// ## Isolation
/// Callable from any task. User code never runs on the cooperative pool.
///
/// ## Cancellation
/// Cancelling the calling task ends running tasks at their next look and throws
/// `CancellationError`.
public protocol ExecutionEngine: Sendable {
    /// What this engine can do.
    var capabilities: EngineCapabilities { get }
    /// The number of partitions used where the user gave none.
    var defaultParallelism: Int { get }
    /// Where received blocks and kept datasets live.
    var blockStore: any BlockStore { get }
    /// Where operators keep state between batches; by default nowhere, and asking for it fails.
    var stateStore: any StateStore { get }

    /// Tells the engine what a graph consists of, once it is frozen and before its first request.
    ///
    /// - Throws: what keeps the engine from running it. By default there is nothing to do.
    func prepare(_ program: EngineProgram) async throws

    /// Runs `request.kernel` over the partitions of its plan.
    ///
    /// - Parameter receive: called with each partition's index and outputs as they come, from any
    ///   thread, one call at a time; it must not call the engine. An error thrown here ends the
    ///   request and is what it throws.
    /// - Throws: ``EngineError`` when a task failed for good, or with `.abandoned` when
    ///   ``abandon(reason:)`` was called meanwhile.
    func run(
        _ request: StageRequest,
        receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws

    /// Runs a driver-side body (an output operation, a `transform` closure) on the engine's own
    /// threads and waits for it.
    ///
    /// - Throws: what the body throws; ``EngineError`` with `.abandoned` when ``abandon(reason:)``
    ///   was called while the body had not returned.
    func perform(
        _ label: String, _ body: @escaping @concurrent @Sendable () async throws -> Void
    ) async throws

    /// Gives up on everything still running: callers get an error at once, and the engine takes no
    /// further work. For closures that never return.
    ///
    /// - Returns: what was running, in words.
    @discardableResult
    func abandon(reason: String) -> [String]

    /// Waits for nothing, ends the engine's threads; idempotent.
    func shutdown()
}

extension ExecutionEngine {
    /// Nowhere: stateful operators fail.
    public var stateStore: any StateStore { NoStateStore() }

    /// Does nothing.
    public func prepare(_ program: EngineProgram) async throws {}
}

/// What an engine can do beyond running plans.
public struct EngineCapabilities: Sendable, Hashable {
    /// Whether tasks leave the process, so that boundaries need codecs.
    public var leavesProcess: Bool
    /// Whether a received block can be kept in another process than the one that received it.
    public var replicatesBlocks: Bool
    /// How many tasks run at once.
    public var slots: Int

    /// States capabilities.
    public init(leavesProcess: Bool, replicatesBlocks: Bool, slots: Int) {
        self.leavesProcess = leavesProcess
        self.replicatesBlocks = replicatesBlocks
        self.slots = slots
    }
}

/// One stage to run: a kernel over (some) partitions of a plan.
public struct StageRequest: Sendable {
    /// Where the kernel's inputs come from.
    public var plan: Plan
    /// What runs over each partition.
    public var kernel: Kernel
    /// Which partitions; nil means all.
    public var partitions: Range<Int>?
    /// The batch in milliseconds since the epoch, or nil outside a streaming batch.
    public var batchMilliseconds: Int64?
    /// How often a task is tried before the request fails; at least 1.
    public var maxTaskFailures: Int
    /// The number of the first try of each task: those of a job that runs again go on after the
    /// numbers that its tasks may have had.
    public var firstAttempt: Int

    /// Makes a request, of the job that runs here.
    public init(
        plan: Plan, kernel: Kernel, partitions: Range<Int>? = nil, batchMilliseconds: Int64?,
        maxTaskFailures: Int
    ) {
        self.plan = plan
        self.kernel = kernel
        self.partitions = partitions
        self.batchMilliseconds = batchMilliseconds
        self.maxTaskFailures = maxTaskFailures
        firstAttempt = JobAttempt.current.number * max(1, maxTaskFailures)
    }
}

/// Why an engine could not finish a request.
public struct EngineError: Error, CustomStringConvertible {
    /// What went wrong.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case taskFailed, blockMissing, abandoned, stopped, codecMissing, invalidPlan
            case badArgument, overflow, workersUnusable, refused, noThreads
        }
        private let kind: Kind

        private init(kind: Kind) { self.kind = kind }

        /// The code with a name, as another process tells it.
        package init?(name: String) {
            guard let kind = Kind(rawValue: name) else { return nil }
            self.kind = kind
        }

        /// A task failed as often as it may; `underlying` is the last try's error.
        public static let taskFailed = Code(kind: .taskFailed)
        /// An input block is no longer stored; trying again does not help.
        public static let blockMissing = Code(kind: .blockMissing)
        /// The engine gave up on a closure that did not return; what it did is unknown.
        public static let abandoned = Code(kind: .abandoned)
        /// The engine was shut down before the request.
        public static let stopped = Code(kind: .stopped)
        /// Elements had to become bytes and their type has no codec.
        ///
        /// Declare the type `StreamCodable`.
        public static let codecMissing = Code(kind: .codecMissing)
        /// The plan cannot be run: parts that do not fit together, or operators nested too deeply.
        ///
        /// Trying again does not help.
        public static let invalidPlan = Code(kind: .invalidPlan)
        /// An operator's argument makes no sense; mend the call.
        public static let badArgument = Code(kind: .badArgument)
        /// A number became too large for its type; trying again does not help.
        public static let overflow = Code(kind: .overflow)
        /// Worker processes cannot be started, or are not the same program as this one.
        public static let workersUnusable = Code(kind: .workersUnusable)
        /// The engine's strict mode does not allow it; the message names the alternative.
        public static let refused = Code(kind: .refused)
        /// The system starts no thread for the work; the message says how many there are, and what to do.
        public static let noThreads = Code(kind: .noThreads)
        /// The code's name.
        public var description: String { kind.rawValue }
    }

    /// What went wrong.
    public let code: Code
    /// The operator, when one is to blame.
    public let site: OperatorSite?
    /// The partition whose task failed.
    public let partition: Int?
    /// How often the task was tried.
    public let attempts: Int
    /// What happened, in words.
    public let message: String
    /// The error that a user closure or the system threw.
    public let underlying: (any Error)?

    /// Makes an error.
    public init(
        _ code: Code, _ message: String, site: OperatorSite? = nil, partition: Int? = nil,
        attempts: Int = 0, underlying: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.site = site
        self.partition = partition
        self.attempts = attempts
        self.underlying = underlying
    }

    /// Code, place and cause in one line.
    public var description: String {
        var text = "\(code): \(message)"
        if let site { text += " [operator \(site)]" }
        if let partition { text += " [partition \(partition)" }
        if partition != nil { text += attempts > 0 ? ", \(attempts) attempts]" : "]" }
        if let underlying { text += ": \(underlying)" }
        return text
    }
}
