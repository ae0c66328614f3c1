import Testing

import BatchEngine

@Suite("Kept datasets", .timeLimit(.minutes(5)))
struct PersistTests {
    private static let allLevels: [StorageLevel] = [
        .memoryOnly, .memoryOnlySerialized, .memoryAndDisk, .memoryAndDiskSerialized, .diskOnly,
        .memoryAndDiskSerialized2,
    ]

    @Test("every level keeps what was computed, once, tuples included", arguments: allLevels)
    func levels(level: StorageLevel) async throws {
        let store = MemoryBlockStore(memoryLimit: 1500)
        let context = BatchContext.local(store: store)
        let computed = Counter()
        let kept = context.parallelize(0..<300, partitions: 3)
            .map { (element: Int) -> (String, (Int, [Int]?)) in
                computed.next()
                return ("word\(element)", (element, element % 2 == 0 ? nil : [element]))
            }.persist(level)
        for _ in 0..<2 {
            let read = try await kept.collect()
            #expect(read.map { $0.0 } == (0..<300).map { "word\($0)" })
            #expect(read.map { $0.1.0 } == Array(0..<300))
            #expect(read[2].1.1 == nil && read[3].1.1 == [3])
        }
        #expect(try await kept.map { $0.1.0 }.reduce(+) == 44850)
        #expect(computed.value == 300)
        let usage = store.usage
        #expect(usage.blockCount == 3)
        #expect((usage.diskBytes > 0) == level.useDisk)
        #expect(level.useMemory || usage.memoryBytes == 0)
        kept.unpersist()
        #expect(store.usage == BlockStoreUsage())
    }

    @Test("a level that needs bytes is refused for a type without codec, before anything runs")
    func withoutCodec() async throws {
        struct Opaque: Sendable {}
        let context = BatchContext.local()
        for level in Self.allLevels where level.needsCodec {
            let computed = Counter()
            let opaque = context.parallelize([1], partitions: 1).map { _ in
                computed.next()
                return Opaque()
            }
            let (kept, line) = (opaque.persist(level), UInt(#line))
            let error = await #expect(throws: EngineError.self) { try await kept.count() }
            #expect(error?.code == .codecMissing)
            #expect(error?.site == OperatorSite("persist", file: #fileID, line: line))
            #expect(error?.message.contains("StreamCodable") == true)
            #expect(computed.value == 0)
        }
        let plain = context.parallelize([1], partitions: 1).map { _ in Opaque() }.cache()
        #expect(try await plain.count() == 1)
    }

    @Test("after unpersist the next action computes again")
    func recomputes() async throws {
        let computed = Counter()
        let kept = BatchContext.local().parallelize([1, 2], partitions: 2)
            .map { element in
                computed.next()
                return element
            }.cache()
        #expect(try await kept.collect() == [1, 2])
        kept.unpersist()
        kept.unpersist()
        #expect(try await kept.collect() == [1, 2])
        #expect(computed.value == 4)
    }

    @Test("a job whose blocks vanish while it runs computes them again")
    func unpersistDuringJob() async throws {
        let store = MemoryBlockStore()
        let computed = Counter()
        let kept = BatchContext.local(slots: 1, store: store)
            .parallelize(0..<4, partitions: 4)
            .map { element in
                computed.next()
                return element
            }.cache()
        let result = try await kept.map { element in
            if element == 1 { kept.unpersist() }
            return element * 2
        }.collect()
        #expect(result == [0, 2, 4, 6])
        #expect(computed.value == 8)
        #expect(store.usage.blockCount == 4)
        kept.unpersist()
        #expect(store.usage.blockCount == 0)
    }

    @Test("a failed computation leaves nothing behind and can be tried again")
    func failure() async throws {
        let store = MemoryBlockStore()
        let tries = Counter()
        let kept = BatchContext.local(store: store).parallelize(0..<3, partitions: 3)
            .map { element in
                if element == 2, tries.next() <= 4 { throw Boom() }
                return element
            }.cache()
        await #expect(throws: EngineError.self) { try await kept.count() }
        #expect(store.usage == BlockStoreUsage())
        #expect(try await kept.count() == 3)
        #expect(store.usage.blockCount == 3)
    }

    @Test("dropping the last reference empties the store")
    func dropped() async throws {
        let store = MemoryBlockStore()
        let context = BatchContext.local(store: store)
        do {
            let kept = context.parallelize(0..<4, partitions: 4).cache()
            #expect(try await kept.map { $0 + 1 }.count() == 4)
            #expect(store.usage.blockCount == 4)
        }
        #expect(store.usage == BlockStoreUsage())
    }

    private func dataset(_ rdd: RDD<Int>, cutsLineage: Bool) -> Dataset {
        let site = OperatorSite("window", file: "", line: 0)
        return Dataset(
            kernel: rdd.pipe.materializeKernel(id: .nextDynamic(), site), input: rdd.plan,
            level: .memoryOnly, codec: nil, cutsLineage: cutsLineage)
    }

    private func read(_ dataset: Dataset, _ context: BatchContext) async throws -> [Int] {
        let site = OperatorSite("source", file: "", line: 0)
        return try await RDD(
            context: context, plan: .dataset(dataset), pipe: Pipe<Int>.source(site)
        )
        .collect()
    }

    @Test("a dataset that cuts its lineage lets go of its input and of what only that kept")
    func cutsLineage() async throws {
        let store = MemoryBlockStore()
        let context = BatchContext.local(store: store)
        var current = dataset(context.parallelize([1], partitions: 1), cutsLineage: true)
        let site = OperatorSite("state", file: "", line: 0)
        for _ in 0..<50 {
            let before = RDD(
                context: context, plan: .dataset(current), pipe: Pipe<Int>.source(site))
            let after = dataset(before.map { $0 + 1 }, cutsLineage: true)
            #expect(try await read(after, context).count == 1)
            #expect(after.input == nil)
            current = after
        }
        #expect(try await read(current, context) == [51])
        #expect(store.usage.blockCount == 1)
        current.unpersist()
        let error = await #expect(throws: EngineError.self) { try await read(current, context) }
        #expect(error?.code == .blockMissing)
    }

    @Test("a shuffle lets go of its input once it has run, and keeps its output")
    func exchangeForgetsInput() async throws {
        let store = MemoryBlockStore()
        let context = BatchContext.local(store: store)
        let computed = Counter()
        func shuffled() -> RDD<(Int, Int)> {
            context.parallelize(0..<4, partitions: 2).map { element in
                computed.next()
                return (element % 2, element)
            }.cache().reduceByKey(+)
        }
        let sums = shuffled()
        for _ in 0..<2 {
            let values = try await sums.map { $0.1 }.collect().sorted()
            #expect(values == [2, 4])
        }
        #expect(computed.value == 4)
        #expect(store.usage == BlockStoreUsage())
    }

    @Test("two engines share a dataset: each has it in its own store, none is left over")
    func twoEngines() async throws {
        let stores = (MemoryBlockStore(), MemoryBlockStore())
        let one = BatchContext.local(store: stores.0)
        let two = BatchContext.local(store: stores.1)
        do {
            let shared = dataset(one.parallelize(0..<3, partitions: 3), cutsLineage: false)
            #expect(try await read(shared, one) == [0, 1, 2])
            #expect(try await read(shared, two) == [0, 1, 2])
            #expect(stores.0.usage.blockCount == 0)
            #expect(stores.1.usage.blockCount == 3)
        }
        #expect(stores.1.usage == BlockStoreUsage())
    }
}
