extension RDD {
    /// A random part of the elements, in order; the same for the same seed and partitions.
    ///
    /// - Parameters:
    ///   - withReplacement: whether an element may come out several times.
    ///   - fraction: the probability of each element, from 0 to 1; with replacement the mean number
    ///     of times it comes out, at least 0. Otherwise actions throw ``EngineError`` with
    ///     `.badArgument`.
    ///   - seed: nil: drawn now.
    @inlinable
    public func sample(
        withReplacement: Bool, fraction: Double, seed: UInt64? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> RDD {
        let site = OperatorSite("sample", file: file, line: line)
        guard fraction >= 0, withReplacement ? fraction.isFinite : fraction <= 1 else {
            return failing(
                EngineError(
                    .badArgument,
                    withReplacement
                        ? "the fraction (\(fraction)) must be at least 0"
                        : "the fraction (\(fraction)) must be from 0 to 1", site: site))
        }
        let run = pipe.run
        let seed = seed ?? UInt64.random(in: .min ... .max)
        let times = PoissonTimes(mean: fraction)
        let sampled = Pipe(around: pipe.depth, site) { context, inputs, sink in
            let (index, inner) = try inputs.splitNumber(site)
            var numbers = SplitMix64(seed: seed, partition: index)
            var check = CancellationCheck(context)
            try run(context, inner) { element in
                if withReplacement {
                    var rest = try times.next(&numbers, &check)
                    while rest > 0 {
                        try check.next()
                        try sink(element)
                        rest -= 1
                    }
                } else if Double.random(in: 0..<1, using: &numbers) < fraction {
                    try sink(element)
                }
            }
        }
        return RDD(bounding: plan.indexed, context: context, pipe: sampled)
    }

    /// So many elements drawn at random, in random order; the same for the same seed and elements.
    ///
    /// - Parameters:
    ///   - withReplacement: whether an element may be drawn several times.
    ///   - count: at least 0; without replacement all elements come out when there are fewer.
    ///   - seed: nil: drawn now.
    /// - Throws: ``EngineError`` with `.badArgument` for a negative count.
    /// - Complexity: O(elements), one pass; two with replacement.
    @inlinable
    public func takeSample(
        withReplacement: Bool, count: Int, seed: UInt64? = nil, file: String = #fileID,
        line: UInt = #line
    ) async throws -> [Element] {
        let site = OperatorSite("takeSample", file: file, line: line)
        guard count >= 0 else {
            throw EngineError(
                .badArgument, "the number of elements (\(count)) must be at least 0", site: site)
        }
        let seed = seed ?? UInt64.random(in: .min ... .max)
        if count == 0 { return [] }
        return withReplacement
            ? try await drawn(site, count, seed) : try await shuffledFirst(site, count, seed)
    }

    /// The elements whose random numbers are the smallest.
    @inlinable
    func shuffledFirst(
        _ site: OperatorSite, _ count: Int, _ seed: UInt64
    ) async throws -> [Element] {
        let run = pipe.run
        let numbered = Pipe<(UInt64, Element)>(around: pipe.depth, site) { context, inputs, sink in
            var numbers = SplitMix64(seed: seed, partition: context.partition)
            try run(context, inputs) { try sink((numbers.next(), $0)) }
        }
        return try await narrow(numbered).ordered(site, count) { $0.0 < $1.0 }.map { $0.1 }
    }

    /// Elements at places drawn one by one.
    @inlinable
    func drawn(_ site: OperatorSite, _ count: Int, _ seed: UInt64) async throws -> [Element] {
        let run = pipe.run
        let draws = PlaceDraws(count, among: try await partitionCounts(site), seed)
        let found = try await runTasks(site) { context, inputs in
            let wanted = draws.wanted[context.partition]
            var elements: [(draw: Int, element: Element)] = []
            var next = 0
            var place = 0
            guard !wanted.isEmpty else { return elements }
            do {
                try run(context, inputs) { element in
                    while next < wanted.count, wanted[next].place == place {
                        elements.append((wanted[next].draw, element))
                        next += 1
                    }
                    place += 1
                    if next == wanted.count { throw StopEarly() }
                }
            } catch is StopEarly {}
            return elements
        }
        return found.joined().sorted { $0.draw < $1.draw }.map { $0.element }
    }
}

/// Places in partitions drawn at random, with replacement.
@usableFromInline
struct PlaceDraws: Sendable {
    /// For each partition the places in order, each with the number of the draw.
    @usableFromInline private(set) var wanted: [[(place: Int, draw: Int)]]

    @usableFromInline
    init(_ count: Int, among counts: [Int], _ seed: UInt64) {
        wanted = counts.map { _ in [] }
        let total = counts.reduce(0, +)
        guard total > 0 else { return }
        var numbers = SplitMix64(seed: seed, partition: 0)
        let places = (0..<count).map { (Int.random(in: 0..<total, using: &numbers), $0) }
            .sorted { $0 < $1 }
        var partition = 0
        var start = 0
        for (place, draw) in places {
            while place - start >= counts[partition] {
                start += counts[partition]
                partition += 1
            }
            wanted[partition].append((place - start, draw))
        }
    }
}

/// Random counts of a Poisson distribution.
@usableFromInline
struct PoissonTimes: Sendable {
    private let ones: Int
    private let restLimit: Double

    /// The distribution with a mean that is finite and not negative.
    @usableFromInline
    init(mean: Double) {
        // The sum of independent counts: means add up. 1 and the part under 1 need few steps.
        let whole = mean.rounded(.down)
        ones = Int(exactly: whole) ?? .max
        restLimit = Self.exponential(of: mean - whole)
    }

    /// The next count; throws when the task is cancelled.
    @usableFromInline
    func next(_ numbers: inout SplitMix64, _ check: inout CancellationCheck) throws -> Int {
        var count = Self.count(below: restLimit, &numbers)
        for _ in 0..<ones {
            try check.next()
            count += Self.count(below: 0.367_879_441_171_442_33, &numbers)
        }
        return count
    }

    /// Multiplies random numbers until the product is small enough (Knuth).
    private static func count(below limit: Double, _ numbers: inout SplitMix64) -> Int {
        var product = Double.random(in: 0..<1, using: &numbers)
        var count = 0
        while product > limit {
            count += 1
            product *= Double.random(in: 0..<1, using: &numbers)
        }
        return count
    }

    /// e to the power of minus `value`, which is from 0 up to 1: its series, to the last digit.
    private static func exponential(of value: Double) -> Double {
        var sum = 1.0
        var term = 1.0
        for step in 1..<25 {
            term *= -value / Double(step)
            sum += term
        }
        return sum
    }
}

/// Random numbers that are the same for the same seed, everywhere (SplitMix64, Sebastiano Vigna,
/// public domain).
@usableFromInline
struct SplitMix64: RandomNumberGenerator {
    @usableFromInline var state: UInt64

    /// The numbers of one partition.
    @inlinable
    init(seed: UInt64, partition: Int) {
        state = seed ^ StableHasher.hash(number: UInt64(truncatingIfNeeded: partition))
    }

    @inlinable
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed &>> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed &>> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed &>> 31)
    }
}
