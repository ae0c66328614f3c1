public import BatchEngine

/// What a run does with a sink.
public struct SinkStart: Sendable, Hashable {
    /// The time between the batches that will come.
    public var slide: Duration
    /// What the run resumes from; nil: it begins anew, or keeps no checkpoints.
    public var resumption: SinkResumption?
    /// Whether no batch will come, but old ones whose dead letters are replayed.
    public var isReplay: Bool

    /// Makes it.
    public init(slide: Duration, resumption: SinkResumption? = nil, isReplay: Bool = false) {
        self.slide = slide
        self.resumption = resumption
        self.isReplay = isReplay
    }
}

/// Which batches of an earlier run will run again.
public struct SinkResumption: Sendable, Hashable {
    /// Batches begun and not completed.
    public var pending: Set<BatchTime>
    /// The newest batch that the checkpoint knows of: all later ones come anew.
    public var newestBegun: BatchTime

    /// Makes it.
    public init(pending: Set<BatchTime>, newestBegun: BatchTime) {
        self.pending = pending
        self.newestBegun = newestBegun
    }

    /// Whether a batch will run, or run again; of all others the earlier run has the outcome.
    public func willRun(_ batch: BatchTime) -> Bool {
        batch > newestBegun || pending.contains(batch)
    }
}

/// An output that takes each batch exactly once: the data and the batch time in one step.
///
/// A batch goes through it in two steps. Tasks *prepare* its partitions, in parallel and as often as
/// a task is tried; what they prepare is seen by nobody. When all partitions are prepared, the batch
/// is *committed*: its data appear, and with them the note that the batch is there. After a restart
/// the sink reports which batches it holds, and those are not computed again.
///
/// `FileSink` and `SQLiteSink` are such outputs; `checkTransactionalSink` of DStreamTestKit checks
/// one of your own. Give it to `write(to:)`.
///
/// ## Ordering
/// ``recover(slide:)`` is called once, before anything else, and ``close()`` last. Batches are
/// committed one at a time, not always in the order of their times: a batch that failed can come after
/// later ones. Several batches can be prepared at once.
///
/// ## Isolation
/// ``prepare(_:_:)`` runs on the engine's task threads, the others on its threads for bodies: they may
/// block. The same sink is used from several threads.
public protocol TransactionalSink<Element>: Sendable {
    /// What is put out.
    associatedtype Element: Sendable
    /// What a task hands to the commit: the rows themselves, or where they are.
    ///
    /// It must have a codec for engines that run tasks in other processes.
    associatedtype Prepared: Sendable

    /// What it writes to, with the name of the output where several share a place.
    ///
    /// Equal in every run of the program, different for any two outputs: it says whose batches are
    /// committed.
    var id: String { get }

    /// Takes hold of the place, drops what was prepared and not committed, and reports what is.
    ///
    /// - Parameter slide: the time between the batches that will come.
    /// - Returns: the batches that were committed under this ``id`` by any earlier run.
    /// - Throws: ``SinkError``, `.locked` while another program writes there. (A sink may instead let
    ///   the newer program go on and refuse the commits of the older one.)
    func recover(slide: Duration) async throws -> CommittedBatches

    /// ``recover(slide:)`` with more of what is known; the one that is called.
    ///
    /// A sink that removes what was not committed removes only what belongs to batches that
    /// ``SinkResumption/willRun(_:)``: of others it is output whose note was lost. By default it is
    /// ``recover(slide:)``.
    func recover(_ start: SinkStart) async throws -> CommittedBatches

    /// Prepares a partition; nothing of it is seen before ``commit(_:batch:)``.
    ///
    /// Called again for a partition when a try has failed, and after a restart. An earlier try may
    /// still be running: it must not harm a later one. ``TaskContext`` has batch, partition, attempt.
    ///
    /// - Throws: anything; the task is then tried again, as often as is configured.
    func prepare(
        _ elements: PartitionChunks<Element>, _ task: TaskContext
    ) async throws -> Prepared

    /// Makes a batch's data and its time durable, both or neither.
    ///
    /// - Parameters:
    ///   - prepared: one for each partition, in their order, from the tries that count; of a batch
    ///     without elements too.
    ///   - batch: its time. One that is committed already must be left as it is.
    /// - Throws: when it is not known to be committed; the next call with this batch, or
    ///   ``recover(slide:)`` of the next run, finds out.
    func commit(_ prepared: [Prepared], batch: BatchTime) async throws

    /// Drops what was prepared for a batch that has failed; what cannot be dropped is left for
    /// ``recover(slide:)``.
    func discard(_ prepared: [Prepared], batch: BatchTime) async

    /// Lets go of the place; called once more, it does nothing.
    ///
    /// Later commits must throw.
    func close() async
}

extension TransactionalSink {
    /// Without more than the slide.
    public func recover(_ start: SinkStart) async throws -> CommittedBatches {
        try await recover(slide: start.slide)
    }

    /// Drops nothing.
    public func discard(_ prepared: [Prepared], batch: BatchTime) async {}

    /// Has nothing to let go of.
    public func close() async {}
}

extension TaskContext {
    /// The batch the task belongs to; nil outside a streaming batch.
    ///
    /// With ``TaskContext/partition`` it names what is written, the same in every try and after a
    /// restart: an output that is not transactional recognises by it what it has already.
    public var batchTime: BatchTime? { batchMilliseconds.map { BatchTime(milliseconds: $0) } }
}
