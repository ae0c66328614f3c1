/// The inputs and outputs of tasks as bytes, for engines whose tasks run in other processes.
///
/// The layout is in `Docs/Formats/WorkerProtocol.md`. Elements stay in the form that their codec
/// wrote, and text stays text: whoever reads them decodes them lazily.
package enum PartitionCoding {
    private enum Tag: UInt8 { case encoded, lines, branch }

    /// Appends pieces, each with what it holds.
    ///
    /// Pipes made in a per-batch body run here, as only this process has them.
    ///
    /// - Throws: ``EngineError`` `.codecMissing` for elements without codec; what such a pipe throws.
    package static func write(
        _ pieces: [PartitionData], _ context: TaskContext, to writer: inout ByteWriter
    ) throws {
        writer.writeVarint(UInt64(pieces.count))
        for piece in pieces { try write(piece, context, to: &writer) }
    }

    private static func write(
        _ piece: PartitionData, _ context: TaskContext, to writer: inout ByteWriter
    ) throws {
        switch piece {
        case .values(let values): write(try values.encoded(), to: &writer)
        case .encoded(let encoded): write(encoded, to: &writer)
        case .lines(let block):
            writer.writeByte(Tag.lines.rawValue)
            block.withUnsafeBytes { bytes in
                writer.writeVarint(UInt64(bytes.count))
                writer.writeBytes(bytes)
            }
        case .branch(let index, let inner):
            writer.writeByte(Tag.branch.rawValue)
            writer.writeZigzag(Int64(index))
            try write(inner, context, to: &writer)
        case .dynamic(let pipe, let inner):
            guard let pipe = pipe as? any ErasedPipe else {
                throw EngineError(.invalidPlan, "a per-batch pipe is \(type(of: pipe))")
            }
            if pipe.isPlain { return try write(.branch(0, inner), context, to: &writer) }
            try write(try pipe.elements(context, inner), context, to: &writer)
        case .block(let id): throw EngineError(.blockMissing, "block \(id) was not resolved")
        }
    }

    private static func write(_ encoded: EncodedValues, to writer: inout ByteWriter) {
        writer.writeByte(Tag.encoded.rawValue)
        writer.writeVarint(UInt64(encoded.count))
        writer.writeVarint(UInt64(encoded.bytes.count))
        writer.writeBytes(encoded.bytes)
    }

    /// Reads what ``write(_:_:to:)`` wrote.
    ///
    /// - Throws: ``CodecError`` for bytes that are nothing of the kind.
    package static func read(from reader: inout ByteReader) throws -> [PartitionData] {
        let count = try reader.readCount()
        var pieces: [PartitionData] = []
        try reader.nested { reader in
            for _ in 0..<count { pieces.append(try readPiece(from: &reader)) }
        }
        return pieces
    }

    private static func readPiece(from reader: inout ByteReader) throws -> PartitionData {
        switch Tag(rawValue: try reader.readByte()) {
        case .encoded: return .encoded(try readValues(from: &reader))
        case .lines:
            let bytes = try reader.readBytes(count: try reader.readCount())
            guard let block = LineBlock(bytes: bytes) else { throw CodecError.invalid("text") }
            return .lines(block)
        case .branch:
            let index = Int(try reader.readZigzag())
            return .branch(index, try read(from: &reader))
        case nil: throw CodecError.invalid("piece of a partition")
        }
    }

    private static func readValues(from reader: inout ByteReader) throws -> EncodedValues {
        let count = try reader.readVarint()
        guard let count = Int(exactly: count) else { throw CodecError.invalid("count") }
        let bytes = try reader.readBytes(count: try reader.readCount())
        return EncodedValues(bytes: Array(bytes), count: count)
    }
}

/// A pipe made in a per-batch body, of elements whose type is not known here.
package protocol ErasedPipe: AnyObject, Sendable {
    /// Whether it gives what it is given: nothing of the body has to run.
    var isPlain: Bool { get }
    /// The operator that it was made for; nil: no body of the user's.
    var site: OperatorSite? { get }
    /// Runs the pipe.
    func elements(_ context: TaskContext, _ inputs: [PartitionData]) throws -> PartitionData
}

extension PipeBox: ErasedPipe {
    package var isPlain: Bool { pipe.isPlain }

    package func elements(
        _ context: TaskContext, _ inputs: [PartitionData]
    ) throws -> PartitionData {
        .values(Values(try pipe.gathered(context, inputs)))
    }
}
