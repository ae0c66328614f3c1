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
    /// Who keeps what input streams chose; nil: nobody, a batch that runs again chooses anew.
    public var choices: (any InputChoices)?
    /// Whether streams are only read, outside a batch: what that takes is no batch's input, and
    /// nothing is chosen or built upon.
    package private(set) var isReading = false

    /// Makes a context.
    public init(
        batch: BatchContext, allocator: any BlockAllocator, inputInfo: any InputReporting,
        standardOutput: @escaping @Sendable (String) -> Void,
        choices: (any InputChoices)? = nil
    ) {
        self.batch = batch
        self.allocator = allocator
        self.inputInfo = inputInfo
        self.standardOutput = standardOutput
        self.choices = choices
    }

    /// Notes durably, where there is a checkpoint directory, that a batch has been given elements
    /// which its input stream cannot give again.
    @usableFromInline
    package func noteTaken(from stream: StreamID, for batch: BatchTime) async throws {
        try await choices?.keep(InputChoice(.taken), of: stream, for: batch)
    }

    /// A context in which streams are only read.
    package static func reading(
        _ batch: BatchContext, _ allocator: any BlockAllocator,
        standardOutput: @escaping @Sendable (String) -> Void
    ) -> GenerationContext {
        var context = GenerationContext(
            batch: batch, allocator: allocator, inputInfo: NoInputReporting(),
            standardOutput: standardOutput)
        context.isReading = true
        return context
    }
}

/// Takes what each input stream gave to a batch: step 3 of a batch.
public protocol InputReporting: Sendable {
    /// Notes what a stream gave; a second report for the same stream and batch is ignored.
    func report(_ info: StreamInputInfo, at time: BatchTime)
}

private struct NoInputReporting: InputReporting {
    func report(_ info: StreamInputInfo, at time: BatchTime) {}
}
