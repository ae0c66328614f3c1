public import BatchEngine

/// One output operation of one batch.
public struct OutputJob: Sendable {
    /// The operation's number among those of its batch, in declaration order, from 0.
    public let outputOperation: Int
    /// The operation in the user's source.
    public let site: OperatorSite
    /// Names the operation in every run of the program.
    public let operationID: String
    /// What it does about failures; nil: what the scheduler does about all.
    public var failure: FailureHandling?
    /// Runs it once; called again for each retry.
    public var run: @Sendable () async throws -> Void
    /// Collects what a dead letter of it keeps; nil: it cannot have one.
    public var deadLetterContents: (@Sendable () async throws -> DeadLetter.Contents)?

    /// Whether it only computes what streams keep of the batch: no output operation, as listeners
    /// count them.
    package var isHidden = false

    /// Makes a job.
    ///
    /// - Parameter operationID: nil: the site.
    public init(
        outputOperation: Int, site: OperatorSite, operationID: String? = nil,
        failure: FailureHandling? = nil, run: @escaping @Sendable () async throws -> Void
    ) {
        self.outputOperation = outputOperation
        self.site = site
        self.operationID = operationID ?? "\(site)"
        self.failure = failure
        self.run = run
    }
}
