import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import Synchronization
import Testing

@Suite("Wrong write-ahead logs are noticed", .timeLimit(.minutes(5)))
struct WrongLogTests {
    @Test(
        arguments: zip(
            WrongLog.Fault.allCases,
            [
                "of the parts in their order", "cleaningThreshold(keeping:)",
                "a handle of another log is refused", "are read in the order of writing",
                "clean keeps what is not older", "a closed log refuses writes",
                "all records are there after reopening",
            ]))
    func fault(_ fault: WrongLog.Fault, promise: String) async {
        let failure = await failure {
            try await checkWriteAheadLog {
                WrongLog(fault)
            } reopen: { log in
                (log as? WrongLog)?.reopened() ?? log
            }
        }
        #expect(failure.contains(promise))
    }
}

/// A log on an array, which outlives it.
final class WrongLog: WriteAheadLog {
    enum Fault: CaseIterable {
        case reversesParts, keepsTooLittle, takesAllHandles, readsBackwards, cleansTooMuch,
            neverCloses
        case forgetsWhenClosed
    }
    struct Missing: Error {}
    private struct State {
        var records: [(place: String, time: BatchTime, bytes: [UInt8])] = []
        var count = 0
        var isClosed = false
    }

    private static let made = Atomic(0)

    private let fault: Fault
    private let state = Locked(State())
    private let identity: String

    init(_ fault: Fault) {
        self.fault = fault
        let number = Self.made.add(1, ordering: .relaxed).newValue
        identity = fault == .takesAllHandles ? "" : "\(number):"
    }

    func reopened() -> WrongLog {
        state.withLock { state in
            if fault == .forgetsWhenClosed { state.records.removeAll() }
            state.isClosed = false
        }
        return self
    }

    func write(_ record: [UInt8], time: BatchTime) async throws -> LogRecordHandle {
        try state.withLock { state in
            if state.isClosed, fault != .neverCloses { throw Missing() }
            let place = identity + String(state.count)
            state.count += 1
            state.records.append((place, time, record))
            return LogRecordHandle(place: place)
        }
    }

    func write(parts: [[UInt8]], time: BatchTime) async throws -> LogRecordHandle {
        let parts = fault == .reversesParts ? parts.reversed() : parts
        return try await write(Array(parts.joined()), time: time)
    }

    func read(_ handle: LogRecordHandle) async throws -> [UInt8] {
        let found = state.withLock { $0.records.first { $0.place == handle.place }?.bytes }
        guard let found else { throw Missing() }
        return found
    }

    func readAll() async throws -> [[UInt8]] {
        let all = state.withLock { $0.records.map(\.bytes) }
        return fault == .readsBackwards ? all.reversed() : all
    }

    func clean(before threshold: BatchTime) async throws {
        let limit = fault == .cleansTooMuch ? threshold + .milliseconds(1) : threshold
        state.withLock { state in state.records.removeAll { $0.time < limit } }
    }

    func cleaningThreshold(keeping handle: LogRecordHandle) -> BatchTime? {
        let time = state.withLock { $0.records.first { $0.place == handle.place }?.time }
        return time.map { fault == .keepsTooLittle ? $0 + .milliseconds(1) : $0 }
    }

    func close() async { state.withLock { $0.isClosed = true } }
}
