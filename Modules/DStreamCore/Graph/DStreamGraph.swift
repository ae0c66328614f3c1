public import BatchEngine
internal import Synchronization

/// The static graph of streams: declared once, frozen at start, instantiated every batch.
///
/// Operators do not throw: what cannot work is recorded here with its place, and starting throws
/// everything together.
///
/// ## Isolation
/// Callable from any thread; declarations are expected from one.
public final class DStreamGraph: Sendable {
    /// Where the graph is in its life.
    public enum Phase: Sendable, Hashable {
        /// Streams can be declared. Can transition to: started, stopped.
        case declaring
        /// Frozen: batches are made from it. Can transition to: stopped.
        case started
        /// Over for good.
        case stopped
    }

    /// One declared output operation.
    struct Output: Sendable {
        let number: Int
        let site: OperatorSite
        let node: StreamNode
        let makeJob:
            @Sendable (BatchTime, Plan, GenerationContext) throws ->
                @Sendable () async throws ->
                Void
        let prepare: @Sendable (inout EngineProgram) -> Void
        var name: String?
        /// What it does about failures, as far as it says so.
        var failure: (retry: RetryPolicy, policy: FailurePolicy?)?
    }

    struct State {
        var phase = Phase.declaring
        var nodes: [StreamNode] = []
        var outputs: [Output] = []
        var inputCount = 0
        var problems: [StreamError] = []
        var remember: Duration?
        var hasCheckpointDirectory = false
        /// Whether checkpoints are written, into a directory or elsewhere.
        var hasCheckpoints = false
        var failures = FailureDefaults()
        /// The names of the outputs, once the graph is started.
        var operationIDs: [String] = []
        /// The nodes of the inputs, in the order of their numbers, once the graph is started.
        var inputNodes: [StreamNode] = []
        /// The streams that keep something of their batches, once the graph is started.
        var kept: [KeptStream] = []
        var zeroTime: BatchTime?
        /// What the graph consists of, once it is started.
        var program = EngineProgram()
        var onLateProblem: (@Sendable (StreamError) -> Void)?
        /// What tasks in other processes add to, in declaration order.
        var sums: [any SharedSum] = []
        /// With what batches are made, and the newest of them.
        var generation: (context: GenerationContext, newest: BatchTime?)?
    }

    /// The longest batch interval or window: 100 years.
    static let longestDuration = Duration.seconds(36525 * 86400)

    /// The time between batches.
    public let batchInterval: Duration
    let state = Locked(State())
    /// Names or ids of operators whose state in a checkpoint is given up.
    let discardedStates = Locked(Set<String>())
    /// What operators with another id or shape than before go on with, until it is kept anew.
    let carriedState = Locked<[OperatorState]>([])
    let turn = GenerationTurn()
    /// Where operators report; they hold it, as the graph holds them.
    let reports = EventReports()
    /// The outputs into transactional sinks, in declaration order.
    let sinks = Locked<[DeclaredSink]>([])

    /// Makes an empty graph.
    ///
    /// - Parameter batchInterval: whole milliseconds, more than 0; anything else is reported when
    ///   the graph is started.
    public init(batchInterval: Duration) {
        self.batchInterval = batchInterval
        if batchInterval <= .zero || batchInterval.wholeMilliseconds == nil
            || batchInterval > Self.longestDuration
        {
            record(
                StreamError(
                    .badInterval,
                    "the batch interval \(batchInterval) must be whole milliseconds, more than 0 "
                        + "and at most 100 years"))
        }
    }

    /// Where the graph is in its life.
    public var phase: Phase { state.withLock { $0.phase } }

    /// When batches are counted from; nil before start.
    public var zeroTime: BatchTime? { state.withLock { $0.zeroTime } }

    /// The streams in declaration order.
    public var nodes: [StreamNode] { state.withLock { $0.nodes } }

    /// The places of the output operations, in declaration order.
    public var outputSites: [OperatorSite] { state.withLock { $0.outputs.map(\.site) } }

    /// Records something that cannot work.
    public func record(_ problem: StreamError) {
        let late: (@Sendable (StreamError) -> Void)? = state.withLock { state in
            if state.phase == .declaring {
                state.problems.append(problem)
                return nil
            }
            return state.onLateProblem
        }
        late?(problem)
    }

