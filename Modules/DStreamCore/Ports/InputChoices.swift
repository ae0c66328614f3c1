/// Keeps what input streams chose for their batches, such as files or offsets, so that a batch that
/// runs again after a crash reads the same.
///
/// ## Durability
/// ``keep(_:of:for:)`` returns only after the choice is durable. No job of the batch has begun then.
public protocol InputChoices: Sendable {
    /// What a stream chose for a batch, in this run or an earlier one; nil: nothing.
    func choice(of stream: StreamID, for batch: BatchTime) async -> [UInt8]?

    /// Keeps what a stream chose for a batch.
    ///
    /// - Throws: when it was not kept; the batch is not generated then.
    func keep(_ choice: [UInt8], of stream: StreamID, for batch: BatchTime) async throws

    /// Forgets batches before `threshold`, but for those of `pending`: only they may run again.
    func release(before threshold: BatchTime, keeping pending: Set<BatchTime>) async throws
}

extension InputChoices {
    /// Forgets batches before `threshold`: none of them is run again.
    public func release(before threshold: BatchTime) async throws {
        try await release(before: threshold, keeping: [])
    }
}
