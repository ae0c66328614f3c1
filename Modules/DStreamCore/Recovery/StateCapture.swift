public import BatchEngine
internal import Synchronization

/// Makes pieces of one shape out of those of another.
@usableFromInline
typealias StateMigration = @Sendable (OperatorState) throws -> OperatorState

/// How what an operator keeps between batches gets into checkpoints and back.
@usableFromInline
struct StateCapture: Sendable {
    /// What to take, and in whose name.
    @usableFromInline
    struct Request: Sendable {
        let operatorID: String
        /// The batch after which it is taken.
        @usableFromInline let time: BatchTime
        /// The batch after which it was last kept; nil: everything is taken.
        @usableFromInline let since: BatchTime?
        @usableFromInline let engine: any ExecutionEngine

        /// All that an operator without partitions keeps, in one piece.
        func whole(_ writer: inout ByteWriter, count: Int) throws -> OperatorState {
            piece(.whole, (0, 1), EncodedValues(bytes: try writer.takeBytes(), count: count))
        }
    }

    /// What a restart continues from.
    @usableFromInline
    struct Origin: Sendable {
        /// The batch after which it was taken.
        @usableFromInline let time: BatchTime
        /// Into how many partitions this run's shuffles deal by default.
        let parallelism: Int
        /// The batches that run again.
        let pending: [BatchTime]

        /// Whether a batch that runs again, or a later one, asks for a stream's batch.
        func asks(for batch: BatchTime, reach: Duration) -> Bool {
            batch > time - reach || pending.contains { batch <= $0 && batch > $0 - reach }
        }
    }

    /// Takes what changed; called on an engine thread.
    ///
    /// The second part is the oldest batch of which a piece is still needed.
    @usableFromInline
    let take: @Sendable (Request) throws -> (pieces: [OperatorState], oldest: BatchTime)
    /// Puts back what was taken; called before the first batch, without pieces for an operator that
    /// is new.
    @usableFromInline let restore: @Sendable ([OperatorState], Origin) throws -> Void
    /// Told before the first batch that there will be checkpoints.
    let prepare: @Sendable () -> Void
    /// Makes pieces of the operator out of those of another shape, by that shape.
    var migrations: [String: StateMigration] = [:]

    @usableFromInline
    init(
        prepare: @escaping @Sendable () -> Void = {},
        take: @escaping @Sendable (Request) throws -> (pieces: [OperatorState], oldest: BatchTime),
        restore: @escaping @Sendable ([OperatorState], Origin) throws -> Void
    ) {
        self.prepare = prepare
        self.take = take
        self.restore = restore
    }
}

extension StreamNode {
    /// The capture of what the stream was at the batches that later ones ask for.
    ///
    /// - Parameter reach: how far back they ask.
    func elementCapture(_ reach: Duration) -> StateCapture {
        StateCapture(
            take: { [weak self] request in
                guard let self else { return ([], .zero) }
                let oldest = request.time - reach
                let start = request.since.map { max($0, oldest) } ?? oldest
                let batches = remembered(after: start, through: request.time)
                return (try elements(of: batches, request), oldest)
            },
            restore: { [weak self] pieces, origin in
                let asked = pieces.filter { origin.asks(for: $0.time, reach: reach) }
                try self?.putBack(asked, origin)
            })
    }

    /// The plans of the batches after one and up to another, oldest first.
    func remembered(
        after first: BatchTime?, through last: BatchTime
    ) -> [(key: BatchTime, value: Plan)] {
        settings.withLock { settings in
            guard var batch = settings.oldestPlan else { return [] }
            // Along the grid, not through the table: a long window remembers thousands of plans.
            if let first, first >= batch {
                let slide = max(1, slideDuration.milliseconds)
                batch = batch + .milliseconds(((first - batch).milliseconds / slide + 1) * slide)
            }
            var found: [(key: BatchTime, value: Plan)] = []
            var gap = 0
            while batch <= last {
                if let plan = settings.plans[batch] {
                    found.append((batch, plan))
                    gap = 0
                }
                gap += 1
                guard gap > StreamNode.longGap else {
                    batch = batch + slideDuration
                    continue
                }
                let passed = batch
                guard let next = settings.plans.keys.lazy.filter({ $0 > passed }).min() else {
                    break
                }
                (batch, gap) = (next, 0)
            }
            return found
        }
    }

    /// The newest batch up to a time that was computed, with its partitions.
    func newestComputed(
        through time: BatchTime, _ engine: any ExecutionEngine
    ) throws -> (batch: BatchTime, plan: Plan, contents: [[PartitionData]])? {
        guard let oldest = settings.withLock({ $0.oldestPlan }), oldest <= time else { return nil }
        let slide = max(1, slideDuration.milliseconds)
        var batch = oldest + .milliseconds((time - oldest).milliseconds / slide * slide)
        var gap = 0
        while batch >= oldest {
            if let plan = settings.withLock({ $0.plans[batch] }),
                let contents = try contents(of: plan, engine)
            {
                return (batch, plan, contents)
            }
            gap += 1
            guard gap > StreamNode.longGap else {
                batch = batch - slideDuration
                continue
            }
            let passed = batch
            let before = settings.withLock { $0.plans.keys.lazy.filter { $0 < passed }.max() }
            guard let before else { return nil }
            (batch, gap) = (before, 0)
        }
        return nil
    }

