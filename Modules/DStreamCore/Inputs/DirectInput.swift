internal import BatchEngine
internal import Synchronization

/// Chooses the ranges of batches, each going on where the one before ended.
///
/// ## Isolation
/// Batches ask one after the other.
final class DirectInput: Sendable {
    private struct Batch {
        let time: BatchTime
        let ranges: [OffsetRange]
    }

    private struct State {
        /// Where the next batch begins.
        var next: [TopicPartition: Int64] = [:]
        /// The remembered batches, oldest first.
        var batches: [Batch] = []

        mutating func settle(_ batch: Batch) {
            for range in batch.ranges { next[range.topicPartition] = range.untilOffset }
            batches.append(batch)
        }
    }

    private let maximum: Int64?
    private let state = Locked(State())

    init(maximum: Int?) { self.maximum = maximum.map { Int64(max(0, $0)) } }

    /// The ranges of a batch; none when it is not remembered.
    func remembered(at batch: BatchTime) -> [OffsetRange] {
        state.withLock { state in state.batches.last { $0.time == batch }?.ranges } ?? []
    }

    /// The ranges of a batch: those it had before, or chosen and kept now.
    func ranges(
        from source: some DirectSource, of stream: StreamID, at batch: BatchTime,
        remembering: Duration, _ context: GenerationContext
    ) async throws -> [OffsetRange] {
        let (known, newest) = state.withLock { state in
            state.batches.removeAll { $0.time < batch - remembering }
            return (state.batches.last { $0.time == batch }?.ranges, state.batches.last?.time)
        }
        if let known { return known }
        // What is only read, or was forgotten, is not chosen.
        if context.isReading { return [] }
        if let newest, newest > batch { return [] }
        let ranges: [OffsetRange]
        if let kept = await context.choices?.choice(of: stream, for: batch) {
            ranges = try Codec<[OffsetRange]>.of().value(of: kept)
        } else {
            ranges = try await choose(from: source, "offsets of stream \(stream), batch \(batch)", context)
            try await context.choices?.keep(
                Codec<[OffsetRange]>.of().bytes(of: ranges), of: stream, for: batch)
        }
        state.withLock { $0.settle(Batch(time: batch, ranges: ranges)) }
        return ranges
    }

    /// Asks the source on an engine thread, which it may block.
    private func choose(
        from source: some DirectSource, _ label: String, _ context: GenerationContext
    ) async throws -> [OffsetRange] {
        let chosen = Locked<[OffsetRange]>([])
        try await context.batch.engine.perform(label) { [self] in
            let ranges = try await choose(from: source)
            chosen.withLock { $0 = ranges }
        }
        return chosen.withLock { $0 }
    }

    private func choose(from source: some DirectSource) async throws -> [OffsetRange] {
        let latest = try await source.latestOffsets()
        let next = state.withLock { $0.next }
        var ranges: [OffsetRange] = []
        for (partition, end) in latest.sorted(by: { $0.key < $1.key }) {
            let start: Int64
            if let known = next[partition] {
                start = known
            } else {
                start = try await source.startingOffset(of: partition)
            }
            // Going on would leave out what was written since to a topic that was made anew.
            guard start <= end else {
                throw StreamError(
                    .generationFailed,
                    "\(partition) ends at offset \(end), before offset \(start), where the batch "
                        + "is to begin"
                        + (next[partition] == nil
                            ? "; startingOffset(of:) must not be beyond latestOffsets()"
                            : ", as earlier batches ended there: records were removed, or the "
                                + "topic was made anew; bring them back, or begin with a new "
                                + "checkpoint directory"))
            }
            let (sum, isBeyond) = start.addingReportingOverflow(maximum ?? 0)
            let limit = maximum == nil || isBeyond ? Int64.max : sum
            ranges.append(OffsetRange(partition, from: start, until: min(end, limit)))
        }
        return ranges
    }

    // MARK: Checkpoints

    /// Takes the remembered batches, and where the next one begins.
    var capture: StateCapture {
        StateCapture(
            take: { [self] request in
                let (next, batches) = state.withLock { ($0.next, $0.batches) }
                let codec = Codec<[OffsetRange]>.of()
                var writer = ByteWriter()
                let ends = next.sorted { $0.key < $1.key }.map {
                    OffsetRange($0.key, from: $0.value, until: $0.value)
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
