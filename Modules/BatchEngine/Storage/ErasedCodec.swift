/// An element codec with its type forgotten: turns partition contents into bytes and back.
public struct ErasedCodec: Sendable {
    /// The shape name of the element type, for fingerprints and messages.
    public let shape: String
    /// Encodes pieces of a partition into one run of bytes.
    public let encode: @Sendable ([PartitionData]) throws -> EncodedValues
    /// Decodes what `encode` made into elements in memory.
    public let decode: @Sendable (EncodedValues) throws -> PartitionData

    /// Erases `codec`.
    @inlinable
    public init<Element: Sendable>(_ codec: Codec<Element>) {
        shape = codec.shape
        encode = { pieces in
            if Element.self == String.self, let encoded = LineBlock.encoded(pieces) {
                return encoded
            }
            var writer = ByteWriter()
            var count = 0
            let context = TaskContext(partition: 0)
            try Pipe<Element>.source(OperatorSite("encode", file: "", line: 0)).run(
                context, pieces
            ) { element in
                codec.encode(element, &writer)
                count += 1
            }
            if let failure = writer.failure { throw failure }
            return EncodedValues(bytes: writer.bytes, count: count)
        }
        decode = { encoded in
            var elements: [Element] = []
            elements.reserveCapacity(encoded.plausibleCount)
            try encoded.forEach { elements.append(try codec.decode(&$0)) }
            return .values(Values(elements))
        }
    }
}

extension LineBlock {
    /// The lines of blocks as strings are encoded, without strings being made; nil where a piece is
    /// something else.
    @usableFromInline
    static func encoded(_ pieces: [PartitionData]) -> EncodedValues? {
        var blocks: [LineBlock] = []
        for piece in pieces {
            guard case .lines(let block) = piece else { return nil }
            blocks.append(block)
        }
        let lineCount = blocks.reduce(0) { $0 + $1.count }
        // Most lines are short enough for a length of one byte, the place of the line's end.
        var writer = ByteWriter(
            reservingCapacity: blocks.reduce(lineCount / 8) { $0 + $1.byteCount })
        for block in blocks {
            block.forEachLineBytes { line in
                writer.writeVarint(UInt64(line.count))
                writer.writeBytes(UnsafeRawBufferPointer(line))
            }
        }
        return EncodedValues(bytes: writer.bytes, count: lineCount)
    }
}
