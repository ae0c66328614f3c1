extension RDD where Element: FixedWidthInteger {
    /// The sum of the elements; 0 when there are none.
    ///
    /// - Throws: ``EngineError`` with `.overflow` when the sum of some partitions does not fit the
    ///   element type; map to a wider type first.
    @inlinable
    public func sum(file: String = #fileID, line: UInt = #line) async throws -> Element {
        let site = OperatorSite("sum", file: file, line: line)
        let run = pipe.run
        return try await concluded(site) { context, inputs in
            var sum = Element.zero
            try run(context, inputs) { try addExactly($0, to: &sum, site) }
            return sum
        } _: { partials in
            var sum = Element.zero
            for partial in partials { try addExactly(partial, to: &sum, site) }
            return sum
        }
    }
}

/// Adds, or throws that the type is too small.
@inlinable
func addExactly<Number: FixedWidthInteger>(
    _ value: Number, to sum: inout Number, _ site: OperatorSite
) throws {
    let (result, isOverflow) = sum.addingReportingOverflow(value)
    guard !isOverflow else {
        throw EngineError(.overflow, "the sum does not fit \(Number.self)", site: site)
    }
    sum = result
}

extension RDD where Element: BinaryFloatingPoint {
    /// The sum of the elements; 0 when there are none.
    @inlinable
    public func sum(file: String = #fileID, line: UInt = #line) async throws -> Element {
        let site = OperatorSite("sum", file: file, line: line)
        let run = pipe.run
        return try await concluded(site) { context, inputs in
            var sum = Element.zero
            try run(context, inputs) { sum += $0 }
            return sum
        } _: {
            $0.reduce(.zero, +)
        }
    }
}

extension RDD where Element: StatisticsValue {
    /// Count, mean, variance and range of the elements, in one pass.
    @inlinable
    public func stats(
        file: String = #fileID, line: UInt = #line
    ) async throws -> StatCounter {
        try await stats(OperatorSite("stats", file: file, line: line))
    }

    /// The mean of the elements; 0 when there are none.
    @inlinable
    public func mean(file: String = #fileID, line: UInt = #line) async throws -> Double {
        try await stats(OperatorSite("mean", file: file, line: line)).mean
    }

    /// The variance of the elements; NaN when there are none.
    @inlinable
    public func variance(file: String = #fileID, line: UInt = #line) async throws -> Double {
        try await stats(OperatorSite("variance", file: file, line: line)).variance
    }

    /// The standard deviation of the elements; NaN when there are none.
    @inlinable
    public func stdev(file: String = #fileID, line: UInt = #line) async throws -> Double {
        try await stats(OperatorSite("stdev", file: file, line: line)).stdev
    }

    /// The variance of what the elements are a sample of; NaN for fewer than two.
    @inlinable
    public func sampleVariance(
        file: String = #fileID, line: UInt = #line
    ) async throws -> Double {
        try await stats(OperatorSite("sampleVariance", file: file, line: line)).sampleVariance
    }

    /// The standard deviation of what the elements are a sample of; NaN for fewer than two.
    @inlinable
    public func sampleStdev(file: String = #fileID, line: UInt = #line) async throws -> Double {
        try await stats(OperatorSite("sampleStdev", file: file, line: line)).sampleStdev
    }

    @inlinable
    func stats(_ site: OperatorSite) async throws -> StatCounter {
        let run = pipe.run
        return try await concluded(site) { context, inputs in
            var counter = StatCounter()
            try run(context, inputs) { counter.merge($0.statisticsValue) }
            return counter
        } _: { partials in
            var counter = StatCounter()
            for partial in partials { counter.merge(partial) }
            return counter
        }
    }

