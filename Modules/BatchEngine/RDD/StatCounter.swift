/// A number whose statistics can be taken.
public protocol StatisticsValue: Sendable {
    /// The number, as near as a `Double` comes.
    var statisticsValue: Double { get }
}

extension StatisticsValue where Self: BinaryInteger {
    /// The nearest `Double`.
    @inlinable
    public var statisticsValue: Double { Double(self) }
}

extension StatisticsValue where Self: BinaryFloatingPoint {
    /// The nearest `Double`.
    @inlinable
    public var statisticsValue: Double { Double(self) }
}

extension Int: StatisticsValue {}
extension Int8: StatisticsValue {}
extension Int16: StatisticsValue {}
extension Int32: StatisticsValue {}
extension Int64: StatisticsValue {}
extension UInt: StatisticsValue {}
extension UInt8: StatisticsValue {}
extension UInt16: StatisticsValue {}
extension UInt32: StatisticsValue {}
extension UInt64: StatisticsValue {}
extension Float: StatisticsValue {}
extension Double: StatisticsValue {}

/// Count, mean, variance and range of numbers, gathered in one pass.
///
/// Two counters merge into that of all their numbers, without losing accuracy (Chan, Golub and
/// LeVeque, "Algorithms for computing the sample variance", 1983).
public struct StatCounter: Sendable, Hashable, CustomStringConvertible {
    /// How many numbers there are.
    public private(set) var count = 0
    /// Their mean; 0 when there are none.
    public private(set) var mean = 0.0
    /// The largest; minus infinity when there are none, NaN when one is.
    public private(set) var max = -Double.infinity
    /// The smallest; infinity when there are none, NaN when one is.
    public private(set) var min = Double.infinity
    /// The sum of the squared distances from the mean.
    private var squares = 0.0

    /// No numbers.
    public init() {}

    /// The counter of some numbers.
    public init(_ values: some Sequence<Double>) {
        for value in values { merge(value) }
    }

    /// Adds a number.
    public mutating func merge(_ value: Double) {
        let distance = value - mean
        count += 1
        mean += distance / Double(count)
        squares += distance * (value - mean)
        takeRange(value, value)
    }

    /// Adds the numbers of another counter.
    public mutating func merge(_ other: StatCounter) {
        guard other.count > 0 else { return }
        guard count > 0 else {
            self = other
            return
        }
        let (own, others) = (Double(count), Double(other.count))
        let distance = other.mean - mean
        if other.count.multipliedReportingOverflow(by: 10).partialValue < count {
            mean += distance * others / (own + others)
        } else if count.multipliedReportingOverflow(by: 10).partialValue < other.count {
            mean = other.mean - distance * own / (own + others)
        } else {
            mean = (mean * own + other.mean * others) / (own + others)
        }
        squares += other.squares + distance * distance * own * others / (own + others)
        count += other.count
        takeRange(other.min, other.max)
    }

    private mutating func takeRange(_ low: Double, _ high: Double) {
        min = low.isNaN || low < min ? (min.isNaN ? min : low) : min
        max = high.isNaN || high > max ? (max.isNaN ? max : high) : max
    }

    /// The sum of the numbers.
    public var sum: Double { mean * Double(count) }

    /// The variance of the numbers; NaN when there are none.
    public var variance: Double { count == 0 ? .nan : squares / Double(count) }

    /// The variance of what the numbers are a sample of; NaN for fewer than two.
    public var sampleVariance: Double { count < 2 ? .nan : squares / Double(count - 1) }

    /// The square root of ``variance``.
    public var stdev: Double { variance.squareRoot() }

    /// The square root of ``sampleVariance``.
    public var sampleStdev: Double { sampleVariance.squareRoot() }

    /// The five figures in words, as Spark prints them.
    public var description: String {
        "(count: \(count), mean: \(mean), stdev: \(stdev), max: \(max), min: \(min))"
    }
}
