import BatchEngine
import Synchronization

/// Sends numbered records until they are acknowledged, again on every connection.
final class NumberSource: Sendable {
    private struct State {
        /// How often each number was sent; the first is number 1.
        var sendCounts: [UInt8] = [0]
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
    var acknowledged: Int { state.withLock { $0.acknowledged } }
    var sendCounts: [UInt8] { state.withLock { $0.sendCounts } }
    /// Whether everything that was sent is acknowledged, and no more comes.
    var isDone: Bool {
        state.withLock { $0.isEnding && $0.acknowledged == $0.sendCounts.count - 1 }
    }

    /// Sends nothing new from now on.
    func end() { state.withLock { $0.isEnding = true } }

    /// Serves one connection after the other until the task is cancelled.
    func serve() async throws {
        while true {
            let connection = try await listener.accept()
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await self.send(connection) }
                group.addTask { try? await self.receive(connection) }
                _ = await group.next()
                group.cancelAll()
            }
            connection.close()
        }
    }

    private func send(_ connection: TCPConnection) async throws {
        var position = acknowledged
        while true {
            let last = reserve(after: position)
            if last > position {
                let lines = (position + 1...last).map { "\($0) \(Self.word($0))\n" }
                try await connection.writeAll(Array(lines.joined().utf8))
                position = last
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Counts what is sent now as sent, and says up to which number that is.
    private func reserve(after position: Int) -> Int {
        state.withLock { state in
            let sent = state.sendCounts.count - 1
            var last = max(sent, position)
            if !state.isEnding, last - state.acknowledged < Self.unacknowledgedLimit {
                last += Self.recordsPerTick
            }
            while state.sendCounts.count <= last { state.sendCounts.append(0) }
            for number in position..<last where state.sendCounts[number + 1] < 255 {
                state.sendCounts[number + 1] += 1
            }
            return last
        }
    }

    private func receive(_ connection: TCPConnection) async throws {
        var lines = LineReader(connection)
        while let some = try await lines.next() {
            for line in some {
                guard line.hasPrefix("ack "), let number = Int(line.dropFirst(4)) else { continue }
                state.withLock { $0.acknowledged = max($0.acknowledged, number) }
            }
        }
    }

    /// The word of a record: some are frequent, some rare.
    static func word(_ number: Int) -> String {
        let mixed = UInt64(number) &* 0x9E37_79B9_7F4A_7C15
        return "w\((mixed >> 40) % ((mixed >> 20) % 60 + 1))"
    }
}
