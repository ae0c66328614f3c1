internal import BatchEngine
internal import Synchronization

extension DStreamGraph {
    /// Says that state will be captured; called between the start and the first batch.
    package func prepareCapture() {
        for (_, capture) in stateCaptures { capture.prepare() }
    }

    /// What operators keep between batches, as far as it changed.
    ///
    /// - Parameters:
    ///   - time: the batch after which it is taken.
    ///   - since: the batch after which it was last kept; nil: everything is taken.
    /// - Returns: the pieces, and the oldest batch of which any piece is needed.
    public func captureState(
        through time: BatchTime, since: BatchTime?, _ context: GenerationContext
    ) async throws -> (pieces: [OperatorState], oldest: BatchTime) {
        let captures = stateCaptures
        if captures.isEmpty { return ([], time) }
        try await computePanes(through: time, context)
        try await computeUnused(after: since, through: time, context)
        let engine = context.batch.engine
        let taken = SharedPieces(oldest: time)
        let carried = carriedState.withLock { carried in
            if since != nil { carried = [] }
            return carried
        }
        taken.add(carried, carried.map(\.time).min() ?? time)
        try await engine.perform("checkpoint of batch \(time)") {
            for (candidate, capture) in captures {
                let request = StateCapture.Request(
                    operatorID: candidate.this.stateID, time: time, since: since, engine: engine)
                let (pieces, oldest) = try capture.take(request)
                taken.add(pieces, oldest)
            }
        }
        return taken.value
    }

    /// The operators that keep something between batches, once the graph is started.
    public var statefulOperators: [StatefulOperator] { stateCaptures.map(\.candidate.this) }

    /// Gives up the state that a checkpoint holds of an operator, by its name or id.
    package func discardState(of operator: String) {
        discardedStates.withLock { _ = $0.insert(`operator`) }
    }

    /// Says which operator would go on with which state of a checkpoint.
    ///
    /// - Parameter record: the checkpoint's.
    package func plan(forStateOf record: CheckpointRecord) -> StatePlan {
        let matching = matching(record.operators)
        let problems = matching.problems + lengthProblems(record, matching)
        return StatePlan(
            taken: matching.taken.mapValues(\.id), new: matching.new.map(\.id),
            discarded: matching.discarded, problems: problems.map(\.message))
    }

    /// How long the windows are that continue from the one before, for the records of checkpoints.
    public var windowLengths: [String: String] {
        var lengths: [String: String] = [:]
        for (candidate, _) in stateCaptures {
            lengths[Self.lengthKey(candidate.this)] = candidate.windowText
        }
        return lengths
    }

    private static func lengthKey(_ known: StatefulOperator) -> String { "window.\(known.id)" }

    /// The windows of other lengths than in a record, where it says which.
    private func lengthProblems(
        _ record: CheckpointRecord, _ matching: StateMatching
    ) -> [StreamError] {
        let sources = Dictionary(uniqueKeysWithValues: matching.taken.map { ($1, $0) })
        return stateCaptures.compactMap { candidate, _ in
            guard let known = record.operators.first(where: { $0.id == sources[candidate.this] }),
                let length = record.configuration[Self.lengthKey(known)],
                length != candidate.windowText
            else { return nil }
            return StateMatching.lengthened(known, from: length, to: candidate)
        }
    }

    /// Puts back what operators kept; called between the start and the first batch.
    ///
    /// - Parameters:
    ///   - record: what the pieces belong to.
    ///   - parallelism: into how many partitions this run's shuffles deal by default; nil: as many as
    ///     the record says.
    /// - Throws: ``StreamError`` `.checkpointMismatch`, naming all state that no operator of this
    ///   program takes, `.checkpointUnreadable` for state that the record relies on and that is not
    ///   among the pieces; what decoding throws.
    public func restoreState(
        _ pieces: [OperatorState], of record: CheckpointRecord, parallelism: Int? = nil
    ) throws {
        let matching = matching(record.operators)
        let problems = matching.problems + lengthProblems(record, matching)
        if let error = StreamError.gathering(problems) { throw error }
        let time = record.newestCompleted ?? record.zeroTime
        let origin = StateCapture.Origin(
            time: time, parallelism: max(1, parallelism ?? record.parallelism),
            pending: record.pendingBatches)
        let pieces = Dictionary(grouping: pieces, by: \.operatorID)
        let sources = Dictionary(uniqueKeysWithValues: matching.taken.map { ($1, $0) })
        for (candidate, capture) in stateCaptures {
            let known = record.operators.first { $0.id == sources[candidate.this] }
            var own = known.flatMap { pieces[$0.stateID] ?? pieces[$0.id] } ?? []
            if let known { try Self.refuseLoss(of: known, record, own, at: candidate.site) }
            do {
                if let known, known.shape != candidate.this.shape,
                    let migrate = capture.migrations[known.shape]
                {
                    own = try own.map(migrate)
                }
                try capture.restore(own, origin)
            } catch let error as StreamError {
                throw error
            } catch {
                let known = known ?? candidate.this
                throw StreamError(
                    .checkpointMismatch,
                    "what the checkpoint holds of \(known) cannot be read; start from an earlier "
                        + "checkpoint, or give it up with discardState(of: "
                        + "\"\(known.discardName)\")", site: candidate.site, underlying: error)
            }
            // What an operator goes on with must be found by what it is now, before the next batch.
            let stateID = candidate.this.stateID
            let renamed = own.filter { $0.time <= time && $0.operatorID != stateID }.map { piece in
                var piece = piece
                piece.operatorID = stateID
                return piece
            }
            carriedState.withLock { $0 += renamed }
        }
    }

