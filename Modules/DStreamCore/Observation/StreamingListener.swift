/// Someone who wants to know what happens in a running context.
///
/// Every method has a default that does nothing: implement those of interest. `onEvent` receives
/// everything, and by default calls the others; who implements it takes over that distribution.
///
/// ## Ordering
/// Events come in the order in which they were posted, one at a time.
///
/// ## Isolation
/// Methods are called synchronously on whatever thread reports the event, and hold it up: they must not
/// block, and must not stop the context. Hand longer work to a task of your own.
public protocol StreamingListener: AnyObject, Sendable {
    /// Takes an event of any kind; by default calls the method for its kind.
    func onEvent(_ event: StreamEvent)

    /// The context has started.
    func onStreamingStarted(at time: BatchTime)
    /// A receiver runs.
    func onReceiverStarted(_ receiver: ReceiverInfo)
    /// A receiver reported an error.
    func onReceiverError(_ receiver: ReceiverInfo)
    /// A receiver has stopped.
    func onReceiverStopped(_ receiver: ReceiverInfo)
    /// A batch's jobs were handed over to be run.
    func onBatchSubmitted(_ batch: BatchInfo)
    /// The first job of a batch runs.
    func onBatchStarted(_ batch: BatchInfo)
    /// The last job of a batch has ended, well or badly.
    func onBatchCompleted(_ batch: BatchInfo)
    /// An output operation runs.
    func onOutputOperationStarted(_ operation: OutputOperationInfo)
    /// An output operation has ended, well or badly.
    func onOutputOperationCompleted(_ operation: OutputOperationInfo)
}

extension StreamingListener {
    /// Calls the method for the kind of the event; kinds without one are dropped.
    public func onEvent(_ event: StreamEvent) {
        dispatch(event)
    }

    /// Calls the method for the kind of the event, for listeners with an `onEvent` of their own.
    public func dispatch(_ event: StreamEvent) {
        switch event {
        case .streamingStarted(let time): onStreamingStarted(at: time)
        case .receiverStarted(let info): onReceiverStarted(info)
        case .receiverError(let info): onReceiverError(info)
        case .receiverStopped(let info): onReceiverStopped(info)
        case .batchSubmitted(let info): onBatchSubmitted(info)
        case .batchStarted(let info): onBatchStarted(info)
        case .batchCompleted(let info): onBatchCompleted(info)
        case .outputOperationStarted(let info): onOutputOperationStarted(info)
        case .outputOperationCompleted(let info): onOutputOperationCompleted(info)
        case .receiverRestarting, .outputOperationRetrying, .outputOperationDeadLettered,
            .batchLate, .batchesSkipped, .batchGenerationFailed, .batchSettled,
            .batchSetAside, .stageRanInDriver, .closureAbandoned, .rateUpdated, .linesTruncated,
            .inputRetrying, .inputSkipped, .recordsRejected,
            .invalidUTF8Replaced, .checkpointFailed, .drainIncomplete, .eventsDropped:
            break
        }
    }

    /// Does nothing.
    public func onStreamingStarted(at time: BatchTime) {}
    /// Does nothing.
    public func onReceiverStarted(_ receiver: ReceiverInfo) {}
    /// Does nothing.
    public func onReceiverError(_ receiver: ReceiverInfo) {}
    /// Does nothing.
    public func onReceiverStopped(_ receiver: ReceiverInfo) {}
    /// Does nothing.
    public func onBatchSubmitted(_ batch: BatchInfo) {}
    /// Does nothing.
    public func onBatchStarted(_ batch: BatchInfo) {}
    /// Does nothing.
    public func onBatchCompleted(_ batch: BatchInfo) {}
    /// Does nothing.
    public func onOutputOperationStarted(_ operation: OutputOperationInfo) {}
    /// Does nothing.
    public func onOutputOperationCompleted(_ operation: OutputOperationInfo) {}
}
