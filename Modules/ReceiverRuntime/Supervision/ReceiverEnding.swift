/// What ended a run of a receiver.
package enum ReceiverEnding: Sendable {
    case stoppedByDriver
    /// Without a delay, the configured one.
    case restart(message: String, error: (any Error)?, delay: Duration?)
    case stoppedItself(message: String)
}
