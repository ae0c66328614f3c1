/// What follows when an output operation has failed for good.
///
/// Under every policy the failure is reported to listeners, with batch, operation and cause.
public enum FailurePolicy: Sendable, Hashable {
    /// No later batch is generated or started; those that run already end.
    ///
    /// The batch stays pending: `awaitTermination()` throws, and a restart runs it again.
    case stop
    /// Later batches go on, as in Spark.
    ///
    /// The batch stays pending: `awaitTermination()` throws, and a restart runs it again.
    case `continue`
    /// The operation's elements are kept in a ``DeadLetterStore``, and later batches go on.
    ///
    /// The batch is settled: neither this run nor a restart runs it again, and `awaitTermination()`
    /// goes on waiting. When the dead letter cannot be written, ``stop`` follows.
    case deadLetter
}

/// What an output operation does about its failures.
public struct FailureHandling: Sendable, Hashable {
    /// How often it is tried again first.
    public var retry: RetryPolicy
    /// What follows when the last try has failed.
    public var policy: FailurePolicy

    /// Makes it; without a retry by default.
    public init(retry: RetryPolicy = .none, policy: FailurePolicy) {
        self.retry = retry
        self.policy = policy
    }
}
