/// Which rate estimator a stream gets, and with what settings.
public enum RateEstimatorConfiguration: Sendable, Hashable {
    /// The proportional-integral-derivative controller.
    case pid(PIDRateEstimator.Configuration)

    /// Creates the configuration of the estimator with a name.
    ///
    /// - Parameters:
    ///   - name: the name, of which there is only `pid`.
    ///   - pid: the settings for that one.
    /// - Throws: `unknownEstimator`.
    public init(
        name: String, pid: PIDRateEstimator.Configuration = PIDRateEstimator.Configuration()
    ) throws(RateEstimatorError) {
        guard name == "pid" else {
            throw RateEstimatorError(
                code: .unknownEstimator, message: "unknown rate estimator \(name), there is pid")
        }
        self = .pid(pid)
    }

    /// Makes an estimator for one input stream.
    ///
    /// - Parameter batchInterval: the length of a batch, above zero.
    /// - Throws: `invalidBatchInterval`, `invalidWeight` or `invalidMinimumRate`.
    public func makeEstimator(
        batchInterval: Duration
    ) throws(RateEstimatorError) -> any RateEstimator {
        switch self {
        case .pid(let configuration):
            try PIDRateEstimator(batchInterval: batchInterval, configuration: configuration)
        }
    }
}
