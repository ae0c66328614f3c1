import DStreamTestKit
import Testing

import BatchEngine

@Suite("RDDs of numbers", .timeLimit(.minutes(5)))
struct RDDNumericTests {
    private let context = BatchContext.parallel(slots: 2)

    private func isNear(_ left: Double, _ right: Double) -> Bool {
        (left.isNaN && right.isNaN) || abs(left - right) <= 1e-9 * max(1, abs(right))
    }

    @Test("stats agree with two passes over an array")
    func stats() async throws {
        for seed in 0..<100 as Range<UInt64> {
            var numbers = SeededRandom(seed: seed)
            let count = Int.random(in: 0...100, using: &numbers)
            let values = (0..<count).map { _ in Double.random(in: -1000...1000, using: &numbers) }
            let rdd = context.parallelize(
                values, partitions: Int.random(in: 1...20, using: &numbers))
            let stats = try await rdd.stats()
            let sum = values.reduce(0, +)
            let mean = count == 0 ? 0 : sum / Double(count)
            let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
            #expect(stats.count == count)
            #expect(isNear(stats.sum, sum) && isNear(stats.mean, mean))
            #expect(isNear(stats.variance, count == 0 ? .nan : squares / Double(count)))
            #expect(isNear(stats.sampleVariance, count < 2 ? .nan : squares / Double(count - 1)))
            #expect(stats.max == values.max() ?? -.infinity)
            #expect(stats.min == values.min() ?? .infinity)
            let total = try await rdd.sum()
            #expect(isNear(total, sum))
        }
    }

    @Test("the single figures, of integers too")
    func figures() async throws {
        let rdd = context.parallelize([1, 2, 3, 4], partitions: 3)
        #expect(try await rdd.sum() == 10)
        #expect(try await rdd.mean() == 2.5)
        #expect(try await rdd.variance() == 1.25)
        let spread = try await [rdd.stdev(), rdd.sampleVariance(), rdd.sampleStdev()]
        let expected = [1.118033988749895, 5.0 / 3, 1.2909944487358056]
        for (figure, expected) in zip(spread, expected) { #expect(isNear(figure, expected)) }
        #expect(
            try await "\(context.parallelize([2.0, 4.0], partitions: 1).stats())"
                == "(count: 2, mean: 3.0, stdev: 1.0, max: 4.0, min: 2.0)")
        let empty = context.emptyRDD(of: Double.self)
        #expect(try await empty.sum() == 0)
        #expect(try await empty.mean() == 0)
        #expect(try await empty.variance().isNaN)
        #expect(try await context.parallelize([1.0, .nan, 2]).stats().max.isNaN)
    }

