internal import BatchEngine
internal import Synchronization

/// Chooses the ranges of batches, each going on where the one before ended.
///
/// ## Isolation
/// Batches ask one after the other.
final class DirectInput: Sendable {
    /// How a stream reads its source.
    struct Settings: Sendable {
        /// The most records that a batch takes of a partition; nil: all.
        var maximum: Int64?
        var onDataLoss: DataLossPolicy
        /// How often the source is asked.
        var retry: RetryPolicy
        var clock: any StreamClock
        /// Is notified of retries and of what is skipped.
        var report: @Sendable (StreamEvent) -> Void
    }

    private struct Batch {
        let time: BatchTime
        let ranges: [OffsetRange]
    }

    private struct State {
        /// Where the next batch begins.
        var next: [TopicPartition: Int64] = [:]
        /// Where partitions ended that were found to end before that.
        var lost: [TopicPartition: Int64] = [:]
        /// The remembered batches, oldest first; the newest is one of them.
        var batches: [Batch] = []
        /// Whether this run has chosen offsets, by what the source says now: what earlier runs had
        /// found to be lost says no more.
        var hasChosen = false

        /// Whether the stream has begun: what is new from then on is read from its beginning.
        var hasBegun: Bool { !batches.isEmpty || !next.isEmpty }

        /// Forgets batches before a time, but for the newest.
        mutating func forget(before time: BatchTime) {
            let oldest = min(time, batches.last?.time ?? time)
            batches.removeAll { $0.time < oldest }
        }

        mutating func settle(_ batch: Batch) {
            if let index = batches.firstIndex(where: { $0.time > batch.time }) {
                // It runs again; later ones have gone on since.
                return batches.insert(batch, at: index)
            }
            for range in batch.ranges {
                next[range.topicPartition] = range.untilOffset
                lost[range.topicPartition] = nil
            }
            batches.append(batch)
        }

        /// Takes note of partitions that cannot go on, unless they have gone on since.
        ///
        /// - Parameter choice: what an earlier run kept of them, and which of them are none.
        mutating func mark(_ marks: [OffsetRange], of choice: InputChoice? = nil) {
            if choice != nil, hasChosen { return }
            for mark in marks where next[mark.topicPartition] == mark.untilOffset {
                let isNone = choice?.skips(mark.description) == true
                lost[mark.topicPartition] = isNone ? nil : mark.fromOffset
            }
        }
    }

    private let settings: Settings
    private let state = Locked(State())

    init(_ settings: Settings) { self.settings = settings }

    /// The newest batch that has chosen.
    var newestBatch: BatchTime? { state.withLock { $0.batches.last?.time } }

    /// The ranges of a batch; none when it is not remembered.
    func remembered(at batch: BatchTime) -> [OffsetRange] {
        state.withLock { state in state.batches.last { $0.time == batch }?.ranges } ?? []
    }

