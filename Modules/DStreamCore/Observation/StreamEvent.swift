/// Something that happened in a running context.
///
/// The enumeration is not frozen: cases are added as the system learns to tell more, so a `switch`
/// outside this package needs an `@unknown default`. Texts in events name streams, operators and
/// errors, never elements.
#if compiler(>=6.3)
    @nonexhaustive
#endif
public enum StreamEvent: Sendable, Hashable {
    /// The context has started; the time is when.
    case streamingStarted(BatchTime)

    /// A receiver runs.
    case receiverStarted(ReceiverInfo)
    /// A receiver reported an error.
    case receiverError(ReceiverInfo)
    /// A receiver has stopped.
    case receiverStopped(ReceiverInfo)
    /// A receiver will be started again after a delay.
    case receiverRestarting(ReceiverInfo, after: Duration)

    /// A batch's jobs were handed over to be run.
    case batchSubmitted(BatchInfo)
    /// The first job of a batch runs.
    case batchStarted(BatchInfo)
    /// The last job of a batch has ended, well or badly.
    case batchCompleted(BatchInfo)
    /// An output operation runs.
    case outputOperationStarted(OutputOperationInfo)
    /// An output operation has ended, well or badly.
    case outputOperationCompleted(OutputOperationInfo)

    /// An output operation failed and will run again after a wait; how often it has failed, and why.
    case outputOperationRetrying(
        OutputOperationInfo, failedAttempts: Int, after: Duration, reason: String)
    /// An output operation failed for good, and so many elements were kept in a dead letter.
    case outputOperationDeadLettered(OutputOperationInfo, elementCount: Int)

    /// A batch was due and its generation began late by a duration.
    case batchLate(time: BatchTime, by: Duration)
    /// Batches were skipped, the first of them at a time; how many. Those before were reported one
    /// by one, as late.
    case batchesSkipped(from: BatchTime, count: Int)
    /// A batch could not be generated; nothing of it has run.
    case batchGenerationFailed(time: BatchTime, message: String)
    /// Everything about a batch is over: its jobs have ended or could not be made, and what could
    /// be forgotten after it has been; when its checkpoint failed, that stays for a later one.
    case batchSettled(BatchTime)
    /// A pending batch was given up because too many have failed since; nothing of it is kept.
    case batchSetAside(time: BatchTime, message: String)
    /// A stage was made inside a user's body and runs in the driver.
    case stageRanInDriver(time: BatchTime, operatorName: String)
    /// A user's closure did not return by its deadline, and its thread was given up.
    case closureAbandoned(time: BatchTime, operatorName: String, partition: Int)

    /// An input could not be asked what there is, and will be asked again after a wait; how often
    /// that has failed, and why.
    case inputRetrying(
        time: BatchTime, stream: StreamID, failedAttempts: Int, after: Duration, reason: String)
    /// Input is not in the batch it belongs to, nor in any other, by a policy or because somebody
    /// asked for it: which, and why.
    case inputSkipped(time: BatchTime, stream: StreamID, reason: String)

    /// Records of a batch could not be parsed and were left out; how many beyond those reported before,
    /// by which operator, and one of the errors.
    case recordsRejected(time: BatchTime, operatorName: String, count: Int, reason: String)

    /// The limit of a stream's rate has changed.
    case rateUpdated(stream: StreamID, elementsPerSecond: Int64)
    /// Lines longer than the limit were cut; how many since the last such event.
    case linesTruncated(stream: StreamID, count: Int)
    /// Bytes that are not UTF-8 were replaced; in how many lines since the last such event.
    case invalidUTF8Replaced(stream: StreamID, count: Int)

    /// A checkpoint of a batch could not be written; the last good one still counts.
    case checkpointFailed(time: BatchTime, message: String)
    /// A stop reached its deadline with received elements unprocessed; how many.
    case drainIncomplete(elementCount: Int)
    /// Listeners were too slow, and events were dropped in between; how many.
    case eventsDropped(count: Int)
}
