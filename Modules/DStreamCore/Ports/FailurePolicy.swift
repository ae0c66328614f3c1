/// What happens to later batches once a batch has failed.
///
/// Under every policy the failed batch is not counted as done: it stays pending, its error is
/// reported, and a restart runs it again.
public enum FailurePolicy: Sendable, Hashable {
    /// No later batch is generated or started; those that run already end.
    case stop
    /// Later batches go on, as in Spark.
    case `continue`
}
