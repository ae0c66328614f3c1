internal import BatchEngine
public import DStreamCore

/// Checks that a sink keeps the promises of `TransactionalSink`, as far as no crash is needed.
///
/// - Parameters:
///   - elements: at least five different ones.
///   - make: a sink, not yet recovered, that writes to the place of a number: called again with a
///     number it makes what a program that is started again makes. Places 0, 1 … have different ids
///     and may share a directory or database.
///   - read: what a reader finds at the place of a number, in any order; called after a batch was
///     committed there.
/// - Throws: ``CheckFailure`` saying which promise is broken, or what the sink threw.
public func checkTransactionalSink<Sink: TransactionalSink>(
    elements: [Sink.Element], make: @escaping (_ place: Int) async throws -> Sink,
    read: @escaping (_ place: Int) async throws -> [Sink.Element]
) async throws where Sink.Element: Hashable {
    let check = SinkCheck(elements: elements, make: make, read: read)
    try require(Set(elements).count >= 5, "the check is given five different elements")
    try await check.batches(place: 0, other: 1)
    try await check.tries(place: 2)
    try await check.restarts(place: 3)
    try await check.order(place: 4)
    try await check.owners(place: 5)
    try await check.lateDiscard(place: 6)
}

private let slide = Duration.milliseconds(500)

/// The batch of a number.
private func time(_ number: Int) -> BatchTime { .milliseconds(Int64(number) * 500) }

private struct SinkCheck<Sink: TransactionalSink> where Sink.Element: Hashable {
    let elements: [Sink.Element]
    let make: (_ place: Int) async throws -> Sink
    let read: (_ place: Int) async throws -> [Sink.Element]

    private func prepare(
        _ sink: Sink, _ elements: [Sink.Element], _ batch: Int, partition: Int = 0,
        attempt: Int = 0
    ) async throws -> Sink.Prepared {
        let task = TaskContext(
            batchMilliseconds: time(batch).milliseconds, partition: partition, attempt: attempt)
        return try await sink.prepare(PartitionChunks(elements), task)
    }

    /// Prepares partitions and commits them as a batch.
    private func write(
        _ sink: Sink, _ partitions: [[Sink.Element]], _ batch: Int
    ) async throws {
        var prepared: [Sink.Prepared] = []
        for (partition, elements) in partitions.enumerated() {
            prepared.append(try await prepare(sink, elements, batch, partition: partition))
        }
        try await sink.commit(prepared, batch: time(batch))
    }

    private func expect(
        _ place: Int, _ expected: [Sink.Element], _ promise: String
    ) async throws {
        func counts(_ elements: [Sink.Element]) -> [Sink.Element: Int] {
            Dictionary(elements.map { ($0, 1) }, uniquingKeysWith: +)
        }
        let found = try await read(place)
        try require(counts(found) == counts(expected), "\(promise): \(found), not \(expected)")
    }

    private func expect(
        _ found: CommittedBatches, _ batches: [Int], upTo last: Int, _ promise: String
    ) throws {
        let held = (0...last).filter { found.contains(time($0)) }
        try require(held == batches, "\(promise): batches \(held), not \(batches)")
    }

    func batches(place: Int, other: Int) async throws {
        let sink = try await make(place)
        let second = try await make(other)
        try require(sink.id != second.id, "each place has an id of its own")
        try require(
            try await sink.recover(slide: slide).ranges.isEmpty, "a new sink holds no batch")
        try require(
            try await second.recover(slide: slide).ranges.isEmpty,
            "a new sink holds no batch, whoever shares its place")
        try await write(sink, [], 1)
        try await expect(place, [], "a batch without partitions has no elements")
        try await write(sink, [[], []], 2)
        try await expect(place, [], "a batch with empty partitions has no elements")
        try await write(sink, [[elements[0], elements[1]], [], [elements[0]]], 3)
        try await write(second, [[elements[2]]], 3)
        let first = [elements[0], elements[1], elements[0]]
        try await expect(place, first, "the elements of all partitions are there")
        try await expect(other, [elements[2]], "one sink leaves another alone")
        try await write(sink, [[elements[3]]], 3)
        try await expect(place, first, "a batch that is committed is left as it is")
        // More than one chunk.
        let many = (0..<2500).map { elements[$0 % elements.count] }
        try await write(sink, [many], 4)
        try await expect(place, first + many, "large partitions are whole")
        await sink.close()
        await sink.close()
        await second.close()
        let again = try await make(place)
        try expect(
            try await again.recover(slide: slide), [1, 2, 3, 4], upTo: 6,
            "recovery tells the committed batches, empty ones included")
        await again.close()
        let others = try await make(other)
        try expect(
            try await others.recover(slide: slide), [3], upTo: 6,
            "recovery tells the batches of its own sink alone")
        await others.close()
    }

