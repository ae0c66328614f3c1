internal import BatchEngine
public import DStreamCore
internal import Synchronization

/// Checks that a source keeps the promises of `DirectSource`.
///
/// - Parameters:
///   - source: one with records in at least one partition, which nobody else adds to or takes from.
///   - grow: adds records to a partition; nil: that is not checked.
/// - Throws: ``CheckFailure`` saying which promise is broken, or what the source threw.
/// - Complexity: reads each record about eight times, of a partition with more than 1,000 offsets the
///   first and the last 500 of them.
public func checkDirectSource<Source: DirectSource>(
    _ source: Source, grow: (() async throws -> Void)? = nil
) async throws where Source.Element: Equatable {
    let engine = LocalEngine(slots: 4)
    defer { engine.shutdown() }
    let check = SourceCheck(source: source, engine: engine)
    let ranges = try await check.offsets()
    for range in ranges {
        try await check.readings(of: range)
        try await check.ends(of: range)
    }
    if let grow { try await check.growth(grow, ranges) }
}

/// What a body throws that wants no more.
private struct Stopped: Error {}

private struct SourceCheck<Source: DirectSource>: Sendable where Source.Element: Equatable {
    let source: Source
    let engine: LocalEngine

    /// Readings are checked on an engine thread, where they may block.
    private func read(_ range: OffsetRange) async throws -> [Source.Element] {
        let read = Locked<[Source.Element]>([])
        try await engine.perform("check") { [source] in
            try source.read(range) { element in read.withLock { $0.append(element) } }
        }
        return read.withLock { $0 }
    }

    private func range(_ whole: OffsetRange, _ from: Int64, _ until: Int64) -> OffsetRange {
        OffsetRange(whole.topicPartition, from: from, until: until)
    }

    /// What can be read, by partition.
    func offsets() async throws -> [OffsetRange] {
        let latest = try await source.latestOffsets()
        let earliest = try await source.earliestOffsets()
        var ranges: [OffsetRange] = []
        for (partition, end) in latest.sorted(by: { $0.key < $1.key }) {
            let start = try await source.startingOffset(of: partition)
            try require(
                start <= end,
                "\(partition) begins at \(start), not beyond its latest offset \(end)")
            let first = earliest[partition] ?? start
            try require(
                first <= end,
                "the earliest offset of \(partition), \(first), is not beyond the latest, \(end)")
            ranges.append(OffsetRange(partition, from: first, until: end))
        }
        try require(
            earliest.keys.allSatisfy { latest[$0] != nil },
            "each partition has its latest offset: \(earliest) and \(latest)")
        let again = try await source.latestOffsets()
        try require(again == latest, "latest offsets stay while nothing is added: \(again)")
        try require(
            ranges.contains { $0.count > 0 }, "the check is given a source with records")
        return ranges
    }

    /// Any cut gives the same records, each time, also at the same time.
    func readings(of partition: OffsetRange) async throws {
        for whole in ends(of: partition) {
            let all = try await read(whole)
            try require(
                all.count <= whole.count,
                "there is at most one record per offset: \(all.count) in \(whole)")
            let again = try await read(whole)
            try require(again == all, "a range that is read again gives the same records: \(whole)")
            let (from, until) = (whole.fromOffset, whole.untilOffset)
            for middle in Set([from, from + (until - from) / 3, until]) {
                let first = range(whole, from, middle)
                let second = range(whole, middle, until)
                let parts = try await withThrowingTaskGroup(
                    of: (Bool, [Source.Element]).self
                ) { group in
                    group.addTask { (true, try await read(first)) }
                    group.addTask { (false, try await read(second)) }
                    var parts: [Bool: [Source.Element]] = [:]
                    for try await (isFirst, elements) in group { parts[isFirst] = elements }
                    return (parts[true] ?? []) + (parts[false] ?? [])
                }
                try require(
                    parts == all,
                    "\(first) and \(second) give the records of \(whole) in the order of offsets")
            }
        }
    }

    /// The first offsets and the last ones.
    private func ends(of whole: OffsetRange) -> [OffsetRange] {
        if whole.count <= 1000 { return [whole] }
        return [
            range(whole, whole.fromOffset, whole.fromOffset + 500),
            range(whole, whole.untilOffset - 500, whole.untilOffset),
        ]
    }

    func ends(of whole: OffsetRange) async throws {
        let count = Locked(0)
        let part = ends(of: whole)[0]
        let elements = try await read(part)
        do {
            try await engine.perform("check") { [source] in
                try source.read(part) { _ in
                    count.withLock { $0 += 1 }
                    throw Stopped()
                }
            }
            try require(elements.isEmpty, "read throws what its body throws: \(part)")
        } catch is Stopped {}
        let calls = count.withLock { $0 }
        try require(calls <= 1, "read ends when its body throws: \(calls) calls")
        let earliest = try await source.earliestOffsets()[whole.topicPartition]
        guard let earliest, earliest > 0 else { return }
        let lost = range(whole, earliest - 1, whole.untilOffset)
        if (try? await read(lost)) != nil {
            throw CheckFailure("read throws when not all of the range can be read: \(lost)")
        }
    }

    func growth(
        _ grow: () async throws -> Void, _ ranges: [OffsetRange]
    ) async throws {
        var before: [TopicPartition: [Source.Element]] = [:]
        for whole in ranges { before[whole.topicPartition] = try await read(ends(of: whole)[0]) }
        try await grow()
        let latest = try await source.latestOffsets()
        for whole in ranges {
            let end = latest[whole.topicPartition]
            try require(
                (end ?? -1) >= whole.untilOffset,
                "a partition that has grown ends where it ended, or later: \(whole) and "
                    + (end.map { "\($0)" } ?? "nothing"))
            let read = try await read(ends(of: whole)[0])
            try require(
                read == before[whole.topicPartition],
                "offsets do not change when records are added: \(whole)")
        }
        let old = Dictionary(
            uniqueKeysWithValues: ranges.map { ($0.topicPartition, $0.untilOffset) })
        try require(
            latest.contains { $0.value > old[$0.key] ?? 0 },
            "latest offsets follow records that are added: \(latest)")
    }
}