    /// The partitions of the newest batch up to a time that was computed.
    @usableFromInline
    func newestContents(
        through time: BatchTime, _ engine: any ExecutionEngine
    ) throws -> [[PartitionData]]? {
        try newestComputed(through: time, engine)?.contents
    }

    /// What the stream was at some batches.
    func elements(
        of batches: [(key: BatchTime, value: Plan)], _ request: StateCapture.Request
    ) throws -> [OperatorState] {
        guard let codec = settings.withLock({ $0.boundary?.codec }) else {
            preconditionFailure("\(site) is captured and \(shape) has no codec")
        }
        return try batches.flatMap { time, plan in
            let partitions = try contents(of: plan, request.engine) ?? []
            return try partitions.enumerated().map { partition, contents in
                OperatorState(
                    operatorID: request.operatorID, time: time, kind: .elements,
                    partition: partition, partitionCount: partitions.count,
                    values: try codec.encode(contents))
            }
        }
    }

    /// The partitions of what was kept of a batch; nil when it failed or nobody needed it.
    func contents(
        of plan: Plan, _ engine: any ExecutionEngine
    ) throws -> [[PartitionData]]? {
        switch plan {
        case .source(let partitions): return partitions
        case .dataset(let dataset):
            guard !dataset.hasFailed, let id = dataset.computed.current else { return nil }
            return try (0..<dataset.partitionCount).map { partition in
                let block = BlockID.dataset(id, partition: partition)
                guard let contents = try engine.blockStore.get(block) else {
                    throw EngineError(.blockMissing, "\(block) is not kept any more", site: site)
                }
                return contents
            }
        default: return nil
        }
    }

    func putBack(_ pieces: [OperatorState], _ origin: StateCapture.Origin) throws {
        let (boundary, deal) = settings.withLock { ($0.boundary, $0.deal) }
        guard let boundary, let codec = boundary.codec else { return }
        let isInBytes = boundary.level.needsCodec
        let batches = Dictionary(grouping: pieces.filter { $0.time <= origin.time }, by: \.time)
        for (time, pieces) in batches {
            // A run that dealt the batch out anew wrote it anew: what counts is the last of it.
            let own = pieces.filter { $0.partitionCount == pieces.last?.partitionCount }
            // Decoded here, so that what cannot be read keeps the program from starting.
            let decoded = try own.map { (piece: $0, contents: try codec.decode($0.values)) }
            guard let found = decoded.partitions(inBytes: isInBytes) else { continue }
            var partitions = found
            let count = deal?.partitions ?? origin.parallelism
            if let moved = try deal?.deal(partitions, count) {
                partitions = isInBytes ? try moved.map { .encoded(try codec.encode([$0])) } : moved
            }
            settings.withLock { settings in
                settings.plans[time] = .source(partitions.map { [$0] })
                settings.oldestPlan = min(settings.oldestPlan ?? time, time)
            }
        }
    }
}

extension [(piece: OperatorState, contents: PartitionData)] {
    /// What a batch left, each partition as it was; nil when one is missing.
    ///
    /// - Parameter inBytes: whether it is kept as bytes.
    fileprivate func partitions(inBytes: Bool) -> [PartitionData]? {
        // Each partition has a piece.
        guard let count = first?.piece.partitionCount, (1...self.count).contains(count) else {
            return nil
        }
        var partitions = [PartitionData?](repeating: nil, count: count)
        for (piece, contents) in self where piece.partition < count {
            partitions[piece.partition] = inBytes ? .encoded(piece.values) : contents
        }
        let whole = partitions.compactMap { $0 }
        return whole.count == count ? whole : nil
    }
}

extension StateCapture.Request {
    /// A piece as of the batch that is captured.
    @usableFromInline
    func piece(
        _ kind: OperatorState.Kind, _ place: (number: Int, count: Int), _ values: EncodedValues,
        _ removed: EncodedValues = EncodedValues(bytes: [], count: 0)
    ) -> OperatorState {
        OperatorState(
            operatorID: operatorID, time: time, kind: kind, partition: place.number,
            partitionCount: place.count, values: values, removed: removed)
    }
}

extension StreamError {
    /// There is nothing that changes are to.
    @usableFromInline
    static func baseMissing(_ site: OperatorSite) -> StreamError {
        StreamError(
            .checkpointMismatch,
            "the checkpoint holds changes of a state and not the state that was changed; start "
                + "from an earlier checkpoint or an empty directory", site: site)
    }
}
