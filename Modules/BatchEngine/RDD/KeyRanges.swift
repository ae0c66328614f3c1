/// The ranges of keys that a sort deals elements into: found by sampling, as Spark finds them.
@usableFromInline
struct KeyRanges<Key: Sendable>: Sendable {
    /// The last key of each range but the last, ascending and without duplicates.
    @usableFromInline let bounds: [Key]
    @usableFromInline let isAscending: Bool
    @usableFromInline let precedes: @Sendable (Key, Key) throws -> Bool

    @inlinable
    init(
        bounds: [Key], isAscending: Bool, precedes: @escaping @Sendable (Key, Key) throws -> Bool
    ) {
        self.bounds = bounds
        self.isAscending = isAscending
        self.precedes = precedes
    }

    /// The number of ranges.
    @inlinable var count: Int { bounds.count + 1 }

    /// The partition of a key.
    @inlinable
    func partition(of key: Key) throws -> Int {
        var low = 0
        var high = bounds.count
        while low < high {
            let middle = (low + high) / 2
            if try precedes(bounds[middle], key) { low = middle + 1 } else { high = middle }
        }
        return isAscending ? low : bounds.count - low
    }

    /// Whether a key comes before another in the result.
    @inlinable
    func isBefore(_ left: Key, _ right: Key) throws -> Bool {
        isAscending ? try precedes(left, right) : try precedes(right, left)
    }
}

/// The keys drawn from one partition, each standing for equally many elements.
@usableFromInline
struct KeySample<Key: Sendable>: Sendable {
    @usableFromInline var count = 0
    @usableFromInline var keys: [Key] = []

    @inlinable
    init() {}

    /// Draws evenly among all keys seen, at most `limit`.
    @inlinable
    mutating func add(_ key: Key, limit: Int, _ numbers: inout SplitMix64) {
        count += 1
        if keys.count < limit {
            keys.append(key)
        } else {
            let index = Int.random(in: 0..<count, using: &numbers)
            if index < limit { keys[index] = key }
        }
    }

    /// The bounds of at most `ranges` ranges that hold about equally many elements.
    @inlinable
    static func bounds(
        of samples: [KeySample], ranges: Int, _ precedes: (Key, Key) throws -> Bool
    ) rethrows -> [Key] {
        var weighted: [(key: Key, weight: Double)] = []
        for sample in samples where !sample.keys.isEmpty {
            let weight = Double(sample.count) / Double(sample.keys.count)
            for key in sample.keys { weighted.append((key, weight)) }
        }
        let ranges = min(ranges, weighted.count)
        guard ranges > 1 else { return [] }
        try weighted.sort { try precedes($0.key, $1.key) }
        let step = weighted.reduce(0) { $0 + $1.weight } / Double(ranges)
        var bounds: [Key] = []
        var seen = 0.0
        var target = step
        for (key, weight) in weighted {
            seen += weight
            guard bounds.count < ranges - 1 else { break }
            guard seen >= target else { continue }
            if let last = bounds.last, try !precedes(last, key) { continue }
            bounds.append(key)
            target += step
        }
        return bounds
    }
}

extension RDD {
    /// Looks at a sample of the keys to find ranges of about equal size.
    @inlinable
    func keyRanges<Key: Sendable>(
        _ site: OperatorSite, _ keys: Pipe<Key>, _ ranges: Int, isAscending: Bool,
        _ precedes: @escaping @Sendable (Key, Key) throws -> Bool
    ) async throws -> KeyRanges<Key> {
        var bounds: [Key] = []
        if ranges > 1, partitionCount > 0 {
            // So many that a single full partition still gives each range its share.
            let limit = Swift.max(
                1, Swift.min(60 * Swift.min(ranges, 1 << 20), 1_000_000 / partitionCount))
            let run = keys.run
            bounds = try await concluded(site) { context, inputs in
                var sample = KeySample<Key>()
                var numbers = SplitMix64(seed: 0, partition: context.partition)
                try run(context, inputs) { sample.add($0, limit: limit, &numbers) }
                return sample
            } _: { samples in
                do { return try KeySample.bounds(of: samples, ranges: ranges, precedes) } catch {
                    throw OperatorFailure.wrap(error, at: site)
                }
            }
        }
        return KeyRanges(bounds: bounds, isAscending: isAscending, precedes: precedes)
    }
}
