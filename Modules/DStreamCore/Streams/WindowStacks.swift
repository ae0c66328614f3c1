public import BatchEngine
internal import Synchronization

extension DStream {
    /// Combines the panes of this stream (one table per batch) over a sliding window, oldest first.
    ///
    /// A slide costs a constant number of table merges, whatever the window's length; see
    /// `WindowSchedule`. Each merge is a dataset of its own that is kept for a slide (what is needed
    /// to step back: for a window), made from datasets before it and never changed.
    @inlinable
    func aggregated<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite, over span: WindowSpan, _ partitions: Int?,
        _ placement: KeyPlacement<Key>,
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> DStream where Element == (Key, Value) {
        guard let stacks = WindowStacks(span, partitions, panes: node) else {
            return overPanes(site, span, partitions: partitions) { .merged(site, combine) }
        }
        keepForWindow()
        let steps = WindowSteps<Key, Value>(site: site, combine: combine)
        let kept = stacks.traits
        let back = DStream(
            graph, site, parents: [node], slide: span.slide, traits: kept,
            pipe: { steps.appended },
            compute: { try await stacks.back($0, $1, $2) }
        ).dealt(partitions, placement)
        let middle = DStream(
            graph, site, parents: [back.node], slide: span.slide, pipe: { .source(site) },
            compute: { try await stacks.middle($0, back: back.node, $1, $2) })
        let turned = DStream(
            graph, site, parents: [node], slide: span.slide, traits: kept,
            pipe: { steps.prepended },
            compute: { try await stacks.turned($0, $1, $2) }
        ).dealt(partitions, placement)
        let undo = DStream<(Key, Value?)>(
            graph, site, parents: [node], slide: span.slide, traits: stacks.ownTraits,
            pipe: { steps.overwritten },
            compute: { try await stacks.undo(turned: turned.node, $1, $2) }
        ).dealt(partitions, placement)
        let front = DStream(
            graph, site, parents: [undo.node], slide: span.slide, traits: kept,
            pipe: { steps.stepped(panesPerStep: stacks.panesPerSlide) },
            compute: {
                try await stacks.front($0, turned: turned.node, undo: undo.node, $1, $2)
            }
        ).dealt(partitions, placement)
        let parts = WindowStacks.Parts(
            front: front.node, turned: turned.node, undo: undo.node, middle: middle.node,
            back: back.node)
        return DStream(
            graph, site, parents: parts.nodes, slide: span.slide, pipe: { steps.joined },
            compute: { try await stacks.window($0, parts, $1, $2) })
    }

    /// Combines what each batch of this stream has kept, partition by partition, oldest first.
    @inlinable
    func overPanes<Output: Sendable>(
        _ site: OperatorSite, _ span: WindowSpan, partitions: Int?,
        _ pipe: @escaping @Sendable () -> Pipe<Output>
    ) -> DStream<Output> {
        keepForWindow()
        return DStream<Output>(
            graph, site, parents: [node], slide: span.slide, traits: span.traits, pipe: pipe,
            compute: { [node] _, time, context in
                let panes = try await node.plans(
                    from: span.start(of: time), through: time, context)
                let count = partitions ?? context.batch.defaultParallelism
                return alignedPanes(panes.map(\.plan), count)
            })
    }
}

/// The plans of a window without inverse: which datasets are made of which.
@usableFromInline
struct WindowStacks: Sendable {
    /// The datasets of which a window is made.
    @usableFromInline
    struct Parts: Sendable {
        let front: StreamNode
        let turned: StreamNode
        let undo: StreamNode
        let middle: StreamNode
        let back: StreamNode
        @usableFromInline var nodes: [StreamNode] { [front, turned, undo, middle, back] }

        @usableFromInline
        init(
            front: StreamNode, turned: StreamNode, undo: StreamNode, middle: StreamNode,
            back: StreamNode
        ) {
            self.front = front
            self.turned = turned
            self.undo = undo
            self.middle = middle
            self.back = back
        }
    }

    private let schedule: WindowSchedule
    private let span: WindowSpan
    private let partitions: Int?
    private let panes: StreamNode

    /// nil: merging whole windows is as cheap, or the window cannot work.
    @usableFromInline
    init?(_ span: WindowSpan, _ partitions: Int?, panes: StreamNode) {
        let unit = max(1, span.unit.milliseconds)
        let schedule = WindowSchedule(
            panesPerWindow: Int(span.window.milliseconds / unit),
            panesPerSlide: Int(span.slide.milliseconds / unit))
        guard let schedule else { return nil }
        self.schedule = schedule
        self.span = span
        self.partitions = partitions
        self.panes = panes
    }

    /// The panes that a slide adds.
    @usableFromInline var panesPerSlide: Int { schedule.panesPerSlide }

    /// Of what is kept for a slide, and made from panes of a window.
    @usableFromInline var traits: StreamNode.Traits {
        var traits = span.traits
        traits.persistLevel = .memoryOnly
        return traits
    }

    /// Of what is kept for a window: its panes are needed no longer than for that.
    @usableFromInline var ownTraits: StreamNode.Traits {
        var traits = StreamNode.Traits()
        traits.persistLevel = .memoryOnly
        return traits
    }

