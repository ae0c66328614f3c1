import DStreamTestKit
import Testing

import BatchEngine

@Suite("Aggregates of RDDs", .timeLimit(.minutes(5)))
struct RDDAggregateTests {
    private let context = BatchContext.parallel(slots: 2)

    private func pairs(_ seed: UInt64) -> [(String, Int)] {
        var numbers = SeededRandom(seed: seed)
        return (0..<Int.random(in: 0...80, using: &numbers)).map { _ in
            ("k\(Int.random(in: 0...12, using: &numbers))", Int.random(in: -9...9, using: &numbers))
        }
    }

    @Test("aggregate uses zero once per partition and once more")
    func aggregate() async throws {
        let rdd = context.makeRDD(partitions: [[1, 2], [], [3]])
        let text = try await rdd.aggregate(
            "-", seqOp: { $0 + "\($1)" }, combOp: { "\($0)[\($1)]" })
        #expect(text == "-[-12][-][-3]")
        let none = try await context.emptyRDD(of: Int.self)
            .aggregate(7, seqOp: { $0 + $1 }, combOp: { $0 + $1 })
        #expect(none == 7)
        let error = await #expect(throws: EngineError.self) {
            try await rdd.aggregate(0, seqOp: { _, _ in throw Boom() }, combOp: { $0 + $1 })
        }
        #expect(error?.site?.name == "aggregate" && error?.underlying is Boom)
        #expect(error?.attempts == 4)
    }

    @Test("aggregates by key agree with dictionaries")
    func byKey() async throws {
        for seed in 0..<100 as Range<UInt64> {
            let pairs = pairs(seed)
            let rdd = context.parallelize(pairs, partitions: Int(seed % 4) + 1)
            let groups = Dictionary(grouping: pairs) { $0.0 }.mapValues { $0.map { $0.1 } }
            let lists = try await rdd.aggregateByKey(
                [Int](), partitions: 3, seqOp: { $0 + [$1] }, combOp: { $0 + $1 }
            ).collectAsMap()
            #expect(lists == groups)
            #expect(
                try await rdd.foldByKey(0, partitions: 2, +).collectAsMap()
                    == groups.mapValues { $0.reduce(0, +) })
            #expect(
                try await rdd.reduceByKeyLocally { max($0, $1) }
                    == groups.compactMapValues { $0.max() })
            #expect(try await rdd.countByKey() == groups.mapValues(\.count))
            #expect(try await rdd.keys().countByValue() == groups.mapValues(\.count))
            for key in ["k0", "k7", "none"] {
                #expect(try await rdd.lookup(key) == groups[key, default: []])
            }
            #expect(
                try await rdd.collectAsMap()
                    == Dictionary(pairs) { _, last in last })
        }
    }

    @Test("foldByKey starts from zero once per key and partition")
    func foldZero() async throws {
        let rdd = context.makeRDD(partitions: [[("a", 1), ("a", 2)], [("a", 4)]])
        #expect(try await rdd.foldByKey(100, +).collectAsMap() == ["a": 207])
    }

    @Test("strings equal to Swift are two keys and one entry of a dictionary")
    func equivalentKeys() async throws {
        let rdd = context.parallelize([("\u{E9}", 1), ("e\u{301}", 2), ("\u{E9}", 3)])
        #expect(try await rdd.lookup("\u{E9}") == [1, 3])
        #expect(try await rdd.reduceByKeyLocally(+) == ["\u{E9}": 6])
        #expect(try await rdd.countByKey() == ["\u{E9}": 3])
        #expect(try await rdd.collectAsMap() == ["\u{E9}": 3])
    }
}
