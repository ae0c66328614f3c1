import DStreamTestKit
import Testing

import BatchEngine

/// Joins of RDDs, compared with loops over all pairs.
@Suite("Joins of RDDs", .timeLimit(.minutes(5)))
struct RDDJoinTests {
    private let context = BatchContext.parallel(slots: 2)

    /// What a seed stands for: two lists of pairs, some empty, with keys that only one has.
    private struct Draw {
        var numbers: SeededRandom
        init(seed: UInt64) { numbers = SeededRandom(seed: seed) }

        mutating func int(_ range: ClosedRange<Int>) -> Int {
            Int.random(in: range, using: &numbers)
        }

        mutating func pairs() -> [(String, Int)] {
            let keys = ["a", "b", "", "\u{E9}", "e\u{301}", "a key that is stored apart"]
            let count = int(0...4) == 0 ? 0 : int(0...12)
            return (0..<count).map { index in (keys[int(0...keys.count - 1)], index) }
        }
    }

    private func isSame(_ left: String, _ right: String) -> Bool {
        left.utf8.elementsEqual(right.utf8)
    }

    /// The rows of a join by definition, as text.
    private func model(
        _ left: [(String, Int)], _ right: [(String, Int)], keepsLeft: Bool, keepsRight: Bool
    ) -> [String] {
        var rows: [String] = []
        for (key, value) in left {
            let others = right.filter { isSame($0.0, key) }
            for other in others { rows.append(text(key, value, other.1)) }
            if others.isEmpty, keepsLeft { rows.append(text(key, value, nil)) }
        }
        for (key, value) in right where keepsRight && !left.contains(where: { isSame($0.0, key) }) {
            rows.append(text(key, nil, value))
        }
        return sorted(rows)
    }

    private func text(_ key: String, _ left: Int?, _ right: Int?) -> String {
        "\(Array(key.utf8)) \(left.map(String.init) ?? "nil") \(right.map(String.init) ?? "nil")"
    }

