import FaultTolerance
import StreamingContext
import Synchronization

/// A write-ahead log of one's own, for as long as the program runs; its handles are numbers.
nonisolated final class OwnLog: WriteAheadLog {
    private struct Record {
        let place: String
        let time: BatchTime
        let bytes: [UInt8]
    }

    private struct NoRecord: Error {}
    private struct Closed: Error {}

    private static let count = Mutex(0)

    /// Says when a record was written.
    let writes: AsyncStream<Void>
    private let written: AsyncStream<Void>.Continuation
    private let records = Mutex<(all: [Record], isClosed: Bool)>(([], false))

    init() { (writes, written) = AsyncStream.makeStream() }

    func write(_ record: [UInt8], time: BatchTime) async throws -> LogRecordHandle {
        let number = Self.count.withLock { count in
            count += 1
            return count
        }
        return try records.withLock { records in
            if records.isClosed { throw Closed() }
            records.all.append(Record(place: "\(number)", time: time, bytes: record))
            written.yield()
            return LogRecordHandle(place: "\(number)")
        }
    }

    func read(_ handle: LogRecordHandle) async throws -> [UInt8] {
        let found = records.withLock { $0.all.first { $0.place == handle.place } }
        guard let found else { throw NoRecord() }
        return found.bytes
    }

    func readAll() async throws -> [[UInt8]] { records.withLock { $0.all.map(\.bytes) } }

    func clean(before threshold: BatchTime) async throws {
        records.withLock { records in records.all.removeAll { $0.time < threshold } }
    }

    func close() async { records.withLock { $0.isClosed = true } }
}

/// Keeps dead letters for as long as the program runs.
nonisolated final class OwnDeadLetters: DeadLetterStore {
    private struct Unknown: Error {}
    private struct Taken: Error {}

    /// The right to replay.
    private final class Lock: DeadLetterLock {
        private let isTaken: Flag
        private let isReleased = Mutex(false)

        init(_ isTaken: Flag) { self.isTaken = isTaken }
        deinit { release() }

        func release() {
            let isFirst = isReleased.withLock { isReleased in
                defer { isReleased = true }
                return !isReleased
            }
            if isFirst { isTaken.value.withLock { $0 = false } }
        }
    }

    private final class Flag: Sendable {
        let value = Mutex(false)
    }

    private let letters = Mutex<(waiting: [DeadLetter], settled: Set<DeadLetter.ID>)>(([], []))
    private let isReplaying = Flag()

    func prepare() async throws {}

    func write(_ letter: DeadLetter) async throws {
        letters.withLock { letters in
            letters.waiting.removeAll { $0.entry.id == letter.entry.id }
            letters.waiting.append(letter)
        }
    }

    func list() async throws -> DeadLetterListing {
        let entries = letters.withLock { $0.waiting.map(\.entry) }
        return DeadLetterListing(
            entries: entries.sorted {
                ($0.id.batchTime, $0.id.operationID) < ($1.id.batchTime, $1.id.operationID)
            })
    }

    func read(_ id: DeadLetter.ID) async throws -> DeadLetter {
        let found = letters.withLock { $0.waiting.first { $0.entry.id == id } }
        guard let found else { throw Unknown() }
        return found
    }

    func settle(_ id: DeadLetter.ID) async throws {
        letters.withLock { letters in
            letters.waiting.removeAll { $0.entry.id == id }
            letters.settled.insert(id)
        }
    }

    func isKnown(_ id: DeadLetter.ID) async throws -> Bool {
        letters.withLock { letters in
            letters.settled.contains(id) || letters.waiting.contains { $0.entry.id == id }
        }
    }

    func lockForReplay() async throws -> any DeadLetterLock {
        try isReplaying.value.withLock { isTaken in
            if isTaken { throw Taken() }
            isTaken = true
        }
        return Lock(isReplaying)
    }
}

/// Keeps what inputs chose for as long as the program runs.
nonisolated final class OwnChoices: InputChoices {
    private struct Key: Hashable {
        let stream: StreamID
        let batch: BatchTime
    }

    private let choices = Mutex<[Key: InputChoice]>([:])

    func choice(of stream: StreamID, for batch: BatchTime) async -> InputChoice? {
        choices.withLock { $0[Key(stream: stream, batch: batch)] }
    }

    func keep(_ choice: InputChoice, of stream: StreamID, for batch: BatchTime) async throws {
        choices.withLock { $0[Key(stream: stream, batch: batch)] = choice }
    }

    func release(before threshold: BatchTime, keeping pending: Set<BatchTime>) async throws {
        choices.withLock { choices in
            choices = choices.filter { $0.key.batch >= threshold || pending.contains($0.key.batch) }
        }
    }
}
