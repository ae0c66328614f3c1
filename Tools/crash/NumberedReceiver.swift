import BatchEngine
import StreamingContext

/// Reads `NUMBER CONNECTION WORD` lines, and sends `ack NUMBER` when they are stored.
struct NumberedReceiver: Receiver {
    static let blockSize = 7
    let port: Int

    func run(_ output: ReceiverOutput<String>) async throws {
        let connection = try await TCPConnection.connect(host: "127.0.0.1", port: port)
        defer { connection.close() }
        var lines = LineReader(connection)
        while let some = try await lines.next() {
            for start in stride(from: 0, to: some.count, by: Self.blockSize) {
                let block = Array(some[start..<min(some.count, start + Self.blockSize)])
                guard let number = block.last?.split(separator: " ").first else { continue }
                try await output.store(block: block)
                try await connection.writeAll(Array("ack \(number)\n".utf8))
            }
        }
    }
}

/// The lines that come over a connection, as many at a time as are there.
struct LineReader {
    private let connection: TCPConnection
    private var rest: [UInt8] = []

    init(_ connection: TCPConnection) { self.connection = connection }

    /// nil: the peer has ended.
    mutating func next() async throws -> [String]? {
        while let bytes = try await connection.read() {
            rest += bytes
            guard let end = rest.lastIndex(of: 10) else { continue }
            let whole = rest[..<end].split(separator: 10)
            rest.removeSubrange(...end)
            return whole.map { String(decoding: $0, as: UTF8.self) }
        }
        return nil
    }
}
