import DStreamTestKit
import Testing

import BatchEngine

/// Sorting, compared with sorting one array.
@Suite("Sorted RDDs", .timeLimit(.minutes(5)))
struct RDDSortTests {
    private let context = BatchContext.parallel(slots: 2)

    @Test("sorted over all partitions, and stable, in both directions")
    func sortBy() async throws {
        for seed in 0..<150 as Range<UInt64> {
            var numbers = SeededRandom(seed: seed)
            let count = Int.random(in: 0...200, using: &numbers)
            let keys = Int.random(in: 1...60, using: &numbers)
            let pairs = (0..<count).map { (Int.random(in: -keys...keys, using: &numbers), $0) }
            let inputs = Int.random(in: 1...5, using: &numbers)
            let outputs = Int.random(in: 1...6, using: &numbers)
            let ascending = Bool.random(using: &numbers)
            let rdd = try await context.parallelize(pairs, partitions: inputs)
                .sortBy(ascending: ascending, partitions: outputs) { $0.0 }
            #expect(rdd.partitionCount <= outputs)
            let expected = pairs.sorted { ascending ? $0.0 < $1.0 : $0.0 > $1.0 }
            #expect(try await rdd.collect().map { $0.1 } == expected.map { $0.1 })
            let byKey = try await context.parallelize(pairs, partitions: inputs)
                .sortByKey(ascending: ascending).collect()
            #expect(byKey.map { $0.1 } == expected.map { $0.1 })
        }
    }

    @Test("the partitions are about equally large, whichever partition the elements came from")
    func balance() async throws {
        var numbers = SeededRandom(seed: 5)
        let elements = (0..<40_000).map { _ in Int.random(in: 0..<1_000_000, using: &numbers) }
        // Nearly all elements in one partition.
        let rdd = context.makeRDD(partitions: [[], elements, [1, 2, 3]])
        let sorted = try await rdd.sortBy(partitions: 8) { $0 }
        let sizes = try await sorted.collectPartitions().map(\.count)
        #expect(sizes.count == 8)
        #expect(sizes.allSatisfy { $0 > 3000 && $0 < 7500 })
        #expect(try await sorted.collect() == (elements + [1, 2, 3]).sorted())
        let same = try await context.parallelize([7, 7, 7, 7], partitions: 2)
            .sortBy(partitions: 3) { $0 }
        #expect(try await same.collect() == [7, 7, 7, 7])
        #expect(try await context.emptyRDD(of: Int.self).sortBy { $0 }.collect() == [])
    }

    @Test("strings sort by UTF-16 code units, NaN last")
    func orders() async throws {
        let strings = [
            "b", "", "a", "\u{1F600}", "\u{FFFD}", "\u{E9}", "e\u{301}", "ab", "\u{D7FF}",
            "a string that is stored apart", "A",
        ]
        let sorted = try await context.parallelize(strings, partitions: 3).sortBy { $0 }.collect()
        let expected = strings.sorted { $0.utf16.lexicographicallyPrecedes($1.utf16) }
        #expect(sorted.map { Array($0.utf8) } == expected.map { Array($0.utf8) })
        let doubles = context.parallelize([2.5, .nan, -1, .infinity, 0, .nan], partitions: 3)
        let ordered = try await doubles.sortBy { $0 }.collect()
        #expect(ordered.prefix(4) == [-1, 0, 2.5, .infinity])
        #expect(ordered.suffix(2).allSatisfy { $0.isNaN })
        #expect(try await doubles.max()?.isNaN == true)
        #expect(try await doubles.min() == -1)
        let pairs = context.parallelize([("b", 2), ("a", 9), ("b", 1)], partitions: 2)
        let own = try await pairs.sortBy({ $0 }, by: { ($0.0, $0.1) < ($1.0, $1.1) }).collect()
        #expect(own.map { $0.1 } == [9, 1, 2])
        let byKey = try await pairs.sortByKey(ascending: false, by: { $0 < $1 }).collect()
        #expect(byKey.map { $0.1 } == [2, 1, 9])
    }

    @Test("top, takeOrdered, max and min agree with sorting")
    func ends() async throws {
        for seed in 0..<100 as Range<UInt64> {
            var numbers = SeededRandom(seed: seed)
            let count = Int.random(in: 0...300, using: &numbers)
            let pairs = (0..<count).map { (Int.random(in: 0...50, using: &numbers), $0) }
            let rdd = context.parallelize(pairs, partitions: 4)
            let limit = Int.random(in: 0...40, using: &numbers)
            let ascending = pairs.sorted { $0.0 < $1.0 }
            let descending = pairs.sorted { $0.0 > $1.0 }
            let first = try await rdd.takeOrdered(limit) { $0.0 < $1.0 }
            let last = try await rdd.top(limit) { $0.0 < $1.0 }
            #expect(first.map { $0.1 } == ascending.prefix(limit).map { $0.1 })
            #expect(last.map { $0.1 } == descending.prefix(limit).map { $0.1 })
            let keys = rdd.keys()
            #expect(try await keys.top(limit) == Array(descending.map { $0.0 }.prefix(limit)))
            #expect(try await keys.takeOrdered(.max) == ascending.map { $0.0 })
            #expect(try await keys.max() == descending.first?.0)
            #expect(try await keys.min() == ascending.first?.0)
            #expect(try await rdd.max { $0.1 < $1.1 }?.1 == pairs.last?.1)
            #expect(try await rdd.min { $0.1 < $1.1 }?.1 == pairs.first?.1)
        }
        #expect(try await context.parallelize([1]).top(-1) == [])
    }

    @Test("an order or a key that throws names the operator")
    func failures() async throws {
        let rdd = context.parallelize([3, 1, 2], partitions: 2)
        let key = await #expect(throws: EngineError.self) {
            _ = try await rdd.sortBy { _ -> Int in throw Boom() }
        }
        #expect(key?.site?.name == "sortBy" && key?.underlying is Boom)
        let order = await #expect(throws: EngineError.self) {
            try await rdd.top(2) { _, _ in throw Boom() }
        }
        #expect(order?.site?.name == "top" && order?.underlying is Boom)
        let one = try await rdd.sortBy(partitions: 1, { $0 }, by: { _, _ in throw Boom() })
        let late = await #expect(throws: EngineError.self) { try await one.collect() }
        #expect(late?.site?.name == "sortBy" && late?.underlying is Boom)
    }
}
