public import BatchEngine
internal import Synchronization

/// What a stateful operator's next batch is built on: the newest batch that has not failed.
///
/// A batch is usually made before it is known how the one before ends. Its plan then says both
/// ways: to build on that one or, if it fails, on what that one was built on. So a failed batch
/// never spoils later ones, and the chain ends at the newest batch known to be good.
@usableFromInline
final class StateLineage: Sendable {
    /// A batch of which it is not known yet how it ends.
    private struct Link {
        let time: BatchTime
        let following: Following
        var dataset: Dataset { following.dataset }
    }

    private struct Links {
        /// The newest batch known to be good, and what follows it.
        var good: (time: BatchTime, plan: Plan)?
        /// What comes before all batches, until one is good.
        var initial: Plan?
        /// What an earlier run left, until a batch of this one is good; without elements when the
        /// operator was none of its.
        var restored: (time: BatchTime, elements: Plan?)?
        /// Later ones, oldest first.
        var open: [Link] = []
        /// The newest batch that was made.
        var newest: BatchTime?
        /// How long earlier versions may be read.
        var history: Duration = .zero
        var store: (any StateStore)?
        var partitions = 0
        var capture = StateCaptureProgress()

        /// What the next batch is built on, where nothing is known after `first`.
        func next(after first: Plan) -> Plan {
            open.last.map { .following($0.following) } ?? first
        }
    }

    /// What a batch builds on.
    struct Base {
        /// The version and, where the engine keeps none, its elements.
        let plan: Plan
        /// The oldest version that may be asked for; nil: none.
        let oldest: BatchTime?
        /// Whether there is an earlier batch.
        let hasState: Bool
    }

    /// The operator's state in an engine's store.
    @usableFromInline let id = StateID.next()
    private let links = Locked(Links())

    @usableFromInline
    init() {}

    deinit { release() }

    /// Keeps versions readable for so long.
    @usableFromInline
    func keepHistory(_ duration: Duration) {
        links.withLock { $0.history = max($0.history, duration) }
    }

    /// Lets go of everything, in the engine's store too.
    @usableFromInline
    func release() {
        let old = links.withLock { links in
            let old = links
            links = Links()
            return old
        }
        old.store?.release(id)
    }

    /// Finds what the batch at `time` is built on, after making all batches before it.
    ///
    /// - Parameters:
    ///   - initial: makes what comes before all batches, of what an earlier run left if there is
    ///     any; called at most once.
    ///   - follow: what follows a batch.
    /// - Returns: nil when later batches have been made, as there is no way back, and for slices.
    func base(
        of own: StreamNode, at time: BatchTime, _ context: GenerationContext,
        initial: (_ restored: Plan?) -> Plan, follow: (BatchTime, Dataset) -> Plan
    ) async throws -> Base? {
        // Whoever only reads gets what is remembered: making a batch early would fix its state.
        if context.isReading { return nil }
        let before = time - own.slideDuration
        let isLate = links.withLock { ($0.newest ?? time) > time }
        if isLate {
            own.notePassed(time)
            return nil
        }
        // What an earlier run left includes its batches: they are not made again.
        let isLeft = links.withLock { $0.restored.map { before <= $0.time } ?? false }
        var latest: Dataset?
        if !isLeft, !own.hasFailedToMake(before),
            case .dataset(let dataset)? = try await own.plan(at: before, context)
        {
            latest = dataset
        }
        return links.withLock { links in
            links.store = context.batch.engine.stateStore
            settle(&links)
            let first = links.good?.plan ?? links.initial ?? initial(links.restored?.elements)
            if links.good == nil { links.initial = first }
            let last = links.open.last?.time ?? links.good?.time
            if let latest, links.newest == before, last.map({ $0 < before }) ?? true {
                let following = Following(
                    latest, follow(before, latest), otherwise: links.next(after: first))
                links.open.append(Link(time: before, following: following))
                settle(&links)
            }
            let oldest = links.good?.time
            let hasState = oldest != nil || links.restored?.elements != nil || !links.open.isEmpty
            let needed = min(time - links.history, links.capture.oldestNeeded(at: time))
            return Base(
                plan: links.next(after: links.good?.plan ?? first),
                oldest: oldest.map { min($0, needed) }, hasState: hasState)
        }
    }

    /// Keeps what batches change readable until a checkpoint has it.
    @usableFromInline
    func keepChanges() { links.withLock { $0.capture.isOn = true } }

    /// Begins a capture: into how many partitions the state is dealt, and what is kept of it.
    @usableFromInline
    func capturing(
        since: BatchTime?
    ) -> (partitions: Int, kept: StateCaptureProgress.Kept) {
        links.withLock { ($0.partitions, $0.capture.settle(since: since)) }
    }

    /// Ends a capture: what will be kept once it is durable.
    @usableFromInline
    func captured(_ time: BatchTime, _ kept: StateCaptureProgress.Kept) {
        links.withLock { $0.capture.propose(kept, at: time) }
    }

    /// Begins with what an earlier run left after a batch.
    ///
    /// - Parameters:
    ///   - elements: the plan of the elements that the first batch starts from; nil: the operator
    ///     is new.
    ///   - kept: what of them is kept.
    @usableFromInline
    func restore(
        _ elements: Plan?, asOf time: BatchTime, kept: StateCaptureProgress.Kept? = nil
    ) {
        links.withLock { links in
            links.restored = (time, elements)
            links.newest = time
            if let kept { links.capture.restore(kept) }
        }
    }

    /// Notes into how many partitions the state is dealt.
    func setPartitions(_ count: Int) { links.withLock { $0.partitions = count } }

    /// Notes that the batch at `time` has been made.
    func made(_ time: BatchTime) {
        links.withLock { $0.newest = max($0.newest ?? time, time) }
    }

    /// Takes note of how batches have ended, oldest first: none ends before what it is built on.
    private func settle(_ links: inout Links) {
        var count = 0
        for link in links.open {
            if link.dataset.computed.current != nil {
                link.following.forgetOtherwise()
                links.good = (link.time, link.following.plan)
                links.initial = nil
                links.restored = nil
            } else if !link.dataset.hasFailed {
                break
            }
            count += 1
        }
        links.open.removeFirst(count)
    }
}
