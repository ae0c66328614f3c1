public import DStreamCore

/// Turns what completed batches took into rates for the receivers.
///
/// Without one, receivers are not slowed down.
public struct BackPressure: Sendable {
    /// The rate of every stream until the first batches have been measured, in elements per second;
    /// nil: whatever the receivers begin with.
    public var initialRate: Double?
    let controller: any RateController
    private var estimators: [StreamID: any RateEstimator]

    /// Makes back-pressure with the same kind of estimator for each stream.
    ///
    /// - Parameters:
    ///   - streams: the streams whose receivers follow a rate.
    ///   - batchInterval: the length of a batch, above zero.
    ///   - initialRate: the rate before anything is measured, above zero; nil: none is set.
    ///   - controller: who takes the rates.
    /// - Throws: what is wrong with the estimator's settings.
    public init(
        streams: [StreamID], estimator: RateEstimatorConfiguration, batchInterval: Duration,
        initialRate: Double?, controller: any RateController
    ) throws(RateEstimatorError) {
        var estimators: [StreamID: any RateEstimator] = [:]
        for stream in streams {
            estimators[stream] = try estimator.makeEstimator(batchInterval: batchInterval)
        }
        self.init(estimators: estimators, initialRate: initialRate, controller: controller)
    }

    /// Makes back-pressure with given estimators.
    public init(
        estimators: [StreamID: any RateEstimator], initialRate: Double?,
        controller: any RateController
    ) {
        self.estimators = estimators
        self.initialRate = initialRate
        self.controller = controller
    }

    /// The rates to begin with, in the order of the streams.
    var initialRates: [Rate] {
        guard let initialRate, initialRate > 0 else { return [] }
        return estimators.keys.sorted().map { Rate(stream: $0, elementsPerSecond: initialRate) }
    }

    /// Takes a completed batch into account.
    ///
    /// - Returns: the rates that change, in the order of the streams.
    mutating func rates(after batch: BatchInfo) -> [Rate] {
        guard let end = batch.processingEndTime, let processing = batch.processingDelay,
            let scheduling = batch.schedulingDelay
        else { return [] }
        var rates: [Rate] = []
        for stream in estimators.keys.sorted() {
            guard let input = batch.streamIDToInputInfo[stream] else { continue }
            let rate = estimators[stream]?.compute(
                time: end, elements: input.recordCount, processingDelay: processing,
                schedulingDelay: scheduling)
            if let rate, rate > 0 { rates.append(Rate(stream: stream, elementsPerSecond: rate)) }
        }
        return rates
    }
}

/// A rate on its way to the receivers of a stream.
struct Rate: Sendable, Hashable {
    let stream: StreamID
    let elementsPerSecond: Double

    /// The rate in whole elements, as events report it.
    var rounded: Int64 { Int64(exactly: elementsPerSecond.rounded(.down)) ?? .max }
}
