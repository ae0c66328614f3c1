package import BatchEngine

/// What the driver tells a receiver that runs in a worker.
package enum ReceiverOrder: Sendable, Equatable {
    /// Run, at most at this rate in elements per second; nil: as configured.
    case start(rate: Double?)
    case rate(Double)
    /// End the run, and send what was received.
    case stop
    /// The block with a number is stored and reported.
    case stored(UInt64)
    /// The block with a number is not stored, and why.
    case refused(UInt64, String)

    private enum Tag: UInt8 { case start, rate, stop, stored, refused }

    private var tag: Tag {
        switch self {
        case .start: .start
        case .rate: .rate
        case .stop: .stop
        case .stored: .stored
        case .refused: .refused
        }
    }

    /// The order as a message.
    package var bytes: [UInt8] {
        var writer = ByteWriter()
        writer.writeByte(tag.rawValue)
        switch self {
        case .start(let rate): rate.encode(to: &writer)
        case .rate(let rate): rate.encode(to: &writer)
        case .stored(let number): writer.writeVarint(number)
        case .refused(let number, let reason):
            writer.writeVarint(number)
            writer.writeString(reason)
        case .stop: break
        }
        return writer.bytes
    }

    /// Reads a message.
    ///
    /// - Throws: `CodecError` for one that is no order.
    // Inlined into an async function, it crashes the compiler in optimised builds (Swift 6.3.1).
    @inline(never)
    package init(_ bytes: [UInt8]) throws {
        self = try bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            let order = try Self.read(from: &reader)
            try reader.requireEnd(of: "order")
            return order
        }
    }

    private static func read(from reader: inout ByteReader) throws -> ReceiverOrder {
        switch Tag(rawValue: try reader.readByte()) {
        case .start: return .start(rate: try Double?.decode(from: &reader))
        case .rate: return .rate(try Double.decode(from: &reader))
        case .stop: return .stop
        case .stored: return .stored(try reader.readVarint())
        case .refused: return .refused(try reader.readVarint(), try reader.readString())
        case nil: throw CodecError(.invalidValue, "the bytes are no order")
        }
    }
}

/// What a receiver that runs in a worker tells the driver.
package enum ReceiverReport: Sendable {
    /// A block to store; the next one comes when this is answered.
    case block(ReportedBlock)
    case error(String, cause: String?)
    case linesTruncated(Int)
    case invalidUTF8Replaced(Int)
    /// A run has ended, and all that it received was sent before.
    case ended(ReceiverEnding)

    /// A block as it travels.
    package struct ReportedBlock: Sendable {
        /// Counts the blocks of a worker from 0; its answer carries the same.
        package let number: UInt64
        package let contents: [PartitionData]
        package let recordCount: Int
        package let metadata: [String: String]

        package init(
            number: UInt64, contents: [PartitionData], recordCount: Int,
            metadata: [String: String] = [:]
        ) {
            self.number = number
            self.contents = contents
            self.recordCount = recordCount
            self.metadata = metadata
        }
    }

    private enum Tag: UInt8 {
        case block, error, linesTruncated, invalidUTF8Replaced
        case stoppedByDriver, restart, stoppedItself
    }

    /// The report as a message.
    ///
    /// - Throws: ``EngineError`` `.codecMissing` or `CodecError` for elements that cannot be encoded.
    package func bytes() throws -> [UInt8] {
        var writer = ByteWriter()
        func write(_ tag: Tag) { writer.writeByte(tag.rawValue) }
        switch self {
        case .block(let block):
            write(.block)
            writer.writeFixed(block.number)
            writer.writeVarint(UInt64(block.recordCount))
            // A dictionary has no order, and equal messages are equal bytes.
            writer.writeVarint(UInt64(block.metadata.count))
            for (key, value) in block.metadata.sorted(by: { $0.key < $1.key }) {
                writer.writeString(key)
                writer.writeString(value)
            }
            let pieces = try PartitionCoding.pieces(block.contents, TaskContext(partition: 0))
            PartitionCoding.write(pieces, to: &writer)
        case .error(let message, let cause):
            write(.error)
            writer.writeString(message)
            cause.encode(to: &writer)
        case .linesTruncated(let count):
            write(.linesTruncated)
            writer.writeVarint(UInt64(count))
        case .invalidUTF8Replaced(let count):
            write(.invalidUTF8Replaced)
            writer.writeVarint(UInt64(count))
        case .ended(.stoppedByDriver): write(.stoppedByDriver)
        case .ended(.stoppedItself(let message)):
            write(.stoppedItself)
            writer.writeString(message)
        case .ended(.restart(let message, let error, let delay)):
            write(.restart)
            writer.writeString(message)
            error.map { "\($0)" }.encode(to: &writer)
            delay.encode(to: &writer)
        }
        return try writer.takeBytes()
    }

    /// Gives the message of a block another number: it is known when the block is sent.
    static func setNumber(_ number: UInt64, inBlock bytes: inout [UInt8]) {
        for index in 0..<8 { bytes[1 + index] = UInt8(truncatingIfNeeded: number >> (8 * index)) }
    }

    /// Reads a message.
    ///
    /// - Throws: `CodecError` for one that is no report.
    // Inlined into an async function, it crashes the compiler in optimised builds (Swift 6.3.1).
    @inline(never)
    package init(_ bytes: [UInt8]) throws {
        self = try bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            let report = try Self.read(from: &reader)
            try reader.requireEnd(of: "report")
            return report
        }
    }

    private static func read(from reader: inout ByteReader) throws -> ReceiverReport {
        switch Tag(rawValue: try reader.readByte()) {
        case .block:
            let number: UInt64 = try reader.readFixed()
            let count = try reader.readQuantity()
            let metadata = try [String: String].decode(from: &reader)
            return .block(
                ReportedBlock(
                    number: number, contents: try PartitionCoding.read(from: &reader),
                    recordCount: count, metadata: metadata))
        case .error:
            return .error(try reader.readString(), cause: try String?.decode(from: &reader))
        case .linesTruncated: return .linesTruncated(try reader.readQuantity())
        case .invalidUTF8Replaced:
            return .invalidUTF8Replaced(try reader.readQuantity())
        case .stoppedByDriver: return .ended(.stoppedByDriver)
        case .stoppedItself: return .ended(.stoppedItself(message: try reader.readString()))
        case .restart:
            let message = try reader.readString()
            let error = try String?.decode(from: &reader).map { WorkerReceiverFailure($0) }
            return .ended(
                .restart(
                    message: message, error: error, delay: try Duration?.decode(from: &reader)))
        case nil: throw CodecError(.invalidValue, "the bytes are no report")
        }
    }
}

/// An error in another process, in its own words.
struct WorkerReceiverFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