    /// Whether something was recorded that cannot work at a place.
    package func hasProblem(at site: OperatorSite) -> Bool {
        state.withLock { state in state.problems.contains { $0.site == site } }
    }

    /// Says who is notified of declarations made too late.
    package func onLateProblem(_ notify: @escaping @Sendable (StreamError) -> Void) {
        state.withLock { $0.onLateProblem = notify }
    }

    /// Says who is told what operators report.
    package func onEvent(_ notify: @escaping @Sendable (StreamEvent) -> Void) {
        reports.notify.withLock { $0 = notify }
    }

    /// Adds what tasks add to.
    func add(_ sum: any SharedSum) { state.withLock { $0.sums.append(sum) } }

    /// Remembers RDDs of all streams for at least `duration`; can be set once.
    public func remember(_ duration: Duration, at site: OperatorSite) {
        let problem: StreamError? = state.withLock { state in
            if state.phase != .declaring { return Self.lateProblem(state.phase, site) }
            if let problem = Self.rememberProblem(duration, site) { return problem }
            if let old = state.remember {
                return StreamError(
                    .rememberAlreadySet,
                    "the remember duration is \(old.milliseconds) ms already and cannot be set "
                        + "again", site: site)
            }
            state.remember = duration
            return nil
        }
        if let problem { record(problem) }
    }

    /// Says whether there is a checkpoint directory.
    public func setCheckpointDirectory(_ isSet: Bool) {
        state.withLock { $0.hasCheckpointDirectory = isSet }
    }

    /// Adds a stream; after start or stop it is recorded as a problem and changes nothing.
    @usableFromInline
    func addNode(
        _ site: OperatorSite, parents: [StreamNode], slide: Duration, shape: String,
        traits: StreamNode.Traits, compute: @escaping StreamNode.Compute,
        freezePipe: @escaping @Sendable () -> Int,
        materialize: @escaping @Sendable (KernelID) -> (Kernel, ErasedCodec?)
    ) -> StreamNode {
        let (node, problem): (StreamNode, StreamError?) = state.withLock { state in
            let node = StreamNode(
                number: state.nodes.count, site: site, parents: parents, slideDuration: slide,
                shape: shape, traits: traits, compute: compute, freezePipe: freezePipe,
                materialize: materialize)
            if state.phase != .declaring { return (node, Self.lateProblem(state.phase, site)) }
            state.nodes.append(node)
            return (node, nil)
        }
        if let problem { record(problem) }
        return node
    }

    /// Adds an input stream and returns its number.
    @usableFromInline
    package func addInput() -> StreamID {
        state.withLock { state in
            let id = StreamID(state.inputCount)
            if state.phase == .declaring { state.inputCount += 1 }
            return id
        }
    }

    /// Adds an output operation.
    @usableFromInline
    @discardableResult
    func addOutput(
        _ site: OperatorSite, node: StreamNode,
        prepare: @escaping @Sendable (inout EngineProgram) -> Void,
        makeJob:
            @escaping @Sendable (BatchTime, Plan, GenerationContext) throws ->
            @Sendable ()
            async throws -> Void
    ) -> OutputOperation {
        let (number, problem): (Int?, StreamError?) = state.withLock { state in
            if state.phase != .declaring { return (nil, Self.lateProblem(state.phase, site)) }
            let number = state.outputs.count
            state.outputs.append(
                Output(
                    number: number, site: site, node: node, makeJob: makeJob, prepare: prepare))
            return (number, nil)
        }
        if let problem { record(problem) }
        return OutputOperation(site: site, graph: self, number: number)
    }

    /// What is wrong with how long batches are to be remembered.
    static func rememberProblem(_ duration: Duration, _ site: OperatorSite) -> StreamError? {
        if duration >= .zero { return nil }
        return StreamError(
            .badDeclaration, "the remember duration \(duration) must not be less than 0",
            site: site)
    }

    static func lateProblem(_ phase: Phase, _ site: OperatorSite) -> StreamError {
        let isStarted = phase == .started
        return StreamError(
            isStarted ? .alreadyStarted : .alreadyStopped,
            "\(site.name) was declared after the context was "
                + "\(isStarted ? "started" : "stopped"); it changes nothing. Declare everything "
                + "before start()", site: site)
    }
}

