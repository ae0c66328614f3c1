internal import BatchEngine
public import DStreamCore
internal import Synchronization

/// A log in memory: it survives neither a crash nor the process.
public final class InMemoryWriteAheadLog: WriteAheadLog {
    private struct Record {
        var number: Int
        var time: BatchTime
        var bytes: [UInt8]
    }
    private struct State {
        var records: [Record] = []
        var next = 0
        var isClosed = false
    }

    private static let made = Atomic(0)

    private let state = Locked(State())
    /// Tells its handles from those of other logs.
    private let identity = made.add(1, ordering: .relaxed).newValue

    /// Makes an empty log.
    public init() {}

    /// Appends a record.
    ///
    /// - Throws: ``LogError`` `.closed` after ``close()``.
    public func write(_ record: [UInt8], time: BatchTime) async throws -> LogRecordHandle {
        try state.withLock { state in
            if state.isClosed { throw LogError(.closed, "the log was closed") }
            defer { state.next += 1 }
            state.records.append(Record(number: state.next, time: time, bytes: record))
            return LogRecordHandle(place: place(of: state.next))
        }
    }

    /// The record behind `handle`.
    ///
    /// - Throws: ``LogError`` `.missing` when it was cleaned or is another log's.
    public func read(_ handle: LogRecordHandle) async throws -> [UInt8] {
        let found = state.withLock { state in
            state.records.first { place(of: $0.number) == handle.place }?.bytes
        }
        guard let found else { throw LogError(.missing, "no record at \(handle.place)") }
        return found
    }

    /// All records that were not cleaned, oldest first.
    public func readAll() async throws -> [[UInt8]] { state.withLock { $0.records.map(\.bytes) } }

    /// Removes records older than `threshold`.
    public func clean(before threshold: BatchTime) async throws {
        state.withLock { state in state.records.removeAll { $0.time < threshold } }
    }

    /// The record's time; nil when there is none.
    public func cleaningThreshold(keeping handle: LogRecordHandle) -> BatchTime? {
        state.withLock { state in
            state.records.first { place(of: $0.number) == handle.place }?.time
        }
    }

    private func place(of number: Int) -> String { "\(identity):\(number)" }

    /// Ends the log.
    public func close() async { state.withLock { $0.isClosed = true } }
}
