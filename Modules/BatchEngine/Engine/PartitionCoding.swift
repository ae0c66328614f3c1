/// The inputs and outputs of tasks as bytes, for engines whose tasks run in other processes.
///
/// The layout is in `Docs/Formats/WorkerProtocol.md`. Elements stay in the form that their codec
/// wrote, and text stays text: whoever reads them decodes them lazily.
package enum PartitionCoding {
    /// A piece in the form in which it travels.
    package enum Piece: Sendable {
        case encoded(EncodedValues)
        case lines(LineBlock)
        indirect case branch(Int, [Piece])

        /// The most bytes that it is written as.
        fileprivate var byteMaximum: Int {
            switch self {
            case .encoded(let encoded): 21 + encoded.bytes.count
            case .lines(let lines): 11 + lines.byteCount
            case .branch(_, let inner): 11 + PartitionCoding.byteMaximum(of: inner)
            }
        }
    }

    private enum Tag: UInt8 { case encoded, lines, branch }

    /// Brings pieces into the form in which they travel.
    ///
    /// Pipes made in a per-batch body run here, as only this process has them.
    ///
    /// - Throws: ``EngineError`` `.codecMissing` for elements without codec; what such a pipe throws.
    package static func pieces(
        _ pieces: [PartitionData], _ context: TaskContext
    ) throws -> [Piece] {
        try pieces.map { try piece($0, context) }
    }

    private static func piece(_ piece: PartitionData, _ context: TaskContext) throws -> Piece {
        switch piece {
        case .values(let values): return .encoded(try values.encoded())
        case .encoded(let encoded): return .encoded(encoded)
        case .lines(let block): return .lines(block)
        case .branch(let index, let inner): return .branch(index, try pieces(inner, context))
        case .dynamic(let pipe, let inner):
            guard let pipe = pipe as? any ErasedPipe else {
                throw EngineError(.invalidPlan, "a per-batch pipe is \(type(of: pipe))")
            }
            if pipe.isPlain { return .branch(0, try pieces(inner, context)) }
            return try self.piece(try pipe.elements(context, inner), context)
        case .block(let id): throw EngineError(.blockMissing, "block \(id) was not resolved")
        }
    }

    /// The most bytes that pieces are written as.
    package static func byteMaximum(of pieces: [Piece]) -> Int {
        pieces.reduce(10) { $0 + $1.byteMaximum }
    }

    /// Appends pieces, each with what it holds.
    package static func write(_ pieces: [Piece], to writer: inout ByteWriter) {
        writer.writeVarint(UInt64(pieces.count))
        for piece in pieces {
            switch piece {
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
                write(inner, to: &writer)
            }
        }
    }

    private static func write(_ encoded: EncodedValues, to writer: inout ByteWriter) {
        writer.writeByte(Tag.encoded.rawValue)
        encoded.write(to: &writer)
    }

    /// Reads what ``write(_:to:)`` wrote.
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
        case .encoded: return .encoded(try EncodedValues(from: &reader))
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
}

extension EncodedValues {
    package func write(to writer: inout ByteWriter) {
        writer.writeVarint(UInt64(count))
        writer.writeVarint(UInt64(bytes.count))
        writer.writeBytes(bytes)
    }

    /// Reads what ``write(to:)`` wrote.
    package init(from reader: inout ByteReader) throws(CodecError) {
        let count = try reader.readQuantity()
        self.init(bytes: Array(try reader.readBytes(count: try reader.readCount())), count: count)
    }
}

/// A pipe made in a per-batch body, of elements whose type is not known here.
package protocol ErasedPipe: AnyObject, Sendable {
    /// Whether it gives what it is given: nothing of the body has to run.
    var isPlain: Bool { get }
    /// The operator that it was made for; nil: no body of the user's.
    var site: OperatorSite? { get }
    /// Runs the pipe as part of the task that a context describes.
    func elements(_ context: TaskContext, _ inputs: [PartitionData]) throws -> PartitionData
}

extension PipeBox: ErasedPipe {
    package var isPlain: Bool { pipe.isPlain }

    package func elements(
        _ context: TaskContext, _ inputs: [PartitionData]
    ) throws -> PartitionData {
        try TaskContext.$current.withValue(context) {
            .values(Values(try pipe.gathered(context, inputs)))
        }
    }
}