    private func sorted(_ rows: [String]) -> [String] {
        rows.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    @Test("the four joins agree with a loop over all pairs")
    func joins() async throws {
        var rowCount = 0
        for seed in 0..<200 as Range<UInt64> {
            var draw = Draw(seed: seed)
            let (left, right) = (draw.pairs(), draw.pairs())
            let first = context.parallelize(left, partitions: draw.int(1...4))
            let second = context.parallelize(right, partitions: draw.int(1...4))
            let count = draw.int(1...4)
            let inner = try await first.join(second, partitions: count).collect()
            let leftOuter = try await first.leftOuterJoin(second, partitions: count).collect()
            let rightOuter = try await first.rightOuterJoin(second, partitions: count).collect()
            let full = try await first.fullOuterJoin(second, partitions: count).collect()
            let rows = model(left, right, keepsLeft: false, keepsRight: false)
            #expect(sorted(inner.map { text($0.0, $0.1.0, $0.1.1) }) == rows)
            #expect(
                sorted(leftOuter.map { text($0.0, $0.1.0, $0.1.1) })
                    == model(left, right, keepsLeft: true, keepsRight: false))
            #expect(
                sorted(rightOuter.map { text($0.0, $0.1.0, $0.1.1) })
                    == model(left, right, keepsLeft: false, keepsRight: true))
            #expect(
                sorted(full.map { text($0.0, $0.1.0, $0.1.1) })
                    == model(left, right, keepsLeft: true, keepsRight: true))
            rowCount += rows.count
        }
        #expect(rowCount > 500)
    }

    @Test("cogroup of two, three and four gathers every side in arrival order")
    func cogroups() async throws {
        for seed in 0..<60 as Range<UInt64> {
            var draw = Draw(seed: seed &+ 1000)
            let lists = (0..<4).map { _ in draw.pairs() }
            let rdds = lists.map { context.parallelize($0, partitions: draw.int(1...3)) }
            let count = draw.int(1...3)
            let partitioner = HashPartitioner<String>(partitionCount: count)
            let two = try await rdds[0].cogroup(rdds[1], partitions: count).collect()
                .map { ($0.0, [$0.1.0, $0.1.1]) }
            let three = try await rdds[0].cogroup(rdds[1], rdds[2], partitioner: partitioner)
                .collect().map { ($0.0, [$0.1.0, $0.1.1, $0.1.2]) }
            let four = try await rdds[0]
                .cogroup(rdds[1], rdds[2], rdds[3], partitions: count).collect()
                .map { ($0.0, [$0.1.0, $0.1.1, $0.1.2, $0.1.3]) }
            for (sides, groups) in [(2, two), (3, three), (4, four)] {
                let used = lists.prefix(sides)
                #expect(groups.count == Set(used.joined().map { Array($0.0.utf8) }).count)
                for (key, values) in groups {
                    let expected = used.map { list in
                        list.filter { isSame($0.0, key) }.map { $0.1 }
                    }
                    #expect(values == expected)
                }
            }
        }
    }

    struct FirstLetter: Partitioner {
        var partitionCount: Int { 3 }
        func partition(for key: String) -> Int { Int(key.utf8.first ?? 0) % 3 }
    }

    @Test("a partitioner places the keys of every operator")
    func partitioners() async throws {
        let left = context.parallelize([("a", 1), ("b", 2), ("c", 3), ("d", 4)], partitions: 2)
        let right = context.parallelize([("d", "x"), ("a", "y")], partitions: 3)
        let place = FirstLetter()
        func check<Value: Sendable>(_ rdd: RDD<(String, Value)>, _ keys: [[String]]) async throws {
            #expect(rdd.partitionCount == 3)
            let found = try await rdd.collectPartitions().map { $0.map { $0.0 }.sorted() }
            #expect(found == keys)
        }
        let all = [["c"], ["a", "d"], ["b"]]
        try await check(left.partitionBy(place), all)
        try await check(left.join(right, partitioner: place), [[], ["a", "d"], []])
        try await check(left.leftOuterJoin(right, partitioner: place), all)
        try await check(left.rightOuterJoin(right, partitioner: place), [[], ["a", "d"], []])
        try await check(left.fullOuterJoin(right, partitioner: place), all)
        try await check(left.cogroup(right, partitioner: place), all)
        try await check(left.cogroup(right, left, right, partitioner: place), all)
        try await check(left.reduceByKey(partitioner: place, +), all)
        try await check(left.groupByKey(partitioner: place), all)
        for mapSideCombine in [true, false] {
            try await check(
                left.combineByKey(
                    createCombiner: { [$0] }, mergeValue: { $0 + [$1] },
                    mergeCombiners: { $0 + $1 }, partitioner: place,
                    mapSideCombine: mapSideCombine), all)
        }
        try await check(
            left.aggregateByKey(0, partitioner: place, seqOp: { $0 + $1 }, combOp: { $0 + $1 }),
            all)
        try await check(left.foldByKey(0, partitioner: place, +), all)
        try await check(left.subtractByKey(right, partitioner: place), [["c"], [], ["b"]])
        try await check(left.keys().groupBy(partitioner: place) { $0 }, all)
        #expect(left.partitionBy(partitions: 5).partitionCount == 5)
        #expect(left.partitionBy(partitions: -1).partitionCount == 1)
        #expect(left.join(right, partitions: 0).partitionCount == 1)
        #expect(left.join(right).partitionCount == context.defaultParallelism)
    }

    @Test("joins of joins, of what was joined before, and of nothing")
    func nested() async throws {
        let left = context.parallelize([(1, "a"), (2, "b"), (2, "c")], partitions: 2)
        let right = context.parallelize([(2, 20), (3, 30)], partitions: 2)
        let rows = try await left.join(right).fullOuterJoin(right).join(left).collect()
        let texts = rows.map { "\($0.0) \($0.1)" }.sorted()
        #expect(texts.count == 4)
        #expect(texts[0].hasPrefix("2 (("))
        let itself = try await left.join(left).collect()
        #expect(itself.count == 5)
        let none = context.emptyRDD(of: (Int, Int).self)
        #expect(try await left.join(none).count() == 0)
        #expect(try await none.rightOuterJoin(left).count() == 3)
        let union = left.join(right).union(left.join(right))
        #expect(try await union.count() == 4)
    }

    @Test("the codecs of what joins make resolve")
    func codecs() throws {
        #expect(Codec<(String, (Int, Double))>.resolve()?.shape == "(String,(Int,Double))")
        #expect(Codec<(Int, (Int, String?))>.resolve()?.shape == "(Int,(Int,Optional<String>))")
        #expect(Codec<(Int, (Int?, String))>.resolve() != nil)
        #expect(Codec<(Int, (Int?, (Int, [Int])?))>.resolve() != nil)
        let codec = try #require(Codec<(String, ([Int], [(String, Bool)]))>.resolve())
        let copy = try codec.value(of: codec.bytes(of: ("k", ([1, 2], [("v", true)]))))
        #expect(copy.0 == "k" && copy.1.0 == [1, 2])
        #expect(copy.1.1.count == 1 && copy.1.1[0].0 == "v" && copy.1.1[0].1)
    }
}
