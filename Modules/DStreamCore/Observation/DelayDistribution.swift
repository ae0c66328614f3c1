/// The spread of a set of delays: counts, mean and quantiles.
public struct DelayDistribution: Sendable, Hashable {
    /// The number of delays, 1 or more.
    public let count: Int
    /// The mean.
    public let mean: Duration
    /// The standard deviation of these delays, not of a population they stand for.
    public let standardDeviation: Duration

    private let sorted: [Duration]

    /// The percentages of which reports give the quantiles.
    public static let reportedPercentages = [0, 5, 10, 25, 50, 75, 90, 95, 100]

    /// Creates the distribution of some delays, or nil if there are none.
    ///
    /// - Complexity: O(n log n) in the number of delays.
    public init?(_ delays: [Duration]) {
        guard !delays.isEmpty else { return nil }
        count = delays.count
        let values = delays.map(\.fractionalMilliseconds)
        let mean = values.reduce(0, +) / Double(values.count)
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        self.mean = .nearest(milliseconds: mean)
        standardDeviation = .nearest(milliseconds: (squares / Double(values.count)).squareRoot())
        sorted = delays.sorted()
    }

    /// The smallest delay.
    public var minimum: Duration { quantile(0) }
    /// The largest delay.
    public var maximum: Duration { quantile(1) }
    /// The delay in the middle, the upper of the two if their number is even.
    public var median: Duration { quantile(0.5) }

    /// The delay below which a share of all lie.
    ///
    /// - Parameter share: from 0 to 1; beyond that it counts as the nearer end.
    public func quantile(_ share: Double) -> Duration {
        guard share > 0 else { return sorted[0] }
        return sorted[min(Int(min(share, 1) * Double(count)), count - 1)]
    }
}

extension Duration {
    fileprivate static func nearest(milliseconds: Double) -> Duration {
        .microseconds(Int64((min(max(milliseconds, -1e15), 1e15) * 1000).rounded()))
    }
}
