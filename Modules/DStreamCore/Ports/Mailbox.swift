internal import BatchEngine
internal import Synchronization

/// The error of a sender whose mailbox has ended: nobody will read the message.
package struct MailboxFinished: Error, Hashable {
    /// Makes it.
    package init() {}
}

/// A bounded queue of messages with many senders, read by one loop.
///
/// ## Ordering
/// One queue for all kinds of messages, first in, first out. A suspended sender's message enters the
/// queue when there is room for it, so what is posted meanwhile comes before.
///
/// ## Back-pressure
/// Only ``send(_:)`` counts towards the capacity and suspends while it is used up. Posted messages
/// have slots of their own: their number is bounded by whoever posts (one reply per request, one
/// completion per job), coalescing ones by the number of keys.
///
/// ## Isolation
/// All methods may be called from any task, ``next()`` from one at a time.
package final class Mailbox<Message: Sendable>: Sendable {
    /// How many sent messages may wait.
    package let capacity: Int
    private let state: Locked<MailboxState<Message>>

    /// Makes an empty mailbox.
    ///
    /// - Parameter capacity: how many sent messages may wait; fewer than 1 count as 1.
    package init(capacity: Int) {
        self.capacity = max(1, capacity)
        state = Locked(MailboxState(capacity: max(1, capacity)))
    }

    /// Adds a message that carries data, waiting for room.
    ///
    /// ## Cancellation
    /// A cancelled sender leaves at once; its message is not delivered.
    ///
    /// - Throws: `CancellationError`, or ``MailboxFinished`` when nobody will read the message.
    package func send(_ message: Message) async throws {
        try Task.checkCancellation()
        switch state.withLock({ $0.send(message) }) {
        case .accepted(let reader): reader?.resume(returning: message)
        case .finished: throw MailboxFinished()
        case .full(let id): try await wait(id, message)
        }
    }

    /// Adds a message that takes no room: a reply, a completion, a command.
    ///
    /// - Returns: false when the mailbox has ended; the message is dropped then.
    @discardableResult
    package func post(_ message: Message) -> Bool {
        deliver(message, state.withLock { $0.post(message, key: nil) })
    }

    /// Adds a message of which only the newest counts: one that waits under the same key is
    /// replaced, in its place.
    ///
    /// - Returns: false when the mailbox has ended; the message is dropped then.
    @discardableResult
    package func postCoalescing(_ message: Message, key: Int = 0) -> Bool {
        deliver(message, state.withLock { $0.post(message, key: key) })
    }

    /// Takes the next message, waiting for one.
    ///
    /// ## Cancellation
    /// A cancelled reader gets nil at once, whatever is still in the mailbox.
    ///
    /// - Returns: nil when the mailbox has ended and is empty, or the task is cancelled.
    /// - Precondition: nobody else is waiting for a message.
    package func next() async -> Message? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // Whoever is cancelled after this look finds the reader registered.
                let outcome = state.withLock {
                    $0.next(continuation, isCancelled: Task.isCancelled)
                }
                switch outcome {
                case .wait: break
                case .end: continuation.resume(returning: nil)
                case .take(let message, let sender):
                    sender?.resume()
                    continuation.resume(returning: message)
                }
            }
        } onCancel: {
            state.withLock { $0.takeReader() }?.resume(returning: nil)
        }
    }

    /// Ends the mailbox: what is in it can still be read, nothing is added any more.
    package func finish() {
        let (reader, senders) = state.withLock { $0.finish() }
        reader?.resume(returning: nil)
        for sender in senders { sender.resume(throwing: MailboxFinished()) }
    }

    /// Ends the mailbox and takes what nobody will read.
    ///
    /// - Returns: the messages left, in their order.
    package func close() -> [Message] {
        finish()
        return state.withLock { $0.takeAll() }
    }

    /// How many messages wait, posted ones included.
    package var count: Int { state.withLock { $0.count } }

    /// How many senders are suspended.
    package var suspendedSenderCount: Int { state.withLock { $0.senders.count } }

    private func deliver(_ message: Message, _ outcome: MailboxState<Message>.Posting) -> Bool {
        switch outcome {
        case .accepted(let reader):
            reader?.resume(returning: message)
            return true
        case .finished: return false
        }
    }

    private func wait(_ id: Int, _ message: Message) async throws {
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
                    reader?.resume(returning: message)
                    continuation.resume()
                }
            }
        } onCancel: {
            state.withLock { $0.withdraw(id) }?.resume(throwing: CancellationError())
        }
    }
}