    func tries(place: Int) async throws {
        let sink = try await make(place)
        _ = try await sink.recover(slide: slide)
        try await write(sink, [[elements[4]]], 1)
        let failed = try await prepare(sink, [elements[0]], 2)
        let counted = try await prepare(sink, [elements[1]], 2, attempt: 1)
        let late = try await prepare(sink, [elements[0], elements[3]], 2)
        try await expect(place, [elements[4]], "what is prepared is not seen")
        await sink.discard([failed], batch: time(2))
        try await sink.commit([counted], batch: time(2))
        try await expect(
            place, [elements[4], elements[1]], "of several tries only the committed one counts")
        await sink.discard([late], batch: time(2))
        try await expect(
            place, [elements[4], elements[1]], "discarding a late try harms no committed batch")
        try await write(sink, [[elements[0]]], 2)
        try await expect(
            place, [elements[4], elements[1]],
            "discarding a late try leaves the note that the batch is committed")
        let dropped = try await prepare(sink, [elements[2]], 3)
        await sink.discard([dropped], batch: time(3))
        try await write(sink, [[elements[3]]], 3)
        try await expect(
            place, [elements[4], elements[1], elements[3]],
            "a batch that was discarded can come again")
        let prepared = try await concurrently(sink)
        try await sink.commit(prepared, batch: time(4))
        try await expect(
            place,
            [elements[4], elements[1], elements[3]] + (0..<20).map { elements[$0 % 5] },
            "partitions can be prepared at once")
        await sink.close()
        var isRefused = false
        do { try await sink.commit([], batch: time(5)) } catch { isRefused = true }
        try require(isRefused, "a closed sink refuses commits")
    }

    func lateDiscard(place: Int) async throws {
        let sink = try await make(place)
        _ = try await sink.recover(slide: slide)
        let late = try await prepare(sink, [elements[0]], 1)
        try await write(sink, [[elements[1]]], 1)
        await sink.discard([late], batch: time(1))
        await sink.close()
        let again = try await make(place)
        try expect(
            try await again.recover(slide: slide), [1], upTo: 3,
            "recovery tells a batch after the late discard of a try of it")
        await again.close()
        try await expect(
            place, [elements[1]], "a late discard leaves the data of the committed batch")
    }

    private func concurrently(_ sink: Sink) async throws -> [Sink.Prepared] {
        let some = Array(elements.prefix(5))
        return try await withThrowingTaskGroup(of: Sink.Prepared.self) { group in
            for partition in 0..<20 {
                group.addTask {
                    let task = TaskContext(
                        batchMilliseconds: time(4).milliseconds, partition: partition)
                    return try await sink.prepare(PartitionChunks([some[partition % 5]]), task)
                }
            }
            var all: [Sink.Prepared] = []
            for try await prepared in group { all.append(prepared) }
            return all
        }
    }

    func restarts(place: Int) async throws {
        var expected: [Sink.Element] = []
        for run in 0..<4 {
            let sink = try await make(place)
            try expect(
                try await sink.recover(slide: slide), Array(0..<run), upTo: 6,
                "start \(run) knows what was committed before")
            _ = try await prepare(sink, [elements[4]], run)
            _ = try await prepare(sink, [elements[4]], run + 1)
            try await write(sink, [[elements[run]]], run)
            expected.append(elements[run])
            _ = try await prepare(sink, [elements[4]], run + 1)
            await sink.close()
            try await expect(place, expected, "after start \(run)")
        }
    }

    func order(place: Int) async throws {
        let sink = try await make(place)
        _ = try await sink.recover(slide: slide)
        for (index, batch) in [5, 2, 9, 3, 10].enumerated() {
            try await write(sink, [[elements[index]]], batch)
        }
        await sink.close()
        let again = try await make(place)
        try expect(
            try await again.recover(slide: slide), [2, 3, 5, 9, 10], upTo: 12,
            "an older batch can come after newer ones, and what was left out is not there")
        try await write(again, [[elements[0]]], 4)
        await again.close()
        try await expect(
            place, elements.prefix(5) + [elements[0]], "batches in any order are all there")
        let last = try await make(place)
        try expect(
            try await last.recover(slide: slide), [2, 3, 4, 5, 9, 10], upTo: 12,
            "a gap can be filled after a restart")
        await last.close()
    }

    func owners(place: Int) async throws {
        let first = try await make(place)
        _ = try await first.recover(slide: slide)
        try await write(first, [[elements[0]]], 1)
        let second = try await make(place)
        var isRefused = false
        do { _ = try await second.recover(slide: slide) } catch { isRefused = true }
        let old = [elements[0]]
        if isRefused {
            try await write(first, [[elements[1]]], 2)
            try await expect(place, old + [elements[1]], "who holds the place goes on")
            await second.close()
        } else {
            var isFenced = false
            do { try await write(first, [[elements[2]]], 2) } catch { isFenced = true }
            try require(isFenced, "of two programs on one sink one is refused")
            try await expect(place, old, "a refused commit leaves nothing")
            try await write(second, [[elements[1]]], 2)
            try await expect(place, old + [elements[1]], "the newer program goes on")
            await second.close()
        }
        await first.close()
    }
}