    /// Refuses to begin an operator anew, or from earlier state, because a store has lost some.
    private static func refuseLoss(
        of known: StatefulOperator, _ record: CheckpointRecord, _ pieces: [OperatorState],
        at site: OperatorSite
    ) throws {
        guard let newest = record.newestState(of: known),
            !pieces.contains(where: { $0.time == newest })
        else { return }
        throw StreamError(
            .checkpointUnreadable,
            "the checkpoint lacks the state that \(known) left after batch \(newest); restore it "
                + "from a copy, or give this state up with discardState(of: "
                + "\"\(known.discardName)\")", site: site)
    }

    private func matching(_ found: [StatefulOperator]) -> StateMatching {
        StateMatching(
            found: found, program: stateCaptures.map(\.candidate),
            discarding: discardedStates.withLock { $0 })
    }

    /// What is captured, in the order of declaration.
    private var stateCaptures: [(candidate: StateMatching.Candidate, capture: StateCapture)] {
        var counts: [String: Int] = [:]
        var captures: [(candidate: StateMatching.Candidate, capture: StateCapture)] = []
        let names = partNames
        for node in nodes {
            let settings = node.settings.withLock { $0 }
            let (name, formerly) = names[node.number] ?? (nil, nil)
            func add(
                _ capture: StateCapture?, _ suffix: String, _ shape: String, isState: Bool,
                _ slidWindow: Duration? = nil
            ) {
                guard var capture else { return }
                capture.migrations = isState ? settings.migrations : [:]
                var this = StatefulOperator(
                    kind: node.site.name + suffix, name: name, shape: shape)
                if this.name == nil {
                    // By place among those of the same kind and shape: other operators come and go.
                    let kind = "\(this.kind) of \(this.shape)"
                    this.number = counts[kind, default: 0]
                    counts[kind] = this.number + 1
                }
                let candidate = StateMatching.Candidate(
                    this: this, site: node.site, formerly: formerly,
                    migrations: Set(capture.migrations.keys), slidWindow: slidWindow)
                captures.append((candidate, capture))
            }
            add(
                settings.capture, "", node.traits.stateShape ?? node.shape, isState: true,
                node.traits.slidWindow)
            let givesState = node.traits.givesState
            add(
                settings.elementCapture, StatefulOperator.outputSuffix, node.shape,
                isState: givesState, node.traits.slidWindow)
        }
        return captures
    }

    /// Two operators of one name would take each other's state.
    var nameProblems: [StreamError] {
        let candidates = stateCaptures.map(\.candidate)
        let named = candidates.map(\.this).filter { $0.name != nil }
        let groups = Dictionary(grouping: named, by: \.id)
        let twice = groups.values.filter { $0.count > 1 }.map { group in
            StreamError(
                .badConfiguration,
                "\(group.count) operators are \(group[0]); give each a name of its own, by which "
                    + "its state is found again")
        }
        return twice + formerNameProblems(candidates)
    }

    /// Whose state it is must be clear from the former name alone.
    private func formerNameProblems(_ all: [StateMatching.Candidate]) -> [StreamError] {
        all.indices.compactMap { index in
            let this = all[index].this
            guard let former = all[index].formerly else { return nil }
            let rival = all.indices.first { other in
                other != index && all[other].this.kind == this.kind
                    && (all[other].this.name == former && all[other].formerly != nil
                        || other < index && all[other].formerly == former)
            }
            guard let rival else { return nil }
            return StreamError(
                .badConfiguration,
                "\(this) was formerly \"\(former)\", and so is, or was, \(all[rival].this); leave "
                    + "out formerly: once a checkpoint was written under the new name, and give an "
                    + "operator that is new a name that was not in use")
        }
    }
}

/// Which operator would go on with which state.
package struct StatePlan: Sendable, Hashable {
    /// The ids in the checkpoint, and those of the program's operators that take their state.
    package let taken: [String: String]
    /// The operators that begin without state.
    package let new: [String]
    /// The ids in the checkpoint whose state is given up.
    package let discarded: [String]
    /// What keeps the program from going on, in words.
    package let problems: [String]
}

/// What the operators of a graph gave, gathered on an engine thread.
private final class SharedPieces: Sendable {
    private let state: Locked<(pieces: [OperatorState], oldest: BatchTime)>

    init(oldest: BatchTime) { state = Locked(([], oldest)) }

    func add(_ pieces: [OperatorState], _ oldest: BatchTime) {
        state.withLock { state in
            state.pieces += pieces
            state.oldest = min(state.oldest, oldest)
        }
    }

    var value: (pieces: [OperatorState], oldest: BatchTime) { state.withLock { $0 } }
}
