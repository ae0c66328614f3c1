import Synchronization
import Testing

import BatchEngine

@Suite("RDD actions", .timeLimit(.minutes(5)))
struct RDDActionTests {
    private let context = BatchContext.parallel(slots: 3)

    @Test("collect, count, isEmpty and first")
    func basics() async throws {
        let rdd = context.makeRDD(partitions: [[], [1, 2], [], [3]])
        #expect(try await rdd.collect() == [1, 2, 3])
        #expect(try await rdd.collectPartitions() == [[], [1, 2], [], [3]])
        #expect(try await rdd.count() == 3)
        #expect(try await rdd.first() == 1)
        #expect(try await !rdd.isEmpty())
        let empty = context.emptyRDD(of: Int.self)
        #expect(try await empty.collect() == [])
        #expect(try await empty.first() == nil)
        #expect(try await empty.isEmpty())
    }

    @Test("reduce and fold go through partitions in order")
    func reductions() async throws {
        let letters = context.makeRDD(partitions: [["a", "b"], [], ["c"], ["d"]])
        #expect(try await letters.reduce(+) == "abcd")
        #expect(try await letters.filter { _ in false }.reduce(+) == nil)
        #expect(try await context.emptyRDD(of: Int.self).reduce(+) == nil)
        #expect(try await context.parallelize([4, 5], partitions: 1).reduce(-) == -1)
        // From the start value once per partition and once more at the end, as Spark does.
        #expect(try await letters.fold("-", +) == "--ab--c-d")
        #expect(try await context.emptyRDD(of: Int.self).fold(7, +) == 7)
    }

    @Test("what combines partitions runs on the engine too, and its failures name the operator")
    func reduceFailure() async throws {
        let rdd = context.makeRDD(partitions: [[1], [2]])
        let error = await #expect(throws: EngineError.self) {
            try await rdd.reduce { left, _ in
                guard left == 0 else { throw Boom() }
                return left
            }
        }
        #expect(error?.site?.name == "reduce")
        #expect(error?.site?.file.hasSuffix("RDDActionTests.swift") == true)
        #expect(error?.attempts == 4 && error?.underlying is Boom)
    }

    @Test("take runs the partitions it needs and not more: one, then four, then sixteen")
    func takeRunsFew() async throws {
        let evaluated = Locked<Set<Int>>([])
        let rdd = context.parallelize(0..<40, partitions: 40).map { element in
            evaluated.withLock { _ = $0.insert(element) }
            return element
        }
        #expect(try await rdd.take(0) == [])
        #expect(try await rdd.take(-1) == [])
        #expect(evaluated.withLock { $0 } == [])
        #expect(try await rdd.take(1) == [0])
        #expect(evaluated.withLock { $0 } == [0])
        #expect(try await rdd.take(3) == [0, 1, 2])
        #expect(evaluated.withLock { $0 } == Set(0..<5))
        #expect(try await rdd.take(100) == Array(0..<40))
    }

    @Test("take stops in the middle of a partition: later elements are never looked at")
    func takeStops() async throws {
        let evaluated = Accumulator<Int>()
        let rdd = context.parallelize(0..<100_000, partitions: 1).map { element in
            evaluated.add(1)
            if element >= 3 { throw Boom(number: element) }
            return element
        }
        #expect(try await rdd.take(3) == [0, 1, 2])
        #expect(evaluated.value == 3)
        #expect(try await rdd.first() == 0)
        await #expect(throws: EngineError.self) { try await rdd.take(4) }
    }

    @Test("the signal to stop passes operators of every kind untouched, and is no failure")
    func stopPasses() async throws {
        let tries = Counter()
        let rdd = context.parallelize(0..<10, partitions: 1)
            .mapPartitions { elements in
                tries.next()
                return elements
            }
            .map { $0 + 1 }
            .filter { $0 > 2 }
            .flatMap { [$0, $0] }
        #expect(try await rdd.take(3) == [3, 3, 4])
        #expect(try await rdd.union(rdd).take(1) == [3])
        #expect(try await rdd.coalesce(1).take(2) == [3, 3])
        #expect(try await rdd.map { ($0, 1) }.reduceByKey(+).take(1).count == 1)
        #expect(tries.value == 4)
    }

    /// A push sequence that swallows what its receiver throws.
    struct Stubborn: PushSequence {
        func makeIterator() -> IndexingIterator<[Int]> { [1, 2, 3].makeIterator() }
        func forEachPush(_ body: (Int) throws -> Void) rethrows {
            for element in self { do { try body(element) } catch {} }
        }
    }

    @Test("a sequence that ignores the signal does not make take return too much")
    func stubborn() async throws {
        let rdd = context.parallelize(0..<2, partitions: 1).flatMap { _ in Stubborn() }
        #expect(try await rdd.take(2) == [1, 2])
    }

    @Test("foreach and foreachPartition see everything; chunks are bounded")
    func effects() async throws {
        let rdd = context.parallelize(0..<5000, partitions: 2)
        let sum = Accumulator<Int>()
        try await rdd.foreach { sum.add($0) }
        #expect(sum.value == 12_497_500)
        let chunks = Locked<[Int: [Int]]>([:])
        try await rdd.foreachPartition { elements, task in
            await Task.yield()
            #expect(elements.elementCount == 2500)
            chunks.withLock { $0[task.partition] = elements.map(\.count) }
        }
        #expect(chunks.withLock { $0 } == [0: [1024, 1024, 452], 1: [1024, 1024, 452]])
    }

    @Test("actions name their call in errors that no operator is to blame for")
    func sites() async throws {
        let site = OperatorSite("source", file: "", line: 0)
        let rdd = RDD(
            context: context, plan: .source([[.block(.input(stream: 0, 1))]]),
            pipe: Pipe<Int>.source(site))
        let line = UInt(#line) + 1
        let error = await #expect(throws: EngineError.self) { try await rdd.count() }
        #expect(error?.code == .blockMissing)
        #expect(error?.site?.name == "count" && error?.site?.line == line)
        #expect(error?.partition == 0)
    }
}
