/// What a mailbox holds, and all its decisions; it never resumes anybody itself.
@usableFromInline
struct MailboxState<Message: Sendable> {
    @usableFromInline typealias Reader = CheckedContinuation<Void, Never>
    @usableFromInline typealias SenderContinuation = CheckedContinuation<Void, any Error>

    /// What becomes of a sent message, and the reader to wake.
    @usableFromInline
    enum Delivery {
        case accepted(Reader?)
        case full(id: Int)
        case finished
    }

    /// What becomes of a posted message, and the reader to wake.
    @usableFromInline
    enum Posting {
        case accepted(Reader?)
        case finished
    }

    /// What becomes of a sender that found no room.
    @usableFromInline
    enum Enlistment {
        case wait
        case accepted(Reader?)
        case cancelled
        case finished
    }

    /// What there is to take, and the sender for whom there is room then.
    @usableFromInline
    enum Taking {
        case message(Message, SenderContinuation?)
        case nothing
        case end
    }

    /// Why a message is in the queue.
    @usableFromInline
    enum Slot: Equatable {
        case data
        case reserved
        case coalescing(key: Int)
    }

    @usableFromInline
    struct Entry {
        @usableFromInline let slot: Slot
        @usableFromInline var message: Message

        @inlinable
        init(slot: Slot, message: Message) {
            self.slot = slot
            self.message = message
        }
    }

    @usableFromInline
    struct Sender {
        @usableFromInline let id: Int
        @usableFromInline let message: Message
        @usableFromInline let continuation: SenderContinuation

        @inlinable
        init(id: Int, message: Message, continuation: SenderContinuation) {
            self.id = id
            self.message = message
            self.continuation = continuation
        }
    }

    @usableFromInline let capacity: Int
    /// Entries from `head` on wait.
    @usableFromInline var entries: [Entry] = []
    @usableFromInline var head = 0
    @usableFromInline var dataCount = 0
    @usableFromInline var reader: Reader?
    @usableFromInline var senders: [Sender] = []
    @usableFromInline var isFinished = false
    @usableFromInline var lastID = 0

    @inlinable
    init(capacity: Int) { self.capacity = capacity }

    @inlinable var count: Int { entries.count - head }

    @inlinable
    mutating func send(_ message: Message, quietly: Bool) -> Delivery {
        if isFinished { return .finished }
        // Those who wait already come first.
        if dataCount < capacity, senders.isEmpty {
            add(message, .data)
            return .accepted(quietly ? nil : takeReader())
        }
        lastID += 1
        return .full(id: lastID)
    }

    @inlinable
    mutating func post(_ message: Message, key: Int?, quietly: Bool) -> Posting {
        if isFinished { return .finished }
        if let key, let index = indexOfWaiting(.coalescing(key: key)) {
            entries[index].message = message
        } else {
            add(message, key.map { .coalescing(key: $0) } ?? .reserved)
        }
        return .accepted(quietly ? nil : takeReader())
    }

    @inlinable
    func indexOfWaiting(_ slot: Slot) -> Int? {
        var index = head
        while index < entries.count {
            if entries[index].slot == slot { return index }
            index += 1
        }
        return nil
    }

    @inlinable
    mutating func enlist(
        _ id: Int, _ message: Message, _ continuation: SenderContinuation, isCancelled: Bool
    ) -> Enlistment {
        if isCancelled { return .cancelled }
        if isFinished { return .finished }
        if dataCount < capacity, senders.isEmpty {
            add(message, .data)
            return .accepted(takeReader())
        }
        senders.append(Sender(id: id, message: message, continuation: continuation))
        return .wait
    }

    @inlinable
    mutating func withdraw(_ id: Int) -> SenderContinuation? {
        guard let index = senders.firstIndex(where: { $0.id == id }) else { return nil }
        return senders.remove(at: index).continuation
    }

    /// Registers the reader, unless there is something for it.
    @inlinable
    mutating func enlist(_ continuation: Reader, isCancelled: Bool) -> Bool {
        precondition(reader == nil, "a mailbox has one reader")
        if isCancelled || isFinished || count > 0 { return false }
        reader = continuation
        return true
    }

    @inlinable
    mutating func take() -> Taking {
        guard let entry = removeFirst() else { return isFinished ? .end : .nothing }
        guard entry.slot == .data else { return .message(entry.message, nil) }
        dataCount -= 1
        guard !senders.isEmpty else { return .message(entry.message, nil) }
        let sender = senders.removeFirst()
        add(sender.message, .data)
        return .message(entry.message, sender.continuation)
    }

    @inlinable
    mutating func takeReader() -> Reader? {
        defer { reader = nil }
        return reader
    }

    @inlinable
    mutating func finish() -> (Reader?, [SenderContinuation]) {
        isFinished = true
        defer { senders = [] }
        return (takeReader(), senders.map(\.continuation))
    }

    @inlinable
    mutating func takeAll() -> [Message] {
        defer {
            entries = []
            head = 0
            dataCount = 0
        }
        return entries[head...].map(\.message)
    }

    @inlinable
    mutating func add(_ message: Message, _ slot: Slot) {
        if slot == .data { dataCount += 1 }
        entries.append(Entry(slot: slot, message: message))
    }

    @inlinable
    mutating func removeFirst() -> Entry? {
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
