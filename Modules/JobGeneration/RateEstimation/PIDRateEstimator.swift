public import DStreamCore

/// A rate estimator that steers like a proportional-integral-derivative controller.
///
/// Each usable batch gives a processing rate, the elements per second it got through. The new rate is
/// the latest one, corrected by weighted amounts of
///
/// - the error: how far the latest rate was above the processing rate;
/// - the backlog: the elements that piled up while the batch waited, per batch interval;
/// - the trend: how fast the error changes,
///
/// and never below a minimum. Batches without elements or without measurable processing time, and
/// those whose time has not advanced, change nothing. The first usable batch only sets the rate.
public struct PIDRateEstimator: RateEstimator, Hashable {
    /// The weights and the lower bound.
    public struct Configuration: Sendable, Hashable {
        /// The weight of the error, 0 or more.
        ///
        /// 1 follows the processing rate at once.
        public var proportional: Double
        /// The weight of the backlog, 0 or more.
        ///
        /// 0.2 works it off over five batches.
        public var integral: Double
        /// The weight of the trend, 0 or more.
        ///
        /// 0, as it amplifies the noise of the measurements.
        public var derivative: Double
        /// The lowest rate, in elements per second, above 0.
        ///
        /// Without it a stall could end all input.
        public var minimumRate: Double

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - proportional: the weight of the error.
        ///   - integral: the weight of the backlog.
        ///   - derivative: the weight of the trend.
        ///   - minimumRate: the lowest rate, in elements per second.
        public init(
            proportional: Double = 1.0, integral: Double = 0.2, derivative: Double = 0.0,
            minimumRate: Double = 100.0
        ) {
            self.proportional = proportional
            self.integral = integral
            self.derivative = derivative
            self.minimumRate = minimumRate
        }
    }

    /// What is remembered between batches.
    private enum State: Hashable {
        /// No usable batch yet. Can transition to: `following`, with the first usable batch.
        case idle
        /// The rate follows the batches. Can transition to: itself, with each usable batch.
        case following(latestTime: BatchTime, latestRate: Double, latestError: Double)
    }

    /// The length of a batch.
    public let batchInterval: Duration
    /// The weights and the lower bound.
    public let configuration: Configuration

    private var state = State.idle

    /// Creates an estimator.
    ///
    /// - Parameters:
    ///   - batchInterval: the length of a batch, above zero.
    ///   - configuration: the weights and the lower bound.
    /// - Throws: `invalidBatchInterval`, `invalidWeight` or `invalidMinimumRate`.
    public init(
        batchInterval: Duration, configuration: Configuration = Configuration()
    ) throws(RateEstimatorError) {
        guard batchInterval > .zero else {
            throw RateEstimatorError(
                code: .invalidBatchInterval, message: "batch interval \(batchInterval)")
        }
        try Self.checkWeight(configuration.proportional, "proportional")
        try Self.checkWeight(configuration.integral, "integral")
        try Self.checkWeight(configuration.derivative, "derivative")
        guard configuration.minimumRate > 0, configuration.minimumRate.isFinite else {
            throw RateEstimatorError(
                code: .invalidMinimumRate,
                message: "minimum rate \(configuration.minimumRate), must be above 0 and finite")
        }
        self.batchInterval = batchInterval
        self.configuration = configuration
    }

    /// Takes a completed batch into account; see the protocol.
    public mutating func compute(
        time: BatchTime, elements: Int, processingDelay: Duration, schedulingDelay: Duration
    ) -> Double? {
        guard elements > 0, processingDelay > .zero else { return nil }
        let processingRate = Double(elements) / processingDelay.fractionalMilliseconds * 1000
        switch state {
        case .idle:
            // Only times from the epoch on count, as if the last had been just before it.
            guard time >= .zero else { return nil }
            state = .following(latestTime: time, latestRate: processingRate, latestError: 0)
            return nil
        case .following(let latestTime, let latestRate, let latestError):
            guard time > latestTime else { return nil }
            let seconds = (time - latestTime).fractionalMilliseconds / 1000
            let error = latestRate - processingRate
            // The elements that came in while the batch waited, per batch interval.
            let historicalError =
                schedulingDelay.fractionalMilliseconds * processingRate
                / batchInterval.fractionalMilliseconds
            let errorChange = (error - latestError) / seconds
            let steered =
                latestRate - configuration.proportional * error
                - configuration.integral * historicalError
                - configuration.derivative * errorChange
            let rate = bounded(steered)
            state = .following(latestTime: time, latestRate: rate, latestError: error)
            return rate
        }
    }

    /// The rate within its bounds; what overflowed to no number at all counts as the lowest.
    private func bounded(_ rate: Double) -> Double {
        if rate.isNaN { return configuration.minimumRate }
        return min(max(rate, configuration.minimumRate), .greatestFiniteMagnitude)
    }

    private static func checkWeight(
        _ weight: Double, _ name: String
    ) throws(RateEstimatorError) {
        guard weight >= 0, weight.isFinite else {
            throw RateEstimatorError(
                code: .invalidWeight, message: "\(name) weight \(weight), must be 0 or more")
        }
    }
}
