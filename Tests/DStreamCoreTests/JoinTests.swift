import BatchEngine
import DStreamCore
import DStreamTestKit
import Testing

/// Joins of streams, batch by batch on a manual clock; what they give is compared with definitions
/// in `JoinPropertyTests`.
@Suite("Joins of streams", .timeLimit(.minutes(5)))
struct JoinTests {
    @Test("a batch in which one stream has no RDD cannot be generated")
    func gap() async throws {
        let harness = StreamHarness()
        let first = harness.input([[(1, "a")], nil, [(1, "c")]])
        let second = harness.input([[(1, 1)], [(1, 2)], [(1, 3)]])
        let joined = harness.record(first.join(second))
        let groups = harness.record(second.cogroup(second, first))
        await #expect(throws: StreamError.self) { try await harness.run(batches: 3) }
        #expect(joined.batches.map(\.time.milliseconds) == [1000])
        #expect(groups.batches.map(\.time.milliseconds) == [1000])
        #expect(harness.errors.first?.code == .generationFailed)
        let cause = harness.errors.first?.underlying as? StreamError
        #expect(cause?.code == .noParentRDD && cause?.site?.name == "join")
    }

    @Test("bad declarations are thrown by start, with their places")
    func declarations() async throws {
        let harness = StreamHarness()
        let first = harness.input([[(1, 1)]])
        let slow = first.window(.seconds(2), slide: .seconds(2))
        _ = harness.record(first.join(slow))
        _ = harness.record(first.cogroup(first, partitions: 0))
        _ = harness.record(first.fullOuterJoin(first, partitions: -2))
        let foreign = StreamHarness().input([[(1, 1)]])
        _ = harness.record(first.leftOuterJoin(foreign))
        let error = await #expect(throws: StreamError.self) { try await harness.run(batches: 0) }
        #expect(
            error?.parts.map(\.code)
                == [.slideMismatch, .badDeclaration, .badDeclaration, .contextMismatch])
        #expect(
            error?.parts.map { $0.site?.name }
                == ["join", "cogroup", "fullOuterJoin", "leftOuterJoin"])
        #expect(
            error?.parts.allSatisfy { $0.site?.file.hasSuffix("JoinTests.swift") == true } == true)
    }

    private struct Odd: Partitioner {
        var partitionCount: Int { 2 }
        func partition(for key: Int) -> Int { key & 1 }
    }

    @Test("partitionBy places keys; mapPartitionsWithIndex knows where it is, in unions too")
    func partitions() async throws {
        let harness = StreamHarness()
        let input = harness.input([[(1, "a"), (2, "b"), (3, "c")], nil, []], partitions: 3)
        let placed = input.partitionBy(Odd())
        let indexed = placed.mapPartitionsWithIndex { index, pairs in
            pairs.map { "\(index)\($0.1)" }
        }
        let spread = harness.record(input.partitionBy(partitions: 4))
        let partitions = harness.record(placed)
        let both = harness.record(indexed)
        try await harness.run(batches: 3)
        #expect(harness.errors.isEmpty)
        #expect(partitions.batches.map(\.time.milliseconds) == [1000, 3000])
        #expect(partitions.batches[0].partitions.map { $0.map { $0.1 } } == [["b"], ["a", "c"]])
        #expect(both.batches[0].elements == ["0b", "1a", "1c"])
        #expect(spread.batches[0].partitions.count == 4)
        let second = StreamHarness()
        let numbers = second.input([[1, 2, 3]], partitions: 3)
            .mapPartitionsWithIndex { index, elements in elements.map { [index, $0] } }
        let union = second.record(numbers.union(numbers))
        try await second.run(batches: 1)
        #expect(
            union.batches[0].elements == [[0, 1], [1, 2], [2, 3], [0, 1], [1, 2], [2, 3]])
    }

    @Test("joins of joins, of windows, of what is kept, and inside transform")
    func composed() async throws {
        let harness = StreamHarness()
        let words = harness.input([["a", "b"], ["a"], []])
        let lengths = words.map { ($0, ($0.count, 1)) }.persist()
        let counts = words.map { ($0, 1) }.reduceByKey(+)
        let joined = lengths.join(counts).leftOuterJoin(counts.window(.seconds(2)))
        let recorded = harness.record(joined.persist(.memoryOnlySerialized))
        let inside = harness.record(
            words.map { ($0, 1) }.transform { rdd in
                try await rdd.join(rdd).mapValues { $0.0 + $0.1 }.sortByKey(ascending: false)
            }.map { "\($0.0)\($0.1)" })
        try await harness.run(batches: 3)
        #expect(harness.errors.isEmpty)
        // Every row of a key: its own length and count with each count in the window.
        #expect(recorded.batches.map(\.elements.count) == [2, 2, 0])
        #expect(recorded.batches[1].elements.map { $0.1.1 } == [1, 1])
        #expect(inside.batches.map(\.elements) == [["b2", "a2"], ["a2"], []])
    }
}