extension DStreamGraph {
    /// Validates and freezes the graph; from now on it makes batches.
    ///
    /// - Throws: ``StreamError``: every bad declaration together. The graph is stopped then.
    public func start(zeroTime: BatchTime) throws {
        let (nodes, outputs, remember, checkpoints, problems, failures) = try state.withLock {
            state in
            switch state.phase {
            case .started: throw StreamError(.alreadyStarted, "the graph was started already")
            case .stopped: throw StreamError(.alreadyStopped, "the graph was stopped already")
            case .declaring: break
            }
            state.phase = .started
            state.zeroTime = zeroTime
            state.operationIDs = Self.operationIDs(state.outputs)
            state.inputNodes = state.nodes.filter(\.parents.isEmpty)
            return (
                state.nodes, state.outputs, state.remember,
                (hasDirectory: state.hasCheckpointDirectory, areWritten: state.hasCheckpoints),
                state.problems, state.failures
            )
        }
        var found = problems + sinkProblems + Self.operationNameProblems(outputs)
        if outputs.isEmpty {
            found.append(
                StreamError(
                    .noOutput,
                    "no output operation is declared, so there is nothing to run; add one, for "
                        + "example print()"))
        }
        if found.isEmpty {
            let used = StreamNode.ancestors(of: outputs.map(\.node))
            for node in used { node.initialize(zeroTime: zeroTime) }
            if let remember { for output in outputs { output.node.remember(remember) } }
            for node in nodes.reversed() { node.demandMemory() }
            for node in nodes.reversed() { node.demandPanes(remember) }
            for node in nodes { node.copyUnlogged(isCheckpointed: checkpoints.areWritten) }
            var program = EngineProgram()
            for node in nodes { node.freeze(&program) }
            for output in outputs {
                output.prepare(&program)
                if output.handling(failures).policy == .deadLetter {
                    output.node.freezeElements(&program)
                }
            }
            program.fingerprint = fingerprint + program.kernelFingerprint
            program.remakeError = { name, message, site, underlying in
                StreamError.Code(name: name).map {
                    StreamError($0, message, site: site, underlying: underlying)
                }
            }
            state.withLock { $0.program = program }
            let usedNodes = used.sorted { $0.number < $1.number }
            // What is built on a stream that is nested too deeply is so, too.
            found += usedNodes.lazy.compactMap(\.nestingProblem).prefix(1)
            for node in usedNodes {
                found += [
                    node.checkpointProblem(hasDirectory: checkpoints.hasDirectory),
                    node.codecProblem,
                ].compactMap { $0 }
            }
            if checkpoints.areWritten { found += missingCodecs(in: usedNodes) }
            let kept = Self.keptStreams(
                among: usedNodes, outputs, isCheckpointed: checkpoints.areWritten,
                remember: remember)
            state.withLock { $0.kept = kept }
            found += outputs.flatMap { deadLetterProblems(of: $0, failures) }
            found += nameProblems
        }
        if let error = StreamError.gathering(found) {
            stop()
            throw error
        }
    }

    /// Ends the graph: nothing can be declared or generated any more.
    public func stop() {
        state.withLock { $0.phase = .stopped }
    }

    /// Lets go of all streams and what they remember.
    package func clear() {
        var nodes = state.withLock { state in
            defer {
                state.generation = nil
                state.program = EngineProgram()
                state.nodes = []
                state.inputNodes = []
                state.kept = []
                state.outputs = []
            }
            return state.nodes
        }
        // From the end: a stream that goes takes those with it that nothing else holds, one within
        // the other.
        while let node = nodes.popLast() {
            let release = node.settings.withLock { settings in
                settings.plans = [:]
                settings.prepare = []
                defer { settings.release = [] }
                return settings.release
            }
            for step in release { step() }
        }
    }

    /// Instantiates the graph for one batch: one job per output operation that has an RDD.
    ///
    /// - Throws: what the first failing operator throws; the batch has no jobs then.
    public func generateJobs(
        at time: BatchTime, _ context: GenerationContext
    ) async throws -> [OutputJob] {
        try await turn.run { try await jobs(at: time, context) }
    }

