internal import BatchEngine
internal import Synchronization

extension DStreamGraph {
    /// Computes the batches that later windows will ask for and that were never generated.
    ///
    /// Batches compute what windows will ask for (``addAdvances(to:of:_:at:_:)``), but for those that were
    /// skipped. A restart before the window's batch would find these neither in the checkpoint nor,
    /// maybe, in the source. What cannot be computed is left to the window's batch, which will say so.
    func computePanes(through time: BatchTime, _ context: GenerationContext) async throws {
        for window in nodes {
            for node in window.parents where node.keepsPanes(for: window) {
                for pane in node.openPanes(of: window, through: time) {
                    try Task.checkCancellation()
                    var tagged = context
                    tagged.batch.batchMilliseconds = pane.milliseconds
                    let plan = try? await turn.run { try await node.plan(at: pane, tagged) }
                    if case .dataset(let pane)? = plan { try? await tagged.batch.compute(pane) }
                }
            }
        }
    }

    /// Computes what batches up to a time were to leave behind and have not left yet.
    ///
    /// With several jobs at once a batch may complete before an earlier one, whose turn is to come.
    ///
    /// - Parameter since: the batch up to which a durable checkpoint has everything.
    func computeUnused(
        after since: BatchTime?, through time: BatchTime, _ context: GenerationContext
    ) async throws {
        for node in nodes where node.settings.withLock({ $0.capture != nil }) {
            for (batch, plan) in node.remembered(after: since, through: time) {
                try Task.checkCancellation()
                guard case .dataset(let dataset) = plan, !dataset.hasFailed else { continue }
                var tagged = context
                tagged.batch.batchMilliseconds = batch.milliseconds
                // Its own job decides whether it has failed; until then there is no checkpoint.
                let attempt = JobAttempt(number: JobAttempt.current.number, isProvisional: true)
                try await JobAttempt.$current.withValue(attempt) {
                    try await tagged.batch.compute(dataset)
                }
            }
        }
    }
}

extension StreamNode {
    /// How far back later batches ask for the stream's, where checkpoints hold these; nil: they do not.
    var paneReach: Duration? {
        settings.withLock { $0.boundary == nil ? nil : elementReach($0) }
    }

    /// Whether a window asks for several batches of this stream at once, and checkpoints keep them.
    fileprivate func keepsPanes(for window: StreamNode) -> Bool {
        window.traits.parentRemember > .zero && window.slideDuration > slideDuration
            && isInCheckpoints
    }

    /// The batches up to a time that the next window asks for and that have no plan yet.
    fileprivate func openPanes(of window: StreamNode, through time: BatchTime) -> [BatchTime] {
        settings.withLock { settings in
            guard let zero = settings.zeroTime else { return [] }
            let ended = (time - zero).milliseconds / max(1, window.slideDuration.milliseconds)
            let start = window.readingStart(of: ended + 1, of: self, zero)
            var panes: [BatchTime] = []
            var pane = max(start, zero) + slideDuration
            while pane <= time {
                if settings.plans[pane] == nil, !settings.failed.contains(pane) {
                    panes.append(pane)
                }
                pane = pane + slideDuration
            }
            return panes
        }
    }

    /// After which time this stream's batch of a number reads a parent.
    private func readingStart(
        of number: Int64, of parent: StreamNode, _ zero: BatchTime
    ) -> BatchTime {
        let time = zero + .milliseconds(number * max(1, slideDuration.milliseconds))
        return time - max(traits.parentRemember, parent.slideDuration)
    }

    /// Whether any batch of this stream reads a parent's batch.
    func reads(_ batch: BatchTime, of parent: StreamNode) -> Bool {
        guard let zero = settings.withLock({ $0.zeroTime }) else { return true }
        let slide = max(1, slideDuration.milliseconds)
        let next = ((batch - zero).milliseconds + slide - 1) / slide
        return readingStart(of: next, of: parent, zero) < batch
    }
}
