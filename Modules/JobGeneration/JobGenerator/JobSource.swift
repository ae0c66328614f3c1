public import DStreamCore

/// What the generator makes batches from: the graph of streams.
///
/// ## Ordering
/// Batches are generated one at a time, and never while old ones are being cleared.
public protocol JobSource: Sendable {
    /// Describes the graph: equal for the same program.
    var fingerprint: String { get }

    /// The operators that keep something between batches.
    var statefulOperators: [StatefulOperator] { get }

    /// The age at which the blocks of a batch may go.
    var inputRememberDuration: Duration { get }

    /// How far back windows ask for batches that checkpoints hold; nil: for none.
    var paneReach: Duration? { get }

    /// Makes the jobs of one batch: one for each output operation that has an RDD.
    ///
    /// - Throws: what the first failing operator throws; the batch has no jobs then.
    func generateJobs(
        at time: BatchTime, _ context: GenerationContext
    ) async throws -> [OutputJob]

    /// The jobs of a batch that could not be generated, each of which fails with the reason: so
    /// that output operations keep dead letters of it.
    ///
    /// - Returns: nil when none does; the batch then stays pending without jobs.
    func failedJobs(
        at time: BatchTime, _ reason: any Error, _ context: GenerationContext
    ) async -> [OutputJob]?

    /// Forgets what no later batch needs once the batch at `time` is done.
    func clearMetadata(_ time: BatchTime)

    /// What operators keep between batches, as far as it changed.
    ///
    /// - Parameters:
    ///   - time: the batch after which it is taken.
    ///   - since: the batch after which it was last kept; nil: all is new.
    /// - Returns: the pieces, and the oldest batch of which any piece is needed.
    func captureState(
        through time: BatchTime, since: BatchTime?, _ context: GenerationContext
    ) async throws -> (pieces: [OperatorState], oldest: BatchTime)
}

extension JobSource {
    /// None.
    public var paneReach: Duration? { nil }

    /// There are none.
    public func failedJobs(
        at time: BatchTime, _ reason: any Error, _ context: GenerationContext
    ) async -> [OutputJob]? { nil }
}

extension DStreamGraph: JobSource {}
