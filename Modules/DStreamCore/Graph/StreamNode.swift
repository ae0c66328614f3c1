public import BatchEngine
internal import Synchronization

/// One operator of the graph: its place, its times, and the table of what it is at each batch.
///
/// The typed part of a stream, its pipe, is in ``DStream``; a node is the same for every element
/// type.
public final class StreamNode: Sendable {
    /// Computes the plan of one batch; nil: the stream has no RDD then.
    public typealias Compute =
        @Sendable (StreamNode, BatchTime, GenerationContext) async throws -> Plan?

    /// What an operator demands of itself and of its parents.
    public struct Traits: Sendable {
        /// Whether the stream cannot run without checkpoints.
        public var mustCheckpoint = false
        /// How much longer than this stream its parents must remember.
        public var parentRemember: Duration = .zero
        /// Whether the stream's data exist before it: persisting is then for nothing.
        public var isSource = false
        /// Whether a restart finds the data of earlier batches where they were.
        @usableFromInline package var isLogged = false
        /// The level at which the operator persists itself; nil: it does not.
        public var persistLevel: StorageLevel?
        /// How many slides lie between checkpoints by default; nil: about ten seconds, and at most
        /// ten slides.
        public var checkpointSlides: Int?
        /// Whether each RDD is made of the stream's own before and of what batches brought to, and
        /// took from, its first parent's last ``parentRemember``; of other parents it is made of the
        /// RDD at the same time.
        @usableFromInline package var isIncremental = false
        /// How long the window is that the operator makes of its own one before; nil: it makes none.
        @usableFromInline package var slidWindow: Duration?
        /// The shape name of what the operator keeps between batches; nil: nothing.
        public var stateShape: String?
        /// Whether that is what comes out.
        public var givesState = false
        /// What watches the directories of a file stream; nil: the operator reads no files.
        package var files: FileInput?
        /// What chooses the ranges of offsets of a direct stream; nil: the operator reads none.
        var direct: DirectInput?
        /// Whether the operator is an input whose elements cannot be had again.
        @usableFromInline package var givesOnce = false

        /// No demands.
        public init() {}
    }

    struct Settings {
        var name: String?
        /// The name or id under which checkpoints may still hold the state.
        var formerName: String?
        /// How earlier states become the operator's, by their shapes.
        var migrations: [String: StateMigration] = [:]
        var persistLevel: StorageLevel?
        var checkpointInterval: Duration?
        var remember: Duration?
        var zeroTime: BatchTime?
        var isFrozen = false
        /// How many operators are nested in the chain up to here, once frozen.
        var nesting = 0
        var boundary: Boundary?
        /// What makes elements of a batch's plan, where an output may ask for them.
        var elements: (kernel: Kernel, codec: ErasedCodec?)?
        /// How what the operator keeps gets into checkpoints; nil: there is no need.
        var capture: StateCapture?
        /// The same for the stream's elements, where the operator keeps something else.
        var elementCapture: StateCapture?
        /// Whether a source is persisted nevertheless, as its data end with the program.
        var isCopied = false
        /// Whether it would be with checkpoints: workers, who do not know, number kernels as the driver.
        var isCopyable = false
        /// How batches of keys are dealt out, where windows put several side by side.
        var deal: ErasedDeal?
        /// How far back later batches ask for the stream's.
        var asked: Duration = .zero
        /// How long the user has this stream remembered, apart from the others.
        var ownRemember: Duration = .zero
        /// The first type without codec among what checkpoints would have to keep.
        var uncapturable: (type: Any.Type, isState: Bool)?
        var plans: [BatchTime: Plan] = [:]
        /// No plan is older; nil: there is none.
        var oldestPlan: BatchTime?
        /// Batches of a stream that chooses what they read, generated in this run.
        var begun: Set<BatchTime> = []
        /// Batches that could not be made.
        var failed: Set<BatchTime> = []
        /// Whether an input stream gives nothing but what dead letters hold.
        var isReplaying = false
        /// Batches of an input stream without RDD.
        var withoutRDD: Set<BatchTime> = []
        /// Batches of an operator with state that the state has passed.
        var passed: Set<BatchTime> = []
        var prepare: [@Sendable (inout EngineProgram) -> Void] = []
        var release: [@Sendable () -> Void] = []
    }

