import Testing

import BatchEngine

private struct Refused: Error {}

@Suite("RDD transformations", .timeLimit(.minutes(5)))
struct RDDTransformationTests {
    private let context = BatchContext.parallel()

    @Test("parallelize cuts as Spark cuts: i*n/p ..< (i+1)*n/p")
    func parallelize() async throws {
        let partitions = try await context.parallelize(1...7, partitions: 3).collectPartitions()
        #expect(partitions == [[1, 2], [3, 4], [5, 6, 7]])
        let few = try await context.parallelize([1], partitions: 3).collectPartitions()
        #expect(few == [[], [], [1]])
        #expect(context.parallelize([1], partitions: -1).partitionCount == 1)
        #expect(context.emptyRDD(of: Int.self).partitionCount == 0)
    }

    @Test("more partitions than can be made are refused", arguments: [1 << 20 + 1, Int.max])
    func tooManyPartitions(_ count: Int) async throws {
        let pairs = context.parallelize([(1, 1)])
        for rdd in [
            context.parallelize([(1, 1)], partitions: count), pairs.repartition(count),
            pairs.reduceByKey(partitions: count) { $0 + $1 }, pairs.partitionBy(partitions: count),
        ] {
            let error = await #expect(throws: EngineError.self) { try await rdd.count() }
            #expect(error?.code == .badArgument)
            #expect(error?.site?.line ?? 0 > 0 && error?.site?.name != "count")
        }
    }

    @Test("map, filter and flatMap keep order and fuse over partitions")
    func narrow() async throws {
        let result = try await context.parallelize(0..<10, partitions: 3)
            .map { $0 + 1 }
            .filter { $0 % 2 == 0 }
            .flatMap { [$0, -$0] }
            .collect()
        #expect(result == [2, -2, 4, -4, 6, -6, 8, -8, 10, -10])
    }

    @Test("flatMap takes sequences that push and such that do not")
    func flatMap() async throws {
        let lines = context.parallelize(["a b", "", "c"], partitions: 2)
        #expect(try await lines.flatMap { $0.words() }.collect() == ["a", "b", "c"])
        #expect(try await lines.flatMap { $0.utf8.map { Int($0) } }.count() == 4)
        #expect(try await lines.flatMap { _ in [Int]() }.isEmpty())
    }

    @Test("compactMap leaves out what becomes nil, and names itself where it fails")
    func compactMap() async throws {
        let texts = context.parallelize(["1", "x", "", "3"], partitions: 2)
        #expect(try await texts.compactMap { Int($0) }.collect() == [1, 3])
        let failing = texts.compactMap { text -> Int? in
            if text.isEmpty { throw Refused() }
            return Int(text)
        }
        let error = await #expect(throws: EngineError.self) { try await failing.count() }
        #expect(error?.site?.name == "compactMap")
    }

    @Test("mapPartitions and glom see each partition once, also empty ones")
    func partitions() async throws {
        let rdd = context.makeRDD(partitions: [[1, 2], [], [3]])
        #expect(try await rdd.mapPartitions { [$0.reduce(0, +)] }.collect() == [3, 0, 3])
        #expect(try await rdd.glom().collect() == [[1, 2], [], [3]])
    }

