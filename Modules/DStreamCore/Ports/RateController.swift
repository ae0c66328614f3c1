/// Takes new receiving rates: how back-pressure reaches the receivers.
///
/// ## Ordering
/// The last rate of a stream wins; an implementer may skip older ones.
///
/// A context uses its own, a `ReceiverTracker`. One of yours goes into the `BackPressure` of a
/// `JobScheduler`; `checkRateController` of DStreamTestKit checks it.
public protocol RateController: Sendable {
    /// Sets the rate of all receivers of `stream`.
    ///
    /// - Parameter elementsPerSecond: more than 0; values that are not are ignored.
    func updateRate(_ elementsPerSecond: Double, of stream: StreamID) async
}