/// What a mailbox holds, and all its decisions; it never resumes anybody itself.
private struct MailboxState<Message: Sendable> {
    typealias Reader = CheckedContinuation<Message?, Never>
    typealias SenderContinuation = CheckedContinuation<Void, any Error>

    /// What becomes of a sent message; an accepted one goes to the reader, if one waits.
    enum Delivery {
        case accepted(Reader?)
        case full(id: Int)
        case finished
    }

    /// What becomes of a posted message.
    enum Posting {
        case accepted(Reader?)
        case finished
    }

    /// What becomes of a sender that found no room.
    enum Enlistment {
        case wait
        case accepted(Reader?)
        case cancelled
        case finished
    }

    /// What a reader gets.
    enum Reading {
        case take(Message, SenderContinuation?)
        case wait
        case end
    }

    /// Why a message is in the queue.
    enum Slot: Equatable {
        case data
        case reserved
        case coalescing(key: Int)
    }

    struct Entry {
        let slot: Slot
        var message: Message
    }

    struct Sender {
        let id: Int
        let message: Message
        let continuation: SenderContinuation
    }

    let capacity: Int
    /// Entries from `head` on wait.
    private var entries: [Entry] = []
    private var head = 0
    private var dataCount = 0
    private var reader: Reader?
    private(set) var senders: [Sender] = []
    private var isFinished = false
    private var lastID = 0

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { entries.count - head }

    mutating func send(_ message: Message) -> Delivery {
        if isFinished { return .finished }
        // Those who wait already come first.
        if dataCount < capacity, senders.isEmpty { return .accepted(add(message, .data)) }
        lastID += 1
        return .full(id: lastID)
    }

    mutating func post(_ message: Message, key: Int?) -> Posting {
        if isFinished { return .finished }
        guard let key else { return .accepted(add(message, .reserved)) }
        let slot = Slot.coalescing(key: key)
        if let index = entries[head...].firstIndex(where: { $0.slot == slot }) {
            entries[index].message = message
            return .accepted(nil)
        }
        return .accepted(add(message, slot))
    }

    mutating func enlist(
        _ id: Int, _ message: Message, _ continuation: SenderContinuation, isCancelled: Bool
    ) -> Enlistment {
        if isCancelled { return .cancelled }
        if isFinished { return .finished }
        if dataCount < capacity, senders.isEmpty { return .accepted(add(message, .data)) }
        senders.append(Sender(id: id, message: message, continuation: continuation))
        return .wait
    }

    mutating func withdraw(_ id: Int) -> SenderContinuation? {
        guard let index = senders.firstIndex(where: { $0.id == id }) else { return nil }
        return senders.remove(at: index).continuation
    }

    mutating func next(_ continuation: Reader, isCancelled: Bool) -> Reading {
        precondition(reader == nil, "a mailbox has one reader")
        if isCancelled { return .end }
        guard let entry = removeFirst() else {
            if isFinished { return .end }
            reader = continuation
            return .wait
        }
        guard entry.slot == .data else { return .take(entry.message, nil) }
        dataCount -= 1
        guard !senders.isEmpty else { return .take(entry.message, nil) }
        let sender = senders.removeFirst()
        _ = add(sender.message, .data)
        return .take(entry.message, sender.continuation)
    }

    mutating func takeReader() -> Reader? {
        defer { reader = nil }
        return reader
    }

    mutating func finish() -> (Reader?, [SenderContinuation]) {
        isFinished = true
        defer { senders = [] }
        return (takeReader(), senders.map(\.continuation))
    }

    mutating func takeAll() -> [Message] {
        defer {
            entries = []
            head = 0
            dataCount = 0
        }
        return entries[head...].map(\.message)
    }

    /// Queues a message, unless a reader waits: it gets the message then.
    private mutating func add(_ message: Message, _ slot: Slot) -> Reader? {
        if let waiting = takeReader() { return waiting }
        if slot == .data { dataCount += 1 }
        entries.append(Entry(slot: slot, message: message))
        return nil
    }

    private mutating func removeFirst() -> Entry? {
        guard head < entries.count else { return nil }
        let entry = entries[head]
        head += 1
        // Moving the rest is paid for by as many messages taken before.
        if head == entries.count || head * 2 >= entries.count && head >= 64 {
            entries.removeFirst(head)
            head = 0
        }
        return entry
    }
}
