public import DStreamCore

/// Estimates from completed batches how fast a stream may deliver.
///
/// A value owned by whoever follows one input stream; `compute` is called once per completed batch of
/// that stream.
///
/// `checkRateEstimator` of DStreamTestKit checks an estimator of your own.
public protocol RateEstimator: Sendable {
    /// Takes a completed batch into account.
    ///
    /// - Parameters:
    ///   - time: when the batch ended; calls whose time has not advanced are ignored.
    ///   - elements: how many elements of the stream the batch had.
    ///   - processingDelay: how long the batch's jobs ran.
    ///   - schedulingDelay: how long the batch waited before.
    /// - Returns: the new rate in elements per second, finite and above zero, or nil to leave the
    ///   rate as it is.
    mutating func compute(
        time: BatchTime, elements: Int, processingDelay: Duration, schedulingDelay: Duration
    ) -> Double?
}
