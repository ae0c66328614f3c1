public import DStreamCore

/// Writes checkpoints one after the other, away from those who ask for them.
///
/// ## Ordering
/// One write is in flight at a time. A newer record replaces the one that waits, which is then never
/// written: the newer one says all it said.
///
/// ## Isolation
/// ``submit(_:ticket:)`` never suspends; one task reads in ``run(onAnswer:)``.
public final class CheckpointWriter: Sendable {
    /// What became of a write.
    public struct Answer: Sendable {
        /// The number the record was submitted with; lower numbers are settled by it too.
        public let ticket: Int
        /// The batch of the record.
        public let time: BatchTime
        /// Why it was not kept; nil: it is durable.
        public let error: (any Error)?
    }

    private struct Request: Sendable {
        let record: CheckpointRecord
        let ticket: Int
    }

    private let store: any CheckpointStore
    private let requests = Mailbox<Request>(capacity: 1)

    /// Makes a writer for a store.
    public init(store: any CheckpointStore) {
        self.store = store
    }

    /// Asks for a record to be written, in place of the one that waits.
    ///
    /// - Parameter ticket: a number that rises with every call.
    /// - Returns: false when the writer has ended.
    @discardableResult
    public func submit(_ record: CheckpointRecord, ticket: Int) -> Bool {
        requests.postCoalescing(Request(record: record, ticket: ticket))
    }

    /// Writes what is submitted until the writer is finished or the task cancelled.
    ///
    /// - Parameters:
    ///   - capture: adds the state of operators since the batch whose state was kept last.
    ///   - onAnswer: called after each write; a write cut short by cancellation gets none.
    public func run(
        capture: (CheckpointRecord, BatchTime?) async throws -> (CheckpointRecord, [OperatorState]),
        onAnswer: @Sendable (Answer) -> Void
    ) async {
        var kept: BatchTime?
        while let request = await requests.next() {
            do {
                let (record, state) = try await capture(request.record, kept)
                try await store.write(record, state: state)
                kept = record.newestCompleted
                onAnswer(Answer(ticket: request.ticket, time: request.record.time, error: nil))
            } catch {
                if error is CancellationError, Task.isCancelled { return }
                onAnswer(Answer(ticket: request.ticket, time: request.record.time, error: error))
            }
        }
    }

    /// Ends the writer once what waits is written.
    public func finish() {
        requests.finish()
    }
}
