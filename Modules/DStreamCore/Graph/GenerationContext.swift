public import BatchEngine

/// What the generation of one batch may use.
public struct GenerationContext: Sendable {
    /// The engine and its settings, tagged with the batch.
    public var batch: BatchContext
    /// Who knows the received blocks of a batch.
    public let allocator: any BlockAllocator
    /// Where input streams say what a batch took.
    public let inputInfo: any InputReporting
    /// Where `print` writes; one call per batch and stream.
    public let standardOutput: @Sendable (String) -> Void
    /// Returns when a restart would run the batch again with the same input: what is put out for good
    /// waits for it.
    ///
    /// Without checkpoints there is nothing to wait for.
    public var inputIsKept: @Sendable (BatchTime) async throws -> Void = { _ in }

    /// Makes a context.
    public init(
        batch: BatchContext, allocator: any BlockAllocator, inputInfo: any InputReporting,
        standardOutput: @escaping @Sendable (String) -> Void
    ) {
        self.batch = batch
        self.allocator = allocator
        self.inputInfo = inputInfo
        self.standardOutput = standardOutput
    }
}

/// Takes what each input stream gave to a batch: step 3 of a batch.
public protocol InputReporting: Sendable {
    /// Notes what a stream gave; a second report for the same stream and batch is ignored.
    func report(_ info: StreamInputInfo, at time: BatchTime)
}

/// One output operation of one batch.
public struct OutputJob: Sendable {
    /// The operation's number among those of its batch, in declaration order, from 0.
    public let outputOperation: Int
    /// The operation in the user's source.
    public let site: OperatorSite
    /// Runs it once.
    public let run: @Sendable () async throws -> Void

    /// Makes a job.
    public init(
        outputOperation: Int, site: OperatorSite, run: @escaping @Sendable () async throws -> Void
    ) {
        self.outputOperation = outputOperation
        self.site = site
        self.run = run
    }
}
