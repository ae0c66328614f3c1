import BatchEngine
import Synchronization

/// Sends numbered records until they are acknowledged: what was not, again on the next connection.
final class NumberSource: Sendable {
    /// What was sent over a connection and acknowledged on it, as ranges of numbers.
    struct Delivery: Sendable {
        let first: Int
        var sent: Int
        var acknowledged: Int
    }

    private struct State {
        var deliveries: [Delivery] = []
        var sent = 0
        var acknowledged = 0
        var isEnding = false
    }

    private static let recordsPerTick = 10
    private static let unacknowledgedLimit = 2000
    private let state = Mutex(State())
    private let listener: TCPListener

    private init(_ listener: TCPListener) { self.listener = listener }

    static func open() async throws -> NumberSource {
        NumberSource(try await TCPListener.bind(host: "127.0.0.1", port: 0))
    }

    var port: Int { listener.port }
    /// All numbers up to this one are acknowledged.
    var acknowledged: Int { state.withLock { $0.acknowledged } }
    /// All numbers up to this one have been sent.
    var sent: Int { state.withLock { $0.sent } }
    /// By connection.
    var deliveries: [Delivery] { state.withLock { $0.deliveries } }
    /// Whether everything that was sent is acknowledged, and no more comes.
    var isDone: Bool { state.withLock { $0.isEnding && $0.acknowledged == $0.sent } }

    /// Sends nothing new from now on.
    func end() { state.withLock { $0.isEnding = true } }

    /// Serves one connection after the other until the task is cancelled.
    func serve() async throws {
        while true {
            let connection = try await listener.accept()
            let number = state.withLock { state in
                let before = state.acknowledged
                state.deliveries.append(
                    Delivery(first: before + 1, sent: before, acknowledged: before))
                return state.deliveries.count - 1
            }
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await self.send(connection, number) }
                group.addTask { try? await self.receive(connection, number) }
                _ = await group.next()
                group.cancelAll()
            }
            connection.close()
        }
    }

    private func send(_ connection: TCPConnection, _ number: Int) async throws {
        while true {
            let range = reserve(number)
            if !range.isEmpty {
                let lines = range.map { "\($0) \(number) \(Self.word($0))\n" }
                try await connection.writeAll(Array(lines.joined().utf8))
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Counts what is sent next as sent.
    private func reserve(_ number: Int) -> Range<Int> {
        state.withLock { state in
            let before = state.deliveries[number].sent
            var last = max(state.sent, before)
            if !state.isEnding, last - state.acknowledged < Self.unacknowledgedLimit {
                last += Self.recordsPerTick
            }
            state.sent = last
            state.deliveries[number].sent = last
            return before + 1..<last + 1
        }
    }

    private func receive(_ connection: TCPConnection, _ number: Int) async throws {
        var lines = LineReader(connection)
        while let some = try await lines.next() {
            for line in some {
                guard line.hasPrefix("ack "), let last = Int(line.dropFirst(4)) else { continue }
                state.withLock { state in
                    state.acknowledged = max(state.acknowledged, last)
                    state.deliveries[number].acknowledged = last
                }
            }
        }
    }

    /// The word of a record: some are frequent, some rare, and some come for a while only.
    static func word(_ number: Int) -> String {
        let mixed = UInt64(number) &* 0x9E37_79B9_7F4A_7C15
        if mixed >> 61 == 0 { return "t\(number / 1000 % 40)" }
        return "w\((mixed >> 40) % ((mixed >> 20) % 60 + 1))"
    }
}
