import DStreamTestKit
import Testing

import BatchEngine

/// Tables too large for the nearest cache, into which elements go a few at a time.
@Suite("Tables that are looked up ahead", .timeLimit(.minutes(5)))
struct LookAheadTests {
    private let context = BatchContext.parallel(slots: 2)

    private func pairs(keys: Int) -> [(String, String)] {
        var numbers = SeededRandom(seed: 3)
        return (0..<4 * keys).map { number in
            let key = Int.random(in: 0..<keys, using: &numbers)
            // Short strings lie in the table, longer ones are counted references.
            return ("\(key)" + (key % 3 == 0 ? " is a longer key than fits" : ""), "\(number),")
        }
    }

    @Test("Keys keep the order of their coming, values theirs", arguments: [900, 20000])
    func order(keys: Int) async throws {
        let pairs = pairs(keys: keys)
        var expected: [(String, String)] = []
        var places: [String: Int] = [:]
        for (key, value) in pairs {
            if let place = places[key] {
                expected[place].1 += value
            } else {
                places[key] = expected.count
                expected.append((key, value))
            }
        }
        let rdd = context.makeRDD(partitions: [pairs])
        let reduced = try await rdd.reduceByKey(partitions: 1, +).collect()
        #expect(reduced.map(\.0) == expected.map(\.0))
        #expect(reduced.map(\.1) == expected.map(\.1))
        let combined = try await rdd.combineByKey(
            createCombiner: { $0 }, mergeValue: +, mergeCombiners: +, partitions: 1,
            mapSideCombine: false
        ).collect()
        #expect(combined.map(\.0) == expected.map(\.0))
        #expect(combined.map(\.1) == expected.map(\.1))
        let grouped = try await rdd.groupByKey(partitions: 1).collect()
        #expect(grouped.map(\.0) == expected.map(\.0))
        #expect(grouped.map { $0.1.joined() } == expected.map(\.1))
    }

    @Test("A failure surfaces wherever its element waits, and nothing is kept")
    func failure() async throws {
        struct Refused: Error {}
        final class Token: Sendable {}
        weak var last: Token?
        for failing in [4000, 19_990, 19_999] {
            do {
                let token = Token()
                last = token
                let pairs = (0..<20_000).map { ($0 == failing ? 0 : $0, [token]) }
                await #expect(throws: EngineError.self) {
                    _ = try await context.makeRDD(partitions: [pairs])
                        .reduceByKey(partitions: 1) { held, _ in
                            guard held.isEmpty else { throw Refused() }
                            return held
                        }.count()
                }
            }
            #expect(last == nil)
        }
    }
}
