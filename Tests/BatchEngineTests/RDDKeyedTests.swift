import DStreamTestKit
import Testing

import BatchEngine

@Suite("RDD operators on keys", .timeLimit(.minutes(5)))
struct RDDKeyedTests {
    private let context = BatchContext.parallel(slots: 3)

    private func pairs(seed: UInt64, count: Int, keys: Int) -> [(Int, Int)] {
        var numbers = SeededRandom(seed: seed)
        return (0..<count).map { _ in
            (Int.random(in: 0..<keys, using: &numbers), Int.random(in: -9...9, using: &numbers))
        }
    }

    @Test("reduceByKey agrees with a dictionary", arguments: [0, 1, 50, 3000], [1, 2, 7, 100])
    func reduceByKey(count: Int, partitions: Int) async throws {
        let pairs = pairs(seed: UInt64(count), count: count, keys: 40)
        let expected = Dictionary(pairs, uniquingKeysWith: +)
        let result = try await context.parallelize(pairs, partitions: 4)
            .reduceByKey(partitions: partitions, +).collectPartitions()
        #expect(result.count == partitions)
        let all = Array(result.joined())
        #expect(all.count == expected.count)
        #expect(Dictionary(uniqueKeysWithValues: all) == expected)
        for (index, partition) in result.enumerated() {
            for (key, _) in partition {
                #expect(HashPartitioner<Int>.partition(for: key, count: partitions) == index)
            }
        }
    }

    @Test("groupByKey keeps arrival order within each key", arguments: [1, 5])
    func groupByKey(partitions: Int) async throws {
        let pairs = pairs(seed: 7, count: 500, keys: 30)
        let expected = Dictionary(grouping: pairs, by: { $0.0 }).mapValues { $0.map { $0.1 } }
        let result = try await context.parallelize(pairs, partitions: 4)
            .groupByKey(partitions: partitions).collect()
        #expect(result.count == expected.count)
        for (key, values) in result { #expect(values == expected[key]) }
    }

    @Test("combineByKey with and without map-side combine", arguments: [true, false])
    func combineByKey(mapSideCombine: Bool) async throws {
        let pairs = pairs(seed: 11, count: 800, keys: 25)
        let result = try await context.parallelize(pairs, partitions: 3).combineByKey(
            createCombiner: { [$0] }, mergeValue: { $0 + [$1] }, mergeCombiners: { $0 + $1 },
            partitions: 4, mapSideCombine: mapSideCombine
        ).collect()
        let expected = Dictionary(grouping: pairs, by: { $0.0 }).mapValues { $0.map { $0.1 } }
        #expect(result.count == expected.count)
        for (key, values) in result { #expect(values == expected[key]) }
    }

    @Test("mapValues and flatMapValues leave keys where they are")
    func values() async throws {
        let rdd = context.makeRDD(partitions: [[("a", 1)], [("b", 2), ("c", 0)]])
        let mapped = try await rdd.mapValues { $0 * 10 }.collect()
        #expect(mapped.map { $0.0 } == ["a", "b", "c"])
        #expect(mapped.map { $0.1 } == [10, 20, 0])
        let flat = try await rdd.flatMapValues { Array(repeating: $0, count: $0) }.collect()
        #expect(flat.map { $0.0 } == ["a", "b", "b"])
        #expect(flat.map { $0.1 } == [1, 2, 2])
    }

    @Test("tuples, nested ones too, are values like any other")
    func tuples() async throws {
        let words = context.parallelize(["to", "be", "or", "not", "to", "be"], partitions: 3)
        let stats = try await words.map { ($0, ($0.count, 1)) }
            .reduceByKey { ($0.0 + $1.0, $0.1 + $1.1) }.collect()
        let sorted = stats.sorted { $0.0 < $1.0 }
        #expect(sorted.map { $0.0 } == ["be", "not", "or", "to"])
        #expect(sorted.map { $0.1.0 } == [4, 3, 2, 4])
        #expect(sorted.map { $0.1.1 } == [2, 1, 1, 2])
        let nested = try await words.map { ($0.count, (($0, [1]), Optional($0))) }
            .reduceByKey { (($0.0.0 + $1.0.0, $0.0.1 + $1.0.1), $1.1) }.collect()
        #expect(nested.first { $0.0 == 3 }?.1.0.0 == "not")
        #expect(nested.first { $0.0 == 2 }?.1.0.1.count == 5)
    }

    @Test("strings that are canonically equivalent and differ in bytes are two keys")
    func stringKeys() async throws {
        let composed = "caf\u{E9}"
        let decomposed = "cafe\u{301}"
        #expect(composed == decomposed)
        let rdd = context.parallelize(
            [composed, decomposed, composed, "e\u{301}", "\u{E9}"], partitions: 3
        ).map { ($0, 1) }
        let counts = try await rdd.reduceByKey(partitions: 2, +).collect()
        #expect(counts.count == 4)
        #expect(counts.first { $0.0.utf8.elementsEqual(composed.utf8) }?.1 == 2)
        #expect(counts.first { $0.0.utf8.elementsEqual(decomposed.utf8) }?.1 == 1)
        #expect(try await rdd.groupByKey().count() == 4)
    }

    @Test("a kept reduction used by a merge of one input keeps its keys apart")
    func mergeOfOnePane() async throws {
        let rdd = context.parallelize([("a", 1), ("b", 2), ("a", 3)], partitions: 3)
        let site = OperatorSite("window", file: "", line: 0)
        let exchanged = rdd.reduceByKey(partitions: 1, +)
        let pipe = Pipe<(String, Int)>.merged(site) { $0 + $1 }
        let merged = try await RDD(
            context: context, plan: .zip([exchanged.plan]), pipe: pipe
        ).collect().sorted { $0.0 < $1.0 }
        #expect(merged.map { $0.0 } == ["a", "b"])
        #expect(merged.map { $0.1 } == [4, 2])
    }

    struct Wild: Partitioner {
        var partitionCount: Int { 2 }
        func partition(for key: Int) -> Int { key }
    }

    @Test("a partitioner outside its range is an error that names it, at once")
    func wildPartitioner() async throws {
        let site = OperatorSite("partitionBy", file: "F.swift", line: 3)
        let rdd = context.parallelize([(0, 1), (5, 1)], partitions: 1)
        let kernel = rdd.pipe.partitionKernel(id: .nextDynamic(), site, placement: .custom(Wild()))
        let exchanged = rdd.exchanged(kernel, 2, Pipe<(Int, Int)>.source(site))
        let error = await #expect(throws: EngineError.self) { try await exchanged.collect() }
        #expect(error?.code == .invalidPlan)
        #expect(error?.site == site && error?.partition == 0 && error?.attempts == 1)
        #expect(error?.message.contains("Wild") == true)
    }
}