    /// The kernel that fills a persisted stream's table.
    struct Boundary: Sendable {
        let kernel: Kernel
        let codec: ErasedCodec?
        let level: StorageLevel
    }

    /// The node's number in declaration order, from 0.
    public let number: Int
    /// The operator and its place.
    public let site: OperatorSite
    /// The streams it is made from.
    public let parents: [StreamNode]
    /// The time between its RDDs.
    public let slideDuration: Duration
    /// The shape name of its elements.
    public let shape: String
    let traits: Traits
    let settings: Locked<Settings>
    private let compute: Compute
    private let freezePipe: @Sendable () -> Int
    private let materialize: @Sendable (KernelID) -> (Kernel, ErasedCodec?)

    init(
        number: Int, site: OperatorSite, parents: [StreamNode], slideDuration: Duration,
        shape: String, traits: Traits, compute: @escaping Compute,
        freezePipe: @escaping @Sendable () -> Int,
        materialize: @escaping @Sendable (KernelID) -> (Kernel, ErasedCodec?)
    ) {
        self.number = number
        self.site = site
        self.parents = parents
        self.slideDuration = slideDuration
        self.shape = shape
        self.traits = traits
        self.compute = compute
        self.freezePipe = freezePipe
        self.materialize = materialize
        var settings = Settings()
        settings.persistLevel = traits.persistLevel
        self.settings = Locked(settings)
    }

    /// Whether children start a stage of their own on what this node keeps.
    @usableFromInline
    var isBoundary: Bool {
        settings.withLock { settings in
            settings.persistLevel != nil && (!traits.isSource || settings.isCopied)
        }
    }

    /// How long its RDDs are remembered; set when the graph starts.
    public var rememberDuration: Duration? { settings.withLock { $0.remember } }

    /// How often it is checkpointed; nil: never.
    public var checkpointInterval: Duration? { settings.withLock { $0.checkpointInterval } }

    /// The batch times whose RDDs are remembered now, ascending.
    public var rememberedTimes: [BatchTime] { settings.withLock { $0.plans.keys.sorted() } }

    /// The name given by the user; nil: matched by position.
    public var name: String? { settings.withLock { $0.name } }
}

extension StreamNode {
    /// Adds a step to be done when the graph is frozen, in declaration order.
    @usableFromInline
    func onFreeze(_ step: @escaping @Sendable (inout EngineProgram) -> Void) {
        settings.withLock { $0.prepare.append(step) }
    }

    /// Adds a step to be done when the graph is cleared.
    @usableFromInline
    func onClear(_ step: @escaping @Sendable () -> Void) {
        settings.withLock { $0.release.append(step) }
    }

    /// Notes that the state has passed a batch: there is no way back to it.
    func notePassed(_ time: BatchTime) { settings.withLock { _ = $0.passed.insert(time) } }

    /// Whether the state has passed a batch.
    func isPassed(_ time: BatchTime) -> Bool { settings.withLock { $0.passed.contains(time) } }

    /// What makes elements in memory of a batch's plan, and their codec.
    var elementKernel: (kernel: Kernel, codec: ErasedCodec?) {
        if let elements = settings.withLock({ $0.elements }) { return elements }
        let (kernel, codec) = materialize(.nextDynamic())
        // What is kept are the elements already.
        if !isBoundary { return (kernel, codec) }
        return (Kernel(id: kernel.id, site: site) { _, inputs, _ in inputs }, codec)
    }

    /// Whether a batch could not be made.
    func hasFailedToMake(_ time: BatchTime) -> Bool {
        settings.withLock { $0.failed.contains(time) }
    }