    /// The ranges of a batch: those it had before, or chosen and kept now.
    ///
    /// - Parameter isBegun: whether it may still choose; if not, the next batch takes what there is.
    func ranges(
        from source: some DirectSource, of stream: StreamID, at batch: BatchTime, isBegun: Bool,
        remembering: Duration, _ context: GenerationContext
    ) async throws -> [OffsetRange] {
        let (known, newest) = state.withLock { state in
            state.forget(before: batch - remembering)
            return (state.batches.last { $0.time == batch }?.ranges, state.batches.last?.time)
        }
        let kept = await context.choices?.choice(of: stream, for: batch)
        if let known { return Self.remaining(known, kept) }
        // What is only read, or was forgotten, is not chosen.
        if context.isReading { return [] }
        let codec = Codec<[OffsetRange]>.of()
        if let kept, kept.kind != .lostOffsets {
            let ranges = try codec.value(of: kept.bytes)
            state.withLock { $0.settle(Batch(time: batch, ranges: ranges)) }
            return Self.remaining(ranges, kept)
        }
        if let newest, newest > batch { return [] }
        guard isBegun else { return [] }
        if let kept {
            let marks = try codec.value(of: kept.bytes)
            state.withLock { $0.mark(marks, of: kept) }
        }
        let chosen = try await choosing(from: source, of: stream, at: batch, context)
        if let marks = chosen.marks {
            // Before the new topic outgrows the old: then it could not be noticed any more.
            state.withLock { $0.mark(marks) }
            if !marks.isEmpty {
                try await context.choices?.keep(
                    InputChoice(.lostOffsets, codec.bytes(of: marks)), of: stream, for: batch)
            }
            let isKept = !marks.isEmpty && context.choices != nil
            throw StreamError(
                .offsetsUnreadable,
                Self.refusal(
                    of: chosen.losses,
                    forgettingBy: isKept ? "DIR \(batch.milliseconds) \(stream)" : nil))
        }
        try await context.choices?.keep(
            InputChoice(.offsets, codec.bytes(of: chosen.ranges)), of: stream, for: batch)
        for loss in chosen.losses {
            let start = chosen.ranges.first { $0.topicPartition == loss.partition }?.fromOffset
            let next = start.map { "; the stream reads on at offset \($0)" } ?? ""
            settings.report(
                .inputSkipped(time: batch, stream: stream, reason: loss.text + next))
        }
        state.withLock { state in
            for loss in chosen.losses where loss.kind == .gone {
                // When it comes back, it is a new one.
                state.next[loss.partition] = nil
                state.lost[loss.partition] = nil
            }
            state.settle(Batch(time: batch, ranges: chosen.ranges))
            state.hasChosen = true
        }
        return chosen.ranges
    }

    private static func remaining(_ ranges: [OffsetRange], _ kept: InputChoice?) -> [OffsetRange] {
        guard let kept, !kept.forgotten.isEmpty else { return ranges }
        return ranges.filter { !kept.skips($0.description) }
    }

    /// What happened, and the ways out.
    ///
    /// - Parameter place: of what was kept of losses, which are not asked for again until it is
    ///   forgotten; nil: there is nothing of the kind.
    private static func refusal(of losses: [OffsetLoss], forgettingBy place: String?) -> String {
        let again = place.map { ", stop, and run: inspect inputs forget \($0)" } ?? ""
        return losses.map(\.text).joined(separator: "; ")
            + ". Bring the records back\(again); or declare the stream with onDataLoss: .earliest or "
            + ".skip"
    }

    // MARK: Choosing

    private struct Chosen {
        var ranges: [OffsetRange] = []
        var losses: [OffsetLoss] = []
        /// What is to be noted of the losses; nil: the stream reads on.
        var marks: [OffsetRange]?
    }

    /// Asks the source on an engine thread, which it may block.
    private func choosing(
        from source: some DirectSource, of stream: StreamID, at batch: BatchTime,
        _ context: GenerationContext
    ) async throws -> Chosen {
        let chosen = Locked(Chosen())
        try await context.batch.engine.perform("offsets of stream \(stream), batch \(batch)") {
            let made = try await self.choose(from: source, of: stream, at: batch)
            chosen.withLock { $0 = made }
        }
        return chosen.withLock { $0 }
    }

    private func choose(
        from source: some DirectSource, of stream: StreamID, at batch: BatchTime
    ) async throws -> Chosen {
        let latest = try await asking(stream, batch) { try await source.latestOffsets() }
        let earliest = try await asking(stream, batch) { try await source.earliestOffsets() }
        let (next, lost, hasBegun) = state.withLock { ($0.next, $0.lost, $0.hasBegun) }
        var chosen = Chosen()
        for (partition, end) in latest.sorted(by: { $0.key < $1.key }) {
            let oldest = earliest[partition]
            var start: Int64
            if let known = next[partition] {
                start = known
                let loss = Self.loss(partition, known, end, oldest, lost[partition])
                if let loss {
                    chosen.losses.append(loss)
                    if settings.onDataLoss == .fail { continue }
                    if settings.onDataLoss == .skip {
                        start = end
                    } else if let oldest {
                        start = oldest
                    } else {
                        start = try await asking(stream, batch) {
                            try await source.startingOffset(of: partition)
                        }
                    }
                }
            } else if let oldest, hasBegun {
                // It was added while the stream ran: all of it is new.
                start = oldest
            } else {
                start = try await asking(stream, batch) {
                    try await source.startingOffset(of: partition)
                }
            }
            guard start <= end else {
                throw StreamError(
                    .generationFailed,
                    "\(partition) is to begin at offset \(start), and ends at \(end); neither "
                        + "startingOffset(of:) nor earliestOffsets() may be beyond latestOffsets()")
            }
            let (sum, isBeyond) = start.addingReportingOverflow(settings.maximum ?? 0)
            let limit = settings.maximum == nil || isBeyond ? Int64.max : sum
            chosen.ranges.append(OffsetRange(partition, from: start, until: min(end, limit)))
        }
        for (partition, known) in next.sorted(by: { $0.key < $1.key })
        where latest[partition] == nil {
            chosen.losses.append(
                OffsetLoss(partition: partition, expected: known, kind: .gone))
        }
        if settings.onDataLoss == .fail, !chosen.losses.isEmpty {
            chosen.marks = chosen.losses.compactMap(\.mark)
        }
        return chosen
    }

