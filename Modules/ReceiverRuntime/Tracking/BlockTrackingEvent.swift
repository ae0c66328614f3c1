public import BatchEngine
public import DStreamCore

/// What happens to received blocks; logged before it takes effect, replayed after a crash.
public enum BlockTrackingEvent: Sendable, Hashable {
    /// A block was stored and belongs to no batch yet.
    case blockAdded(StoredBlock)
    /// Blocks were given to a batch, by stream in the order in which they were received.
    case batchAllocated(BatchTime, [StreamID: [StoredBlock]])
    /// Batches were forgotten.
    case batchesCleaned([BatchTime])
    /// Blocks were given up, as their contents are gone.
    case blocksLost([StoredBlock])
}

extension BlockTrackingEvent {
    /// The time for the log: it may forget an allocation only when the batch is forgotten, also one
    /// that took its blocks before its time.
    func logTime(at now: BatchTime) -> BatchTime {
        if case .batchAllocated(let batch, _) = self { return max(now, batch) }
        return now
    }
}

extension BlockTrackingEvent: StreamCodable {
    private enum Tag {
        static let blockAdded: UInt8 = 1
        static let batchAllocated: UInt8 = 2
        static let batchesCleaned: UInt8 = 3
        static let blocksLost: UInt8 = 4
    }

    /// Appends a kind, then the event's parts; streams in ascending order.
    public func encode(to writer: inout ByteWriter) {
        switch self {
        case .blockAdded(let block):
            writer.writeByte(Tag.blockAdded)
            Self.encode(block, to: &writer)
        case .batchAllocated(let time, let blocks):
            writer.writeByte(Tag.batchAllocated)
            writer.writeZigzag(time.milliseconds)
            writer.writeVarint(UInt64(blocks.count))
            for (stream, blocks) in blocks.sorted(by: { $0.key < $1.key }) {
                writer.writeZigzag(Int64(stream.rawValue))
                writer.writeVarint(UInt64(blocks.count))
                for block in blocks { Self.encode(block, to: &writer) }
            }
        case .batchesCleaned(let times):
            writer.writeByte(Tag.batchesCleaned)
            writer.writeVarint(UInt64(times.count))
            for time in times { writer.writeZigzag(time.milliseconds) }
        case .blocksLost(let blocks):
            writer.writeByte(Tag.blocksLost)
            writer.writeVarint(UInt64(blocks.count))
            for block in blocks { Self.encode(block, to: &writer) }
        }
    }

    /// Reads an event.
    public static func decode(from reader: inout ByteReader) throws -> BlockTrackingEvent {
        switch try reader.readByte() {
        case Tag.blockAdded: return .blockAdded(try decodeBlock(&reader))
        case Tag.batchAllocated:
            let time = try reader.readTime()
            var blocks: [StreamID: [StoredBlock]] = [:]
            for _ in 0..<(try reader.readCount()) {
                let stream = StreamID(Int(try reader.readZigzag()))
                blocks[stream] = try (0..<(try reader.readCount())).map { _ in
                    try decodeBlock(&reader)
                }
            }
            return .batchAllocated(time, blocks)
        case Tag.batchesCleaned:
            return .batchesCleaned(
                try (0..<(try reader.readCount())).map { _ in
                    try reader.readTime()
                })
        case Tag.blocksLost:
            return .blocksLost(
                try (0..<(try reader.readCount())).map { _ in try decodeBlock(&reader) })
        default: throw CodecError(.invalidValue, "the bytes are not a valid \(codecShape)")
        }
    }

    private static func encode(_ block: StoredBlock, to writer: inout ByteWriter) {
        guard case .input(let stream, let number) = block.id else {
            let message = "\(block.id) is not a received block"
            return writer.fail(CodecError(.encodingFailed, message))
        }
        writer.writeZigzag(Int64(stream))
        writer.writeZigzag(number)
        writer.writeZigzag(Int64(block.streamID.rawValue))
        writer.writeVarint(UInt64(max(0, block.recordCount)))
        writer.writeVarint(UInt64(max(0, block.byteCount)))
        block.metadata.encode(to: &writer)
        (block.logHandle?.place).encode(to: &writer)
    }

    private static func decodeBlock(_ reader: inout ByteReader) throws -> StoredBlock {
        let stream = Int(try reader.readZigzag())
        let number = try reader.readZigzag()
        // There are numbers above for those to come.
        guard number <= 1 << 62 else { throw CodecError(.invalidValue, "block \(number)") }
        let id = BlockID.input(stream: stream, number)
        return StoredBlock(
            id: id, streamID: StreamID(Int(try reader.readZigzag())),
            recordCount: try reader.readQuantity(),
            byteCount: try reader.readQuantity(),
            metadata: try [String: String].decode(from: &reader),
            logHandle: try String?.decode(from: &reader).map { LogRecordHandle(place: $0) })
    }
}