    private func jobs(
        at time: BatchTime, _ context: GenerationContext
    ) async throws -> [OutputJob] {
        let state = state.withLock { state in
            let newest = max(state.generation?.newest ?? time, time)
            state.generation = (context, newest)
            return state
        }
        let (failures, inputs) = (state.failures, state.inputNodes)
        var tagged = context
        tagged.batch.batchMilliseconds = time.milliseconds
        for input in inputs { input.noteBegun(time) }
        var jobs: [OutputJob] = []
        var operations: [Int] = []
        for output in state.outputs {
            // Numbered within the batch, as in Spark: an output without RDD takes no number.
            let (number, id) = (jobs.count, state.operationIDs[output.number])
            let plan: Result<Plan?, any Error>
            do { plan = .success(try await output.node.plan(at: time, tagged)) } catch {
                plan = .failure(error)
            }
            // A window has an RDD also without this batch.
            let isPassed = state.kept.contains {
                $0.outputs.contains(output.number) && $0.node.isPassed(time)
            }
            if case .success(let plan?) = plan, !isPassed {
                jobs.append(
                    try output.job(number, id, failures, plan, at: time, inputs: inputs, tagged))
            } else if let job = await output.passedJob(
                number, id, at: time, inputs: inputs, tagged)
            {
                jobs.append(job)
            } else {
                _ = try plan.get()
            }
            if jobs.count > number { operations.append(output.number) }
        }
        try await addAdvances(to: &jobs, of: operations, state, at: time, tagged)
        return jobs
    }

    /// Says with what batches are made, so that streams can be read before the first one.
    ///
    /// Generating a batch says it too.
    package func prepareReading(_ context: GenerationContext) {
        state.withLock { state in
            if state.generation == nil { state.generation = (context, nil) }
        }
    }

    /// Makes plans outside a batch, in turn with generation.
    ///
    /// What `body` makes of batches that have not come yet is forgotten, so that they come with what
    /// is received until then.
    func reading<Result>(
        at site: OperatorSite, _ body: (GenerationContext) async throws -> Result
    ) async throws -> Result {
        try await turn.run {
            let (phase, generation, zeroTime) = state.withLock {
                ($0.phase, $0.generation, $0.zeroTime)
            }
            if phase == .stopped {
                throw StreamError(.alreadyStopped, "the context was stopped", site: site)
            }
            guard phase == .started, let generation else {
                throw StreamError(
                    .notStarted, "the context was not started: streams have no batches yet",
                    site: site)
            }
            let context = generation.context
            let quiet = GenerationContext.reading(
                context.batch, context.allocator, standardOutput: context.standardOutput)
            let newest = generation.newest ?? zeroTime ?? .zero
            defer { for node in nodes { node.forget(after: newest) } }
            return try await body(quiet)
        }
    }

    /// Forgets what no later batch needs once the batch at `time` is done.
    public func clearMetadata(_ time: BatchTime) {
        var dropped: [Plan] = []
        for node in nodes { node.clearMetadata(time, &dropped) }
    }

    /// The longest time an input stream must be remembered; the age at which blocks may go.
    public var inputRememberDuration: Duration {
        nodes.filter { $0.parents.isEmpty }.compactMap(\.rememberDuration).max() ?? batchInterval
    }

    /// How far back windows ask for batches that checkpoints hold; nil: for none.
    public var paneReach: Duration? { nodes.compactMap(\.paneReach).max() }

    /// What the graph consists of; empty before it is started.
    package var program: EngineProgram {
        state.withLock { state in
            var program = state.program
            program.accumulators = state.sums
            return program
        }
    }

    /// Describes the graph by kinds, numbers and codec shapes: equal for the same program.
    public var fingerprint: String {
        state.withLock { state in
            let nodes = state.nodes.map { node in
                let parents = node.parents.map { String($0.number) }.joined(separator: ",")
                return "\(node.number):\(node.site.name)(\(parents))"
                    + "/\(node.slideDuration.milliseconds)/\(node.shape)"
                    + (node.traits.stateShape.map { "/\($0)" } ?? "")
            }
            let outputs = state.outputs.map { "\($0.number):\($0.site.name)<\($0.node.number)" }
            return (["\(batchInterval.milliseconds)"] + nodes + outputs).joined(separator: ";")
        }
    }
}

extension StreamNode {
    /// The nodes and all they are made from, each once, in the same order in every run.
    static func ancestors(of nodes: [StreamNode]) -> [StreamNode] {
        var seen: Set<ObjectIdentifier> = []
        var found: [StreamNode] = []
        var open = nodes
        while let node = open.popLast() {
            guard seen.insert(ObjectIdentifier(node)).inserted else { continue }
            found.append(node)
            open += node.parents
        }
        return found
    }
}