    func freeze(_ program: inout EngineProgram) {
        let steps = settings.withLock { settings in
            settings.isFrozen = true
            return settings.prepare
        }
        for step in steps { step(&program) }
        let nesting = freezePipe()
        let (isCopyable, level) = settings.withLock { settings in
            settings.nesting = nesting
            return (settings.isCopyable, settings.persistLevel)
        }
        guard isBoundary || isCopyable, let level else { return }
        let (kernel, codec) = addMaterialize(to: &program)
        guard isBoundary else {
            return settings.withLock { $0.elements = (kernel, codec) }
        }
        settings.withLock { settings in
            settings.boundary = Boundary(kernel: kernel, codec: codec, level: level)
            guard let reach = elementReach(settings) else { return }
            guard codec != nil else { return noteUncapturable(kernel, &settings) }
            if traits.isIncremental, settings.asked <= slideDuration {
                settings.capture = incrementalCapture()
            } else if traits.stateShape == nil, !choosesParts {
                settings.capture = elementCapture(reach)
            } else {
                settings.elementCapture = elementCapture(reach)
            }
        }
    }

    /// Gives what makes the elements a number, for an output that may ask for them.
    func freezeElements(_ program: inout EngineProgram) {
        if isBoundary || settings.withLock({ $0.elements != nil }) { return }
        let elements = addMaterialize(to: &program)
        settings.withLock { $0.elements = elements }
    }

    private func addMaterialize(
        to program: inout EngineProgram
    ) -> (kernel: Kernel, codec: ErasedCodec?) {
        var codec: ErasedCodec?
        let kernel = program.add { id in
            let made = materialize(id)
            codec = made.1
            return made.0
        }
        return (kernel, codec)
    }

    /// How far back batches have to be in checkpoints as later ones ask for them; nil: none has.
    func elementReach(_ settings: Settings) -> Duration? {
        if settings.persistLevel == nil || traits.isSource && !settings.isCopied { return nil }
        // Operators with state remember more than anyone asks for, and parts can be read again.
        let isAsked = traits.stateShape != nil || choosesParts
        let reach = isAsked ? settings.asked : settings.remember ?? .zero
        return reach > slideDuration ? reach : nil
    }

    /// Has checkpoints keep the batches of a source that later ones ask for and no restart would find.
    func copyUnlogged(isCheckpointed: Bool) {
        guard traits.isSource, !traits.isLogged else { return }
        settings.withLock { settings in
            settings.isCopyable = settings.asked > slideDuration && settings.persistLevel != nil
            settings.isCopied = settings.isCopyable && isCheckpointed
        }
    }

    /// Notes in the parents how far back they are asked for batches, once the children have done so.
    ///
    /// - Parameter remember: how far back the user asks.
    func demandPanes(_ remember: Duration?) {
        let reach: Duration? = settings.withLock { settings in
            if settings.zeroTime == nil { return nil }
            settings.asked = max(settings.asked, remember ?? .zero)
            // What is in checkpoints, or a state, is not made again of the parents.
            let isKept = traits.stateShape != nil || elementReach(settings) != nil
            return traits.parentRemember + (isKept ? .zero : settings.asked)
        }
        guard let reach else { return }
        for parent in lastingParents {
            parent.settings.withLock { $0.asked = max($0.asked, reach) }
        }
    }

    /// What is wrong with keeping this stream, once frozen.
    var codecProblem: StreamError? {
        guard let boundary = settings.withLock({ $0.boundary }), boundary.level.needsCodec,
            boundary.codec == nil
        else { return nil }
        return StreamError(
            .codecMissing,
            "persist(\(boundary.level)) turns elements into bytes and \(shape) has no codec; "
                + "declare the type StreamCodable or persist with .memoryOnly", site: site)
    }