    @Test("a sum that does not fit is an error, not a trap")
    func overflow() async throws {
        let error = await #expect(throws: EngineError.self) {
            try await context.parallelize([Int8(100), 100], partitions: 2).sum()
        }
        #expect(error?.code == .overflow && error?.site?.name == "sum")
        #expect(
            try await context.parallelize([Int.max, 1, -2], partitions: 1)
                .map { Double($0) }.sum() > 0)
    }

    @Test("histogram with a number of buckets")
    func evenHistogram() async throws {
        let rdd = context.parallelize(1...50, partitions: 4)
        let two = try await rdd.histogram(2)
        #expect(two.buckets == [1, 25.5, 50] && two.counts == [25, 25])
        let one = try await rdd.histogram(1)
        #expect(one.buckets == [1, 50] && one.counts == [50])
        let same = try await context.parallelize([3.0, 3, 3]).histogram(10)
        #expect(same.buckets == [3, 3] && same.counts == [3])
        let thirds = try await context.parallelize([1.0, 2, 3]).histogram(3)
        #expect(thirds.counts == [1, 1, 1] && thirds.buckets.last == 3)
        for count in [0, -1, .max] {
            let error = await #expect(throws: EngineError.self) { try await rdd.histogram(count) }
            #expect(error?.code == .badArgument)
        }
        let most = Double.greatestFiniteMagnitude
        for values in [[], [1, Double.infinity], [.nan], [-most, most]] {
            let error = await #expect(throws: EngineError.self) {
                try await context.parallelize(values).histogram(2)
            }
            #expect(error?.code == .badArgument && error?.site?.name == "histogram")
        }
    }

    @Test("histogram with bounds: each bucket has its lower bound, the last one both")
    func boundedHistogram() async throws {
        let rdd = context.parallelize([0.9, 1, 1.5, 2, 2.5, 3, 3.1, .nan, -.infinity])
        #expect(try await rdd.histogram([1, 2, 3]) == [2, 3])
        #expect(try await rdd.histogram([1, 1.5, 2, 3]) == [1, 1, 3])
        #expect(try await rdd.histogram([-.infinity, 1, .infinity]) == [2, 6])
        #expect(try await context.emptyRDD(of: Int.self).histogram([0, 1]) == [0])
        for bounds in [[], [1], [2, 1], [1, .nan, 3]] {
            let error = await #expect(throws: EngineError.self) {
                try await rdd.histogram(bounds)
            }
            #expect(error?.code == .badArgument)
        }
        for seed in 0..<50 as Range<UInt64> {
            var numbers = SeededRandom(seed: seed)
            let values = (0..<80).map { _ in Int.random(in: -5...25, using: &numbers) }
            let bounds = (0..<5).map { _ in Double(Int.random(in: 0...40, using: &numbers)) / 2 }
                .sorted()
            let counts = try await context.parallelize(values, partitions: 3).histogram(bounds)
            #expect(
                counts.reduce(0, +)
                    == values.filter { Double($0) >= bounds[0] && Double($0) <= bounds[4] }.count)
            for bucket in 0..<3 where bounds[bucket] < bounds[bucket + 1] && bounds[3] < bounds[4] {
                let range = bounds[bucket]..<bounds[bucket + 1]
                #expect(counts[bucket] == values.filter { range.contains(Double($0)) }.count)
            }
        }
    }

    @Test("sample: the same for the same seed, about as many as asked, in order")
    func sample() async throws {
        let rdd = context.parallelize(0..<20_000, partitions: 4)
        let part = try await rdd.sample(withReplacement: false, fraction: 0.3, seed: 1).collect()
        #expect(part.count > 5600 && part.count < 6400)
        #expect(part == part.sorted() && Set(part).count == part.count)
        let again = rdd.sample(withReplacement: false, fraction: 0.3, seed: 1)
        #expect(try await again.collect() == part)
        #expect(try await again.union(again).collect() == part + part)
        let other = try await rdd.sample(withReplacement: false, fraction: 0.3, seed: 2).collect()
        #expect(other != part)
        for fraction in [0.4, 1.0, 2.7] {
            let many = try await rdd.sample(withReplacement: true, fraction: fraction, seed: 3)
                .collect()
            let mean = 20_000 * fraction
            #expect(abs(Double(many.count) - mean) < 6 * mean.squareRoot())
            #expect(many == many.sorted() && Set(many).count < many.count)
        }
        #expect(try await rdd.sample(withReplacement: false, fraction: 0).count() == 0)
        #expect(try await rdd.sample(withReplacement: true, fraction: 0).count() == 0)
        #expect(try await rdd.sample(withReplacement: false, fraction: 1).count() == 20_000)
        for (replacing, fraction) in [(false, 1.1), (false, -0.1), (true, -1), (true, .nan)] {
            let bad = rdd.sample(withReplacement: replacing, fraction: fraction)
            let error = await #expect(throws: EngineError.self) { try await bad.collect() }
            #expect(error?.code == .badArgument && error?.site?.name == "sample")
        }
    }

    @Test("takeSample: exactly as many, at random places")
    func takeSample() async throws {
        let rdd = context.parallelize(0..<1000, partitions: 7)
        let drawn = try await rdd.takeSample(withReplacement: false, count: 100, seed: 4)
        #expect(drawn.count == 100 && Set(drawn).count == 100)
        #expect(drawn != drawn.sorted())
        #expect(try await rdd.takeSample(withReplacement: false, count: 100, seed: 4) == drawn)
        let all = try await rdd.takeSample(withReplacement: false, count: 5000, seed: 5)
        #expect(all.sorted() == Array(0..<1000))
        let many = try await rdd.takeSample(withReplacement: true, count: 5000, seed: 6)
        #expect(many.count == 5000 && Set(many).count > 900)
        #expect(many != many.sorted())
        #expect(try await rdd.takeSample(withReplacement: true, count: 0) == [])
        let empty = context.emptyRDD(of: Int.self)
        #expect(try await empty.takeSample(withReplacement: true, count: 3) == [])
        #expect(try await empty.takeSample(withReplacement: false, count: 3) == [])
        let error = await #expect(throws: EngineError.self) {
            try await rdd.takeSample(withReplacement: false, count: -1)
        }
        #expect(error?.code == .badArgument)
    }
}