    private static func loss(
        _ partition: TopicPartition, _ known: Int64, _ end: Int64, _ oldest: Int64?,
        _ seen: Int64?
    ) -> OffsetLoss? {
        func loss(_ kind: OffsetLoss.Kind) -> OffsetLoss {
            OffsetLoss(partition: partition, expected: known, kind: kind)
        }
        // Seen once, it stays so, however much was written since.
        if let seen { return loss(seen == .min ? .gone : .endsBefore(seen)) }
        if end < known { return loss(.endsBefore(end)) }
        if let oldest, oldest > known { return loss(.beginsAfter(oldest)) }
        return nil
    }

    /// Asks the source, again after a wait when it fails.
    private func asking<Value: Sendable>(
        _ stream: StreamID, _ batch: BatchTime, _ ask: () async throws -> Value
    ) async throws -> Value {
        var seed = StableHasher()
        seed.combine(batch.milliseconds)
        seed.combine(Int64(stream.rawValue))
        var attempt = 1
        while true {
            do { return try await ask() } catch {
                try Task.checkCancellation()
                if error is CancellationError || attempt >= settings.retry.maxAttempts {
                    throw error
                }
                let delay = settings.retry.backoff(afterAttempt: attempt, seed: seed.finish())
                settings.report(
                    .inputRetrying(
                        time: batch, stream: stream, failedAttempts: attempt, after: delay,
                        reason: "\(error)"))
                try await settings.clock.sleep(for: delay)
                attempt += 1
            }
        }
    }

    // MARK: Checkpoints

    /// Takes the remembered batches, and where the next one begins.
    var capture: StateCapture {
        StateCapture(
            take: { [self] request in
                let (next, lost, batches) = state.withLock { ($0.next, $0.lost, $0.batches) }
                let codec = Codec<[OffsetRange]>.of()
                var writer = ByteWriter()
                // A range that is not empty is that of a partition that cannot go on.
                let ends = next.sorted { $0.key < $1.key }.map {
                    OffsetRange($0.key, from: lost[$0.key] ?? $0.value, until: $0.value)
                }
                codec.encode(ends, &writer)
                for batch in batches {
                    writer.writeZigzag(batch.time.milliseconds)
                    codec.encode(batch.ranges, &writer)
                }
                return ([try request.whole(&writer, count: batches.count)], request.time)
            },
            restore: { [self] pieces, _ in
                guard let values = pieces.last?.values else { return }
                try values.bytes.withUnsafeBytes { buffer in
                    var reader = ByteReader(buffer)
                    let codec = Codec<[OffsetRange]>.of()
                    var restored = State()
                    for end in try codec.decode(&reader) {
                        restored.next[end.topicPartition] = end.untilOffset
                        if end.fromOffset < end.untilOffset { restored.mark([end]) }
                    }
                    while !reader.isAtEnd {
                        let time = try reader.readTime()
                        restored.batches.append(
                            Batch(time: time, ranges: try codec.decode(&reader)))
                    }
                    state.withLock { $0 = restored }
                }
            })
    }
}
