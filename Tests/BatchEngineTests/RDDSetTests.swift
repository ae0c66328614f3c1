import DStreamTestKit
import Testing

import BatchEngine

/// Set-like operators and products, compared with arrays.
@Suite("RDDs as sets", .timeLimit(.minutes(5)))
struct RDDSetTests {
    private let context = BatchContext.parallel(slots: 2)

    private func elements(_ numbers: inout SeededRandom) -> [Int] {
        let count = Int.random(in: 0...60, using: &numbers)
        return (0..<count).map { _ in Int.random(in: 0...40, using: &numbers) }
    }

    @Test("distinct, intersection, subtract and subtractByKey")
    func sets() async throws {
        for seed in 0..<150 as Range<UInt64> {
            var numbers = SeededRandom(seed: seed)
            let (left, right) = (elements(&numbers), elements(&numbers))
            let first = context.parallelize(
                left, partitions: Int.random(in: 1...4, using: &numbers))
            let second = context.parallelize(
                right, partitions: Int.random(in: 1...4, using: &numbers))
            let count = Int.random(in: 1...4, using: &numbers)
            let partitioner = HashPartitioner<Int>(partitionCount: count)
            #expect(
                try await first.distinct(partitions: count).collect().sorted()
                    == Set(left).sorted())
            let common = Set(left).intersection(right).sorted()
            #expect(
                try await first.intersection(second, partitions: count).collect().sorted()
                    == common)
            #expect(
                try await first.intersection(second, partitioner: partitioner).collect().sorted()
                    == common)
            let rest = left.filter { !right.contains($0) }.sorted()
            #expect(try await first.subtract(second).collect().sorted() == rest)
            #expect(
                try await first.subtract(second, partitioner: partitioner).collect().sorted()
                    == rest)
            let pairs = try await first.zipWithIndex()
                .subtractByKey(second.map { ($0, "") }, partitions: count)
                .collect().sorted { $0.1 < $1.1 }
            let kept = left.enumerated().filter { !right.contains($0.element) }
            #expect(pairs.map { $0.1 } == kept.map(\.offset))
        }
    }

    @Test("partition counts are those of the left side; keys compare as keys")
    func shapes() async throws {
        let rdd = context.parallelize(["\u{E9}", "e\u{301}", "\u{E9}"], partitions: 3)
        #expect(rdd.distinct().partitionCount == 3)
        #expect(rdd.subtract(rdd).partitionCount == 3)
        #expect(rdd.intersection(rdd).partitionCount == context.defaultParallelism)
        #expect(rdd.distinct(partitioner: HashPartitioner(partitionCount: 2)).partitionCount == 2)
        #expect(try await rdd.distinct().count() == 2)
        #expect(try await rdd.subtract(context.parallelize(["e\u{301}"])).count() == 2)
        let nans = context.parallelize([Double.nan, .nan, 0.0, -0.0], partitions: 2)
        #expect(try await nans.distinct().count() == 2)
        #expect(try await context.emptyRDD(of: Int.self).distinct().collect() == [])
    }

    @Test("cartesian is the outer loop over the left, partition by partition")
    func cartesian() async throws {
        let left = context.makeRDD(partitions: [[1, 2], [], [3]])
        let right = context.makeRDD(partitions: [["a"], ["b", "c"]])
        let product = left.cartesian(right)
        #expect(product.partitionCount == 6)
        let texts = try await product.collectPartitions().map { $0.map { "\($0.0)\($0.1)" } }
        #expect(texts == [["1a", "2a"], ["1b", "1c", "2b", "2c"], [], [], ["3a"], ["3b", "3c"]])
        #expect(try await left.cartesian(context.emptyRDD(of: Int.self)).collect().isEmpty)
        #expect(try await product.union(product).count() == 18)
    }

    @Test("zip pairs by place and refuses what does not fit")
    func zip() async throws {
        let left = context.makeRDD(partitions: [[1, 2], [], [3]])
        let zipped = try await left.zip(left.map { $0 * 10 }).map { "\($0.0) \($0.1)" }.collect()
        #expect(zipped == ["1 10", "2 20", "3 30"])
        #expect(try await left.zip(left).union(left.zip(left)).count() == 6)
        let fewer = left.zip(context.makeRDD(partitions: [["a"]]))
        let partitions = await #expect(throws: EngineError.self) { try await fewer.collect() }
        #expect(partitions?.code == .invalidPlan && partitions?.site?.name == "zip")
        for other in [[[1, 2], [], []], [[1], [], [3]], [[1, 2], [9], [3]]] {
            let error = await #expect(throws: EngineError.self) {
                try await left.zip(context.makeRDD(partitions: other)).collect()
            }
            #expect(error?.code == .invalidPlan && error?.site?.name == "zip")
            #expect(error?.attempts == 1)
        }
    }

    @Test("mapPartitionsWithIndex, also in a union, where tasks have other numbers")
    func indexes() async throws {
        let rdd = context.makeRDD(partitions: [["a"], [], ["b", "c"]])
            .mapPartitionsWithIndex { index, elements in elements.map { "\(index)\($0)" } }
        #expect(try await rdd.collect() == ["0a", "2b", "2c"])
        #expect(try await rdd.union(rdd).collect() == ["0a", "2b", "2c", "0a", "2b", "2c"])
        #expect(try await rdd.union(rdd).coalesce(1).count() == 6)
        let twice = rdd.mapPartitionsWithIndex { index, elements in [index * elements.count] }
        #expect(try await twice.collect() == [0, 0, 4])
    }

    @Test("groupBy, keyBy, keys and values")
    func keys() async throws {
        let rdd = context.parallelize(1...10, partitions: 3)
        let groups = try await rdd.groupBy(partitions: 2) { $0 % 3 }.collect()
            .sorted { $0.0 < $1.0 }
        #expect(groups.map { $0.1 } == [[3, 6, 9], [1, 4, 7, 10], [2, 5, 8]])
        let keyed = rdd.keyBy { "\($0)" }
        #expect(try await keyed.keys().collect() == (1...10).map { "\($0)" })
        #expect(try await keyed.values().collect() == Array(1...10))
    }
}
