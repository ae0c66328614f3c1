internal import BatchEngine
internal import Synchronization

extension StreamNode {
    /// How many slides after the batch of which a checkpoint has the stream a restart makes again.
    private static let slideMaximum = 10

    /// The capture of a stream that is made from its own last batch: of one batch in a while.
    ///
    /// Later ones are made again, as they were made, of that one and of the parent's batches, which
    /// are in checkpoints anyway. So a checkpoint costs what its batches brought and not what a
    /// window holds. Where one of those batches has failed or brought nothing, the next good one is
    /// taken: what would be made again might not be what it was.
    func incrementalCapture() -> StateCapture {
        let progress = Locked(Progress())
        return StateCapture(
            take: { [weak self] request in
                guard let self else { return ([], .zero) }
                let kept = progress.withLock { $0.settle(since: request.since) }
                if let kept, canRemake(after: kept, through: request.time) { return ([], kept) }
                let newest = try newestComputed(through: request.time, request.engine)
                guard let newest, newest.batch != kept else { return ([], kept ?? request.time) }
                let pieces = try elements(of: [(newest.batch, newest.plan)], request)
                progress.withLock { $0.proposed = (newest.batch, request.time) }
                return (pieces, newest.batch)
            },
            restore: { [weak self] in try self?.putBack($0, $1) })
    }

    /// The batch that checkpoints have, and the one that the last write was to give them.
    private struct Progress {
        var kept: BatchTime?
        var proposed: (batch: BatchTime, through: BatchTime)?

        /// Takes note of how the last write has ended; the batch that is durable.
        mutating func settle(since: BatchTime?) -> BatchTime? {
            if let proposed, let since, proposed.through <= since { kept = proposed.batch }
            proposed = nil
            return kept
        }
    }

    /// Whether the batches up to a time can be made again of that one.
    private func canRemake(after kept: BatchTime, through time: BatchTime) -> Bool {
        let slides = min(
            Self.slideMaximum,
            Int((checkpointInterval ?? slideDuration).ratio(to: slideDuration)))
        var next = kept + slideDuration
        var count = 0
        while next <= time {
            count += 1
            if count >= slides || !isComputed(next) { return false }
            next = next + slideDuration
        }
        let (last, span) = (next - slideDuration, traits.parentRemember)
        // Other parents are made again of the first.
        guard let panes = parents.first else { return false }
        return panes.areComputed(after: kept, through: last)
            && panes.areComputed(after: kept - span, through: last - span)
    }

    private func areComputed(after first: BatchTime, through last: BatchTime) -> Bool {
        guard let zeroTime = settings.withLock({ $0.zeroTime }) else { return false }
        var batch = max(first, zeroTime) + slideDuration
        while batch <= last {
            if !isComputed(batch) { return false }
            batch = batch + slideDuration
        }
        return true
    }

    private func isComputed(_ batch: BatchTime) -> Bool {
        switch settings.withLock({ $0.plans[batch] }) {
        case .source: true
        case .dataset(let dataset): !dataset.hasFailed && dataset.computed.current != nil
        default: false
        }
    }
}