    private func slide(endingAt time: BatchTime) -> Int {
        let offset = time.milliseconds - zero.milliseconds
        return Int(offset / max(1, span.slide.milliseconds))
    }

    private func time(ofSlide slide: Int) -> BatchTime { zero + span.slide * slide }

    private var zero: BatchTime { panes.settings.withLock { $0.zeroTime } ?? .zero }

    private func plans(
        _ numbers: ClosedRange<Int>, _ context: GenerationContext
    ) async throws -> [Plan] {
        try await panes.plans(
            from: zero + span.unit * numbers.lowerBound,
            through: zero + span.unit * numbers.upperBound, context
        ).map(\.plan)
    }

    /// Tables side by side; nil: one without entries.
    private func tables(_ plans: [Plan?], _ context: GenerationContext) -> Plan {
        let count = partitions ?? context.batch.defaultParallelism
        return .zip(plans.map { $0 ?? alignedPanes([], count) })
    }

    /// The block that has begun, up to `time`: the back of the slide before and the new panes.
    @usableFromInline
    func back(
        _ own: StreamNode, _ time: BatchTime, _ context: GenerationContext
    ) async throws -> Plan {
        let slide = slide(endingAt: time)
        let before =
            schedule.beginsBlock(slide)
            ? nil : try await own.plan(at: time - span.slide, context)
        return tables([before] + (try await plans(schedule.entering(slide), context)), context)
    }

    /// The newest whole block.
    @usableFromInline
    func middle(
        _ own: StreamNode, back: StreamNode, _ time: BatchTime, _ context: GenerationContext
    ) async throws -> Plan? {
        let slide = slide(endingAt: time)
        if slide < schedule.slidesPerBlock { return nil }
        if schedule.endsBlock(slide) { return try await back.plan(at: time, context) }
        return try await own.plan(at: time - span.slide, context)
    }

    /// The newest whole block from its end back to where the slide's turn leads.
    @usableFromInline
    func turned(
        _ own: StreamNode, _ time: BatchTime, _ context: GenerationContext
    ) async throws -> Plan {
        guard let turn = schedule.turn(slide(endingAt: time)) else {
            return tables([nil], context)
        }
        let before = turn.isFirst ? nil : try await own.plan(at: time - span.slide, context)
        return tables([before] + (try await plans(turn.panes, context)), context)
    }

    /// What the slide's turn overwrites.
    @usableFromInline
    func undo(
        turned: StreamNode, _ time: BatchTime, _ context: GenerationContext
    ) async throws -> Plan {
        guard let turn = schedule.turn(slide(endingAt: time)), !turn.isFirst else {
            return tables([nil], context)
        }
        let before = try await turned.plan(at: time - span.slide, context)
        return tables([before] + (try await plans(turn.panes, context)), context)
    }

    /// The block in which the window begins, from there on.
    @usableFromInline
    func front(
        _ own: StreamNode, turned: StreamNode, undo: StreamNode, _ time: BatchTime,
        _ context: GenerationContext
    ) async throws -> Plan {
        switch schedule.front(slide(endingAt: time)) {
        case .none: return tables([nil], context)
        case .turned(let slide):
            return tables([try await turned.plan(at: self.time(ofSlide: slide), context)], context)
        case .stepped(let slide, let leaving, let rest):
            let hasFailed = leaving.contains { panes.isKnownBad(at: zero + span.unit * $0) }
            if !hasFailed, let before = own.remembered(at: time - span.slide),
                let undone = undo.remembered(at: self.time(ofSlide: slide))
            {
                return tables([before, undone], context)
            }
            // What has failed is left behind with the panes that leave: once for each failure. So
            // is what nobody has made: a window is made of the panes within it.
            var older: [Plan?] = [nil, nil]
            for number in rest {
                older.append(try await panes.plan(at: zero + span.unit * number, context))
            }
            return tables(older, context)
        }
    }

    /// A window's parts, and the slide's turn, which is for a later one.
    @usableFromInline
    func window(
        _ own: StreamNode, _ parts: Parts, _ time: BatchTime, _ context: GenerationContext
    ) async throws -> Plan {
        let slide = slide(endingAt: time)
        let front = try await parts.front.plan(at: time, context)
        let turned = try await parts.turned.plan(at: time, context)
        let undo = try await parts.undo.plan(at: time, context)
        let back = try await parts.back.plan(at: time, context)
        var middle: Plan?
        if schedule.hasMiddle(slide) {
            middle = try await parts.middle.plan(at: time - span.slide, context)
        }
        _ = try await parts.middle.plan(at: time, context)
        return tables([front, turned, undo, middle, back], context)
    }
}

extension StreamNode {
    /// Whether the batch at `time` could not be made or computed, as far as is known.
    func isKnownBad(at time: BatchTime) -> Bool {
        settings.withLock { settings in
            if settings.failed.contains(time) { return true }
            guard case .dataset(let dataset)? = settings.plans[time] else { return false }
            return dataset.hasFailed
        }
    }

    /// The plan at `time`, if it is remembered and has not failed.
    func remembered(at time: BatchTime) -> Plan? {
        isKnownBad(at: time) ? nil : settings.withLock { $0.plans[time] }
    }
}
