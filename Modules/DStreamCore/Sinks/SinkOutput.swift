public import BatchEngine
internal import Synchronization

/// An output operation into a transactional sink, and what of it the graph knows.
struct DeclaredSink: Sendable {
    let id: String
    let site: OperatorSite
    /// The stream that is written.
    let node: StreamNode
    /// Takes hold of the sink; gives the newest batch that it holds.
    let open: @Sendable (SinkResumption?, _ isReplay: Bool) async throws -> BatchTime?
    let close: @Sendable () async -> Void
}

/// Takes batches through a sink: each once, whatever fails on the way.
@usableFromInline
final class SinkOutput<Sink: TransactionalSink>: Sendable {
    private let sink: Sink
    private let site: OperatorSite
    private let slide: Duration
    private let committed = Locked<CommittedBatches?>(nil)
    /// With several concurrent jobs, batches come at the same time.
    private let turn = GenerationTurn()
    /// Whether the sink is still to be closed, by whoever gets the turn.
    private let mustClose = Locked(false)

    @usableFromInline
    init(_ sink: Sink, _ site: OperatorSite, slide: Duration) {
        self.sink = sink
        self.site = site
        self.slide = slide
    }

    func declared(_ node: StreamNode) -> DeclaredSink {
        DeclaredSink(
            id: sink.id, site: site, node: node,
            open: { [self] resumption, isReplay in
                let start = SinkStart(
                    slide: slide, resumption: resumption, isReplay: isReplay)
                let found = try await sink.recover(start)
                committed.withLock { $0 = found }
                return found.newest
            },
            close: { [self] in
                committed.withLock { $0 = nil }
                mustClose.withLock { $0 = true }
                await closeIfFree()
            })
    }

    /// Closes the sink if that was asked for and no commit is under way.
    ///
    /// When a context ends, none is but one that was abandoned: whoever waited for it might wait for
    /// ever. Should it return, it closes the sink itself.
    private func closeIfFree() async {
        guard mustClose.withLock({ $0 }) else { return }
        await turn.runIfFree {
            let isDue = mustClose.withLock { mustClose in
                defer { mustClose = false }
                return mustClose
            }
            if isDue { await sink.close() }
        }
    }

    /// Computes and commits a batch; one that is committed is left as it is, and not computed.
    @usableFromInline
    func write(
        _ batch: BatchTime, partitions: Int,
        running run: @Sendable (_ receive: @escaping StageReceiver) async throws -> Void
    ) async throws {
        if try isCommitted(batch) { return }
        let gathered = Locked<[Int: Sink.Prepared]>([:])
        do {
            try await run { [site] partition, outputs in
                guard case .values(let values)? = outputs.first,
                    let prepared = (values as? Values<Sink.Prepared>)?.elements.first
                else { throw EngineError(.invalidPlan, "a task prepared nothing", site: site) }
                gathered.withLock { $0[partition] = prepared }
            }
            let prepared = gathered.withLock { table in
                (0..<partitions).compactMap { table[$0] }
            }
            guard prepared.count == partitions else {
                throw EngineError(
                    .invalidPlan, "\(prepared.count) of \(partitions) partitions came back",
                    site: site)
            }
            try await turn.run {
                try Task.checkCancellation()
                try await sink.commit(prepared, batch: batch)
            }
        } catch {
            await sink.discard(gathered.withLock { Array($0.values) }, batch: batch)
            await closeIfFree()
            throw error
        }
        committed.withLock { $0?.insert(batch, step: slide) }
        await closeIfFree()
    }

    private func isCommitted(_ batch: BatchTime) throws -> Bool {
        guard let known = committed.withLock({ $0 }) else {
            throw SinkError(.closed, sink: sink.id, batch: batch, "the context has ended")
        }
        guard known.hasForgotten(batch) else { return known.contains(batch) }
        throw SinkError(
            .misused, sink: sink.id, batch: batch,
            "whether this batch is there is not remembered any more, as it is older than the "
                + "oldest of \(CommittedBatches.rangeMaximum) ranges of batches; look into the "
                + "data, and go on without this batch from a new checkpoint directory")
    }
}

/// What an engine calls with a partition and its outputs.
@usableFromInline
typealias StageReceiver = @Sendable (Int, [PartitionData]) throws -> Void