    /// Counts the elements in buckets of equal width between the smallest and the largest.
    ///
    /// A bucket holds its lower bound and not its upper one; the last one holds both. When all
    /// elements are the same there is one bucket, from that element to itself.
    ///
    /// - Parameter bucketCount: at least 1, at most 2²⁴.
    /// - Returns: the bounds, one more than there are buckets, and the counts.
    /// - Throws: ``EngineError`` with `.badArgument` for fewer than one bucket or too many, and when
    ///   there are no elements, one is infinite or NaN, or two are further apart than a number can
    ///   tell.
    @inlinable
    public func histogram(
        _ bucketCount: Int, file: String = #fileID, line: UInt = #line
    ) async throws -> (buckets: [Double], counts: [Int]) {
        let site = OperatorSite("histogram", file: file, line: line)
        guard bucketCount >= 1, bucketCount <= HistogramBuckets.countMaximum else {
            throw EngineError(
                .badArgument,
                "the number of buckets (\(bucketCount)) must be at least 1 and at most "
                    + "\(HistogramBuckets.countMaximum)", site: site)
        }
        let range = try await stats(site)
        guard range.min.isFinite, range.max.isFinite else {
            throw EngineError(
                .badArgument, "there are no elements, or some are infinite or NaN", site: site)
        }
        guard (range.max - range.min).isFinite else {
            throw EngineError(
                .badArgument,
                "the elements from \(range.min) to \(range.max) are too far apart to be divided; "
                    + "give the bounds of the buckets", site: site)
        }
        let buckets = HistogramBuckets(from: range.min, to: range.max, count: bucketCount)
        return (buckets.bounds, try await histogram(buckets, site))
    }

    /// Counts the elements in buckets with given bounds.
    ///
    /// A bucket holds its lower bound and not its upper one; the last one holds both. Elements
    /// outside all buckets, and NaN, are not counted.
    ///
    /// - Parameter buckets: at least two bounds, ascending.
    /// - Returns: the counts, one fewer than there are bounds.
    /// - Throws: ``EngineError`` with `.badArgument` when the bounds are too few or not ascending.
    @inlinable
    public func histogram(
        _ buckets: [Double], file: String = #fileID, line: UInt = #line
    ) async throws -> [Int] {
        let site = OperatorSite("histogram", file: file, line: line)
        guard let buckets = HistogramBuckets(buckets) else {
            throw EngineError(
                .badArgument, "the bounds must be at least two and ascending", site: site)
        }
        return try await histogram(buckets, site)
    }

    @inlinable
    func histogram(_ buckets: HistogramBuckets, _ site: OperatorSite) async throws -> [Int] {
        let run = pipe.run
        let none = [Int](repeating: 0, count: buckets.count)
        return try await concluded(site) { context, inputs in
            var counts = none
            try run(context, inputs) { element in
                if let bucket = buckets.bucket(of: element.statisticsValue) { counts[bucket] += 1 }
            }
            return counts
        } _: { partials in
            var counts = none
            for partial in partials {
                for (bucket, count) in partial.enumerated() { counts[bucket] += count }
            }
            return counts
        }
    }
}

/// The buckets of a histogram.
@usableFromInline
struct HistogramBuckets: Sendable {
    /// How many buckets of equal width there can be.
    @usableFromInline static let countMaximum = 1 << 24
    /// The bounds, ascending; one more than there are buckets.
    @usableFromInline let bounds: [Double]
    /// Whether all buckets are equally wide.
    private let isEven: Bool

    /// The number of buckets.
    @usableFromInline var count: Int { bounds.count - 1 }

    /// Buckets of equal width; one when there is nothing to divide.
    @usableFromInline
    init(from low: Double, to high: Double, count: Int) {
        isEven = true
        guard low != high else {
            bounds = [low, low]
            return
        }
        let span = high - low
        bounds = (0..<count).map { low + Double($0) * span / Double(count) } + [high]
    }

    /// Buckets with given bounds; nil when they are too few or not ascending.
    @usableFromInline
    init?(_ bounds: [Double]) {
        guard bounds.count >= 2, zip(bounds, bounds.dropFirst()).allSatisfy({ $0 <= $1 }) else {
            return nil
        }
        self.bounds = bounds
        isEven = false
    }

    /// The bucket of a number; nil when it is in none.
    @usableFromInline
    func bucket(of value: Double) -> Int? {
        let (low, high) = (bounds[0], bounds[count])
        // False for NaN as well.
        guard value >= low, value <= high else { return nil }
        if isEven {
            let place = (value - low) / (high - low) * Double(count)
            return place < Double(count) ? Int(place) : (place.isNaN ? 0 : count - 1)
        }
        // The first bound above the value.
        var (first, last) = (0, bounds.count)
        while first < last {
            let middle = (first + last) / 2
            if bounds[middle] <= value { first = middle + 1 } else { last = middle }
        }
        return min(first - 1, count - 1)
    }
}
