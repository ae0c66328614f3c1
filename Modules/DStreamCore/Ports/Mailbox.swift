public import BatchEngine
public import Synchronization

/// The error of a sender whose mailbox has ended: nobody will read the message.
@usableFromInline
package struct MailboxFinished: Error, Hashable {
    /// Makes it.
    @usableFromInline
    package init() {}
}

/// A bounded queue of messages with many senders, read by one loop.
///
/// ## Ordering
/// One queue for all kinds of messages, first in, first out. A suspended sender's message enters the
/// queue when there is room for it, so what is posted meanwhile comes before.
///
/// A message that is added quietly does not wake the loop: whoever adds it takes what waits, by
/// ``takeNext()``, where it can be handled at once. The order is the same, and no thread is woken.
///
/// ## Back-pressure
/// Only ``send(_:quietly:)`` counts towards the capacity and suspends while it is used up. Posted
/// messages have slots of their own: their number is bounded by whoever posts (one reply per request,
/// one completion per job), coalescing ones by the number of keys.
///
/// ## Isolation
/// All methods may be called from any task, ``next()`` from one at a time.
@usableFromInline
package final class Mailbox<Message: Sendable>: Sendable {
    /// How many sent messages may wait.
    @usableFromInline package let capacity: Int
    @usableFromInline let state: Locked<MailboxState<Message>>

    /// Makes an empty mailbox.
    ///
    /// - Parameter capacity: how many sent messages may wait; fewer than 1 count as 1.
    @inlinable
    package init(capacity: Int) {
        self.capacity = max(1, capacity)
        state = Locked(MailboxState(capacity: max(1, capacity)))
    }

    /// Adds a message that carries data, waiting for room.
    ///
    /// ## Cancellation
    /// A cancelled sender leaves at once; its message is not delivered.
    ///
    /// - Parameter quietly: whether the caller takes what waits; the reader is woken otherwise.
    /// - Throws: `CancellationError`, or ``MailboxFinished`` when nobody will read the message.
    @inlinable
    package func send(_ message: Message, quietly: Bool = false) async throws {
        try Task.checkCancellation()
        switch state.withLock({ $0.send(message, quietly: quietly) }) {
        case .accepted(let reader): reader?.resume()
        case .finished: throw MailboxFinished()
        case .full(let id): try await wait(id, message)
        }
    }

    /// Adds a message that takes no room: a reply, a completion, a command.
    ///
    /// - Parameter quietly: whether the caller takes what waits; the reader is woken otherwise.
    /// - Returns: false when the mailbox has ended; the message is dropped then.
    @inlinable
    @discardableResult
    package func post(_ message: Message, quietly: Bool = false) -> Bool {
        woken(state.withLock { $0.post(message, key: nil, quietly: quietly) })
    }

    /// Adds a message of which only the newest counts: one that waits under the same key is
    /// replaced, in its place.
    ///
    /// - Returns: false when the mailbox has ended; the message is dropped then.
    @inlinable
    @discardableResult
    package func postCoalescing(
        _ message: Message, key: Int = 0, quietly: Bool = false
    ) -> Bool {
        woken(state.withLock { $0.post(message, key: key, quietly: quietly) })
    }

    /// Takes the next message, waiting for one.
    ///
    /// ## Cancellation
    /// A cancelled reader gets nil at once, whatever is still in the mailbox.
    ///
    /// - Returns: nil when the mailbox has ended and is empty, or the task is cancelled.
    /// - Precondition: nobody else is waiting for a message.
    @inlinable
    package func next() async -> Message? {
        while !Task.isCancelled {
            switch state.withLock({ $0.take() }) {
            case .message(let message, let sender):
                sender?.resume()
                return message
            case .nothing: await waitForMessage()
            case .end: return nil
            }
        }
        return nil
    }

    /// Waits until there is a message to take by ``takeNext()``, which another may do before.
    ///
    /// - Returns: false when the mailbox has ended and is empty, or the task is cancelled.
    /// - Precondition: nobody else is waiting for a message.
    @inlinable
    package func hasNext() async -> Bool {
        while !Task.isCancelled {
            let (hasMessage, isFinished) = state.withLock { ($0.count > 0, $0.isFinished) }
            if hasMessage || isFinished { return hasMessage }
            await waitForMessage()
        }
        return false
    }

    /// Takes the next message if one waits.
    @inlinable
    package func takeNext() -> Message? {
        guard case .message(let message, let sender) = state.withLock({ $0.take() }) else {
            return nil
        }
        sender?.resume()
        return message
    }

    /// Ends the mailbox: what is in it can still be read, nothing is added any more.
    @inlinable
    package func finish() {
        let (reader, senders) = state.withLock { $0.finish() }
        reader?.resume()
        for sender in senders { sender.resume(throwing: MailboxFinished()) }
    }

    /// Ends the mailbox and takes what nobody will read.
    ///
    /// - Returns: the messages left, in their order.
    @inlinable
    package func close() -> [Message] {
        finish()
        return state.withLock { $0.takeAll() }
    }

    /// How many messages wait, posted ones included.
    package var count: Int { state.withLock { $0.count } }

    /// How many senders are suspended.
    package var suspendedSenderCount: Int { state.withLock { $0.senders.count } }

    @inlinable
    func woken(_ outcome: MailboxState<Message>.Posting) -> Bool {
        guard case .accepted(let reader) = outcome else { return false }
        reader?.resume()
        return true
    }

    /// Suspends until there may be something to take.
    @inlinable
    func waitForMessage() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // Whoever is cancelled after this look finds the reader registered.
                let isWaiting = state.withLock {
                    $0.enlist(continuation, isCancelled: Task.isCancelled)
                }
                if !isWaiting { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.takeReader() }?.resume()
        }
    }

    @inlinable
    func wait(_ id: Int, _ message: Message) async throws {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome = state.withLock {
                    $0.enlist(id, message, continuation, isCancelled: Task.isCancelled)
                }
                switch outcome {
                case .wait: break
                case .cancelled: continuation.resume(throwing: CancellationError())
                case .finished: continuation.resume(throwing: MailboxFinished())
                case .accepted(let reader):
                    reader?.resume()
                    continuation.resume()
                }
            }
        } onCancel: {
            state.withLock { $0.withdraw(id) }?.resume(throwing: CancellationError())
        }
    }
}