    /// The plan at `time`, computed at most once per batch.
    ///
    /// - Throws: ``StreamError`` `.notStarted` before the graph is started; what the operator
    ///   throws otherwise.
    public func plan(at time: BatchTime, _ context: GenerationContext) async throws -> Plan? {
        let (known, isValid) = try settings.withLock { settings in
            guard let zeroTime = settings.zeroTime else {
                throw StreamError(.notStarted, "the stream has not been started", site: site)
            }
            if let plan = settings.plans[time] { return (Optional(plan), true) }
            let offset = time.milliseconds - zeroTime.milliseconds
            let slide = max(1, slideDuration.milliseconds)
            return (nil, offset > 0 && offset % slide == 0 && !settings.isReplaying)
        }
        if let known { return known }
        guard isValid else { return nil }
        guard var plan = try await computed(time, context) else {
            if parents.isEmpty { settings.withLock { _ = $0.withoutRDD.insert(time) } }
            return nil
        }
        settings.withLock { settings in
            if let boundary = settings.boundary {
                plan = .dataset(
                    Dataset(
                        kernel: boundary.kernel, input: plan, level: boundary.level,
                        codec: boundary.codec, cutsLineage: true))
            }
            settings.plans[time] = plan
            settings.oldestPlan = min(settings.oldestPlan ?? time, time)
        }
        return plan
    }

    private func computed(
        _ time: BatchTime, _ context: GenerationContext
    ) async throws -> Plan? {
        do { return try await compute(self, time, context) } catch {
            settings.withLock { _ = $0.failed.insert(time) }
            throw error
        }
    }

    /// The newest batch before `time` that can be built on: made if need be, and not known to have
    /// failed; nil when none is remembered.
    package func newestGood(
        before time: BatchTime, _ context: GenerationContext
    ) async -> (time: BatchTime, plan: Plan)? {
        var candidate = time - slideDuration
        while true {
            let (isKnownBad, isTooOld) = settings.withLock { settings in
                let remembered = settings.remember ?? slideDuration
                return (
                    settings.failed.contains(candidate),
                    candidate <= (settings.zeroTime ?? .zero) || candidate <= time - remembered
                )
            }
            if isTooOld { return nil }
            if !isKnownBad, let plan = try? await plan(at: candidate, context) {
                guard case .dataset(let dataset) = plan, dataset.hasFailed else {
                    return (candidate, plan)
                }
            }
            candidate = candidate - slideDuration
        }
    }

    /// The plans of the stream's batches from `start` to `end`, oldest first; times without an
    /// RDD are skipped, times off the slide are rounded down.
    @usableFromInline
    package func plans(
        from start: BatchTime, through end: BatchTime, _ context: GenerationContext,
        beforeEach check: () async throws -> Void = {}
    ) async throws -> [(time: BatchTime, plan: Plan)] {
        guard let zeroTime = settings.withLock({ $0.zeroTime }) else {
            throw StreamError(.notStarted, "the stream has not been started", site: site)
        }
        let slide = max(1, slideDuration.milliseconds)
        let zero = zeroTime.milliseconds
        // Division truncates towards zero, as Spark's Time.floor does.
        // There is nothing before zero time, however long the window.
        let offset = max(start.milliseconds.saturatingSubtract(zero), 0)
        var time = (offset / slide * slide).saturatingAdd(zero)
        let last = (end.milliseconds.saturatingSubtract(zero) / slide * slide).saturatingAdd(zero)
        var plans: [(time: BatchTime, plan: Plan)] = []
        while time <= last {
            try await check()
            let batch = BatchTime(milliseconds: time)
            if time >= zero, let plan = try await plan(at: batch, context) {
                plans.append((batch, plan))
            }
            time += slide
        }
        return plans
    }
}

extension StreamNode {
    /// Sets times at start.
    func initialize(zeroTime: BatchTime) {
        settings.withLock { settings in
            settings.zeroTime = zeroTime
            if traits.mustCheckpoint, settings.checkpointInterval == nil {
                let slides =
                    traits.checkpointSlides
                    ?? min(10, Int((Duration.seconds(10).ratio(to: slideDuration)).rounded(.up)))
                settings.checkpointInterval = slideDuration * max(1, slides)
            }
            var minimum = slideDuration
            if let interval = settings.checkpointInterval, minimum <= interval {
                // Twice, so that the latest checkpointed RDD is never forgotten.
                minimum = interval * 2
            }
            settings.remember = max(settings.remember ?? minimum, minimum)
        }
    }