    @Test("a union has the partitions of both, in order, duplicates included")
    func union() async throws {
        let one = context.makeRDD(partitions: [[1], [2]])
        let union = one.map { $0 * 10 }.union(one).union(context.emptyRDD())
        #expect(try await union.collectPartitions() == [[10], [20], [1], [2]])
        #expect(try await context.union([RDD<Int>]()).collect() == [])
        #expect(
            try await union.filter { $0 < 15 }.glom().map { $0.count }.collect() == [1, 0, 1, 1])
    }

    @Test("coalesce joins neighbours after what was done partition by partition")
    func coalesce() async throws {
        let rdd = context.makeRDD(partitions: [[1], [2, 3], [], [4], [5]])
        #expect(try await rdd.coalesce(2).collectPartitions() == [[1, 2, 3], [4, 5]])
        #expect(
            try await rdd.glom().coalesce(2).collectPartitions() == [
                [[1], [2, 3]], [[], [4], [5]],
            ])
        #expect(try await rdd.coalesce(2).glom().collect() == [[1, 2, 3], [4, 5]])
        #expect(try await rdd.coalesce(9).collectPartitions().count == 5)
        #expect(try await rdd.coalesce(0).collectPartitions() == [[1, 2, 3, 4, 5]])
        #expect(try await rdd.coalesce(3).coalesce(1).collect() == [1, 2, 3, 4, 5])
        #expect(try await context.emptyRDD(of: Int.self).coalesce(3).collect() == [])
    }

    @Test("zipWithIndex numbers over partitions, in unions and joined partitions as well")
    func zipWithIndex() async throws {
        let rdd = context.makeRDD(partitions: [["a", "b"], [], ["c"], ["d", "e"]])
        let indexed = try await rdd.zipWithIndex()
        #expect(try await indexed.map { $0.0 }.collect() == ["a", "b", "c", "d", "e"])
        #expect(try await indexed.map { $0.1 }.collect() == [0, 1, 2, 3, 4])
        #expect(try await indexed.coalesce(2).map { $0.1 }.collect() == [0, 1, 2, 3, 4])
        #expect(
            try await indexed.union(indexed).map { $0.1 }.collect() == [
                0, 1, 2, 3, 4, 0, 1, 2, 3, 4,
            ])
        #expect(try await indexed.zipWithIndex().map { $0.1 }.collect() == [0, 1, 2, 3, 4])
        #expect(try await context.emptyRDD(of: Int.self).zipWithIndex().collect().isEmpty)
        let one = try await context.parallelize([7], partitions: 1).zipWithIndex().collect()
        #expect(one.count == 1 && one[0] == (7, 0))
    }

    @Test("repartition deals out evenly and loses nothing")
    func repartition() async throws {
        let rdd = context.parallelize(0..<100, partitions: 3).repartition(7)
        let partitions = try await rdd.collectPartitions()
        #expect(partitions.count == 7)
        #expect(partitions.allSatisfy { (13...16).contains($0.count) })
        #expect(partitions.joined().sorted() == Array(0..<100))
        #expect(try await rdd.repartition(0).glom().count() == 1)
    }

    @Test("a pipe made in a per-batch body runs behind another one")
    func dynamic() async throws {
        let inner = context.parallelize(0..<6, partitions: 2).map { $0 * 2 }
        let outer = RDD(
            context: context, plan: .dynamic(PipeBox(inner.pipe), inner.plan),
            pipe: Pipe<Int>.source(OperatorSite("transform", file: "", line: 0)))
        #expect(try await outer.map { $0 + 1 }.collect() == [1, 3, 5, 7, 9, 11])
        let wrong = RDD(
            context: context, plan: .dynamic(PipeBox(inner.pipe), inner.plan),
            pipe: Pipe<String>.source(OperatorSite("transform", file: "", line: 0)))
        let error = await #expect(throws: EngineError.self) { try await wrong.collect() }
        #expect(error?.code == .invalidPlan && error?.site?.name == "transform")
    }

    @Test("lines are read as strings only")
    func lines() async throws {
        let plan = Plan.source([[.lines(LineBlock(["x", "y"]))]])
        let site = OperatorSite("socketTextStream", file: "", line: 0)
        let rdd = RDD(context: context, plan: plan, pipe: Pipe<String>.source(site))
        #expect(try await rdd.collect() == ["x", "y"])
        let wrong = RDD(context: context, plan: plan, pipe: Pipe<Int>.source(site))
        await #expect(throws: EngineError.self) { try await wrong.collect() }
    }

    @Test("as many operators as are allowed run; beyond that an error names the remedy")
    func deepMaps() async throws {
        var rdd = context.parallelize([0], partitions: 1)
        while rdd.pipe.depth < Pipe<Int>.depthMaximum { rdd = rdd.map { $0 + 1 } }
        #expect(try await rdd.first() == Pipe<Int>.depthMaximum - 1)
        for _ in 0..<10_000 { rdd = rdd.map { $0 + 1 } }
        let deep = rdd
        let error = await #expect(throws: EngineError.self) { try await deep.collect() }
        #expect(error?.code == .invalidPlan)
        #expect(error?.message.contains("persist()") == true)
    }

    @Test("10,000 nested unions are refused, one union of 10,000 is not")
    func deepUnions() async throws {
        let one = context.parallelize([1], partitions: 1)
        var nested = one
        for _ in 0..<500 { nested = nested.union(one) }
        #expect(try await nested.count() == 501)
        for _ in 0..<10_000 { nested = nested.union(one) }
        let deep = nested
        // Nothing is arranged for what cannot run.
        #expect(deep.partitionCount < 1100)
        let error = await #expect(throws: EngineError.self) { try await deep.count() }
        #expect(error?.code == .invalidPlan)
        let flat = context.union([RDD<Int>](repeating: one, count: 10_000))
        #expect(try await flat.count() == 10_000)
    }

    @Test("thousands of shuffles on top of one another run, and end without recursion trouble")
    func deepShuffles() async throws {
        var rdd = context.parallelize([1], partitions: 1)
        for _ in 0..<3_000 { rdd = rdd.repartition(1) }
        #expect(try await rdd.count() == 1)
        for _ in 0..<3_000 { rdd = rdd.repartition(1) }
    }
}
