import BatchEngine
import DStreamCore
import ProcessEngine
import StreamingContext
import Synchronization

/// Reads lines of a number and the number of the connection, and says `ack NUMBER` when blocks of
/// them are stored.
struct AcknowledgingReceiver: Receiver {
    private static let blockSize = 7
    let port: Int
    /// The number at which it traps on the first connection; 0: none.
    let trapping: Int

    func run(_ output: ReceiverOutput<Int>) async throws {
        let connection = try await TCPConnection.connect(host: "127.0.0.1", port: port)
        defer { connection.close() }
        var bytes: [UInt8] = []
        while let more = try await connection.read() {
            bytes += more
            guard let end = bytes.lastIndex(of: 10) else { continue }
            let numbers = bytes[..<end].split(separator: 10).compactMap { number(Array($0)) }
            bytes.removeSubrange(...end)
            for start in stride(from: 0, to: numbers.count, by: Self.blockSize) {
                let block = Array(numbers[start..<min(numbers.count, start + Self.blockSize)])
                try await output.store(block: block)
                try await connection.writeAll(Array("ack \(block[block.count - 1])\n".utf8))
            }
        }
    }

    private func number(_ line: [UInt8]) -> Int? {
        let parts = String(decoding: line, as: UTF8.self).split(separator: " ")
        guard parts.count == 2, let number = Int(parts[0]) else { return nil }
        if number == trapping, parts[1] == "1" {
            let none: [Int] = []
            return none[number]
        }
        return number
    }
}

/// Stores blocks, and kills the process of their receiver now and then.
final class KillingHandler: ReceivedBlockHandler {
    private static let blocksPerKill = 16
    private let seed: Int
    private let streamID: StreamID
    private let level: StorageLevel
    private let codec: ErasedCodec?
    private let count = Locked(0)

    init(seed: Int, streamID: StreamID, level: StorageLevel, codec: ErasedCodec?) {
        self.seed = seed
        self.streamID = streamID
        self.level = level
        self.codec = codec
    }

    private var engine: ProcessEngine {
        get throws {
            guard let engine = Probe.engine.withLock({ $0 }) else {
                throw ProbeError("there are no processes")
            }
            return engine
        }
    }

    private var inner: BlockStoreHandler {
        get throws {
            BlockStoreHandler(streamID: streamID, engine: try engine, level: level, codec: codec)
        }
    }

    func store(_ block: ReceivedBlock) async throws -> StoredBlock {
        let number = count.withLock { count in
            count += 1
            return count
        }
        if number % Self.blocksPerKill == 0 { try killSoon(number) }
        return try await inner.store(block)
    }

    func remove(_ blocks: [StoredBlock]) async { try? await inner.remove(blocks) }

    /// Within two milliseconds: this block and some after it are on their way then.
    private func killSoon(_ number: Int) throws {
        var hash = StableHasher()
        hash.combine(hash: UInt64(bitPattern: Int64(seed)))
        hash.combine(hash: UInt64(bitPattern: Int64(number)))
        let delay = UInt32(hash.finish() >> 8 & 0xffff) % 2000
        let engine = try engine
        try SystemThread.start(name: "killer") {
            SystemThread.pause(microseconds: delay)
            engine.crashService(0)
        }
    }
}
