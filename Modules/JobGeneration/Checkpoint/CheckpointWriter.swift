internal import BatchEngine
public import DStreamCore
internal import Synchronization

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
        let generated: BatchTime?
    }

    /// Those who wait until it is durable what a batch reads.
    private struct Waiting {
        /// Of this batch and those before it, it is durable.
        var keptThrough: BatchTime?
        /// What went wrong when the same was to be said of later ones, up to a batch.
        var failure: (batch: BatchTime, error: any Error)?
        var waiters: [(batch: BatchTime, reply: Mailbox<(any Error)?>)] = []
    }

    private let store: any CheckpointStore
    private let waiting = Locked(Waiting())
    private let requests = Mailbox<Request>(capacity: 1)

    /// Makes a writer for a store.
    public init(store: any CheckpointStore) {
        self.store = store
    }

    /// Asks for a record to be written, in place of the one that waits.
    ///
    /// - Parameters:
    ///   - ticket: a number that rises with every call.
    ///   - generated: the newest batch that has been generated; nil: none was.
    /// - Returns: false when the writer has ended.
    @discardableResult
    public func submit(
        _ record: CheckpointRecord, ticket: Int, generated: BatchTime? = nil
    ) -> Bool {
        requests.postCoalescing(
            Request(record: record, ticket: ticket, generated: generated))
    }

    /// Returns when it is durable that a batch was generated, and with which input.
    ///
    /// ## Cancellation
    /// Once the writer has ended, only cancelling the waiting task ends the wait: whoever stops the
    /// one stops the other.
    ///
    /// - Throws: ``StreamError`` `.checkpointUnwritable` when a write that was to say so failed;
    ///   `CancellationError` when the waiting task is cancelled.
    public func kept(_ batch: BatchTime) async throws {
        let reply = Mailbox<(any Error)?>(capacity: 1)
        waiting.withLock { waiting in
            if let kept = waiting.keptThrough, batch <= kept {
                reply.post(nil)
            } else if let failure = waiting.failure, batch <= failure.batch {
                reply.post(failure.error)
            } else {
                waiting.waiters.append((batch, reply))
            }
        }
        guard let answer = await reply.next() else { throw CancellationError() }
        if let error = answer {
            throw StreamError(
                .checkpointUnwritable,
                "the checkpoint that says what the batch reads could not be written, so nothing "
                    + "of it was committed", batchTime: batch, underlying: error)
        }
    }

    /// Answers those who wait for batches up to one, now or later; nil: nobody.
    private func answer(_ batch: BatchTime?, _ error: (any Error)?) {
        guard let batch else { return }
        let answered = waiting.withLock { waiting in
            if let error {
                waiting.failure = (batch, error)
            } else {
                waiting.keptThrough = max(waiting.keptThrough ?? batch, batch)
                waiting.failure = nil
            }
            let answered = waiting.waiters.filter { $0.batch <= batch }.map(\.reply)
            waiting.waiters.removeAll { $0.batch <= batch }
            return answered
        }
        for reply in answered { reply.post(error) }
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
                answer(request.generated, nil)
                onAnswer(Answer(ticket: request.ticket, time: request.record.time, error: nil))
            } catch {
                if error is CancellationError, Task.isCancelled { return }
                answer(request.generated, error)
                onAnswer(Answer(ticket: request.ticket, time: request.record.time, error: error))
            }
        }
    }

    /// Ends the writer once what waits is written.
    public func finish() {
        requests.finish()
    }
}
