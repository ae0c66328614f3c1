import BatchEngine
import Synchronization

/// Sends the numbers from 1 on until they are acknowledged: what was not, again on the next
/// connection.
///
/// When all of them are, it sends one more: whoever gets that may end.
final class AcknowledgedNumbers: Sendable {
    private struct State {
        var connections = 0
        var sent = 0
        var acknowledged = 0
        /// Numbers that a later connection has sent again.
        var repeated: Set<Int> = []
    }

    private static let window = 60
    let last: Int
    private let listener: TCPListener
    private let state = Locked(State())

    init(to last: Int) async throws {
        self.last = last
        listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
    }

    var port: Int { listener.port }
    /// What is sent when all others are acknowledged.
    var farewell: Int { last + 1 }
    /// All numbers up to this one are acknowledged.
    var acknowledged: Int { state.withLock { $0.acknowledged } }
    /// Numbers that were sent more than once, as they were not acknowledged.
    var repeated: Set<Int> { state.withLock { $0.repeated } }

    /// Serves while `body` runs.
    func serve<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        defer { listener.close() }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.accept() }
            defer { group.cancelAll() }
            return try await body()
        }
    }

    private func accept() async throws {
        while true {
            let connection = try await listener.accept()
            let number = state.withLock { state in
                state.connections += 1
                if state.sent > state.acknowledged {
                    state.repeated.formUnion(state.acknowledged + 1...state.sent)
                }
                state.sent = state.acknowledged
                return state.connections
            }
            try? await serve(connection, number)
            connection.close()
        }
    }

    private func serve(_ connection: TCPConnection, _ number: Int) async throws {
        var bytes: [UInt8] = []
        while true {
            let range = state.withLock { state in
                let limit = state.acknowledged >= last ? farewell : last
                let end = max(min(limit, state.acknowledged + Self.window), state.sent)
                defer { state.sent = end }
                return state.sent + 1..<end + 1
            }
            try await connection.writeAll(Array(range.map { "\($0) \(number)\n" }.joined().utf8))
            guard let more = try await connection.read() else { return }
            bytes += more
            guard let end = bytes.lastIndex(of: 10) else { continue }
            let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\n")
            bytes.removeSubrange(...end)
            let newest = lines.compactMap { Int($0.dropFirst(4)) }.max() ?? 0
            state.withLock { $0.acknowledged = max($0.acknowledged, newest) }
        }
    }
}