    /// Makes the stream remember at least `duration`.
    func remember(_ duration: Duration) {
        settings.withLock { $0.remember = max($0.remember ?? .zero, duration) }
    }

    /// Makes the parents remember as long as the stream needs them, once its children have done so.
    ///
    /// Each stream once, in the order of the graph: it can have very many paths, and be very deep.
    func demandMemory() {
        guard let demand = settings.withLock({ $0.remember }) else { return }
        for parent in lastingParents { parent.remember(demand + traits.parentRemember) }
        for parent in parents.dropFirst(lastingParents.count) { parent.remember(slideDuration) }
    }

    /// The parents of which earlier RDDs are needed as long as the stream's own are remembered.
    private var lastingParents: ArraySlice<StreamNode> {
        traits.isIncremental ? parents.prefix(1) : parents[...]
    }

    /// Batches without a plan, one after the other, after which the next plan is looked for in the
    /// table: after a long pause there may be years of them.
    static let longGap = 1000

    /// Forgets RDDs that no batch after `time` needs.
    ///
    /// - Parameter dropped: gets their plans: the end of one can be the end of datasets, which is
    ///   not for under the lock.
    func clearMetadata(_ time: BatchTime, _ dropped: inout [Plan]) {
        settings.withLock { settings in
            guard let remember = settings.remember else { return }
            let threshold = time - remember
            // Along the grid, not through the table: a long window remembers thousands of plans.
            var gap = 0
            while let oldest = settings.oldestPlan, oldest <= threshold {
                if let plan = settings.plans.removeValue(forKey: oldest) {
                    dropped.append(plan)
                    gap = 0
                }
                gap += 1
                if settings.plans.isEmpty {
                    settings.oldestPlan = nil
                } else if gap > Self.longGap {
                    settings.oldestPlan = settings.plans.keys.min()
                    gap = 0
                } else {
                    settings.oldestPlan = oldest + slideDuration
                }
            }
            settings.begun.removeAll(through: threshold)
            settings.failed.removeAll(through: threshold)
            settings.withoutRDD.removeAll(through: threshold)
            settings.passed.removeAll(through: threshold)
        }
    }

    /// What is wrong with the stream's checkpoint settings.
    func checkpointProblem(hasDirectory: Bool) -> StreamError? {
        let interval = settings.withLock { $0.checkpointInterval }
        if traits.mustCheckpoint, !hasDirectory {
            return StreamError(
                .checkpointDirectoryMissing,
                "\(site.name) needs a checkpoint directory: call checkpoint(_:) on the "
                    + "StreamingContext", site: site)
        }
        guard let interval else { return nil }
        if !hasDirectory {
            return StreamError(
                .checkpointDirectoryMissing,
                "\(site.name) has a checkpoint interval and there is no checkpoint directory: call "
                    + "checkpoint(_:) on the StreamingContext, or leave the interval out",
                site: site)
        }
        if interval < slideDuration {
            return StreamError(
                .checkpointInterval,
                "the checkpoint interval \(interval.milliseconds) ms is lower than the slide "
                    + "\(slideDuration.milliseconds) ms; set it to at least the slide", site: site)
        }
        if interval.milliseconds % max(1, slideDuration.milliseconds) != 0 {
            return StreamError(
                .checkpointInterval,
                "the checkpoint interval \(interval.milliseconds) ms is not a multiple of the "
                    + "slide \(slideDuration.milliseconds) ms", site: site)
        }
        return nil
    }
}

extension Set<BatchTime> {
    /// Forgets the batches up to a time.
    fileprivate mutating func removeAll(through threshold: BatchTime) {
        if !isEmpty { self = filter { $0 > threshold } }
    }
}
