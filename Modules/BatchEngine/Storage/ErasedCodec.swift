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
            let elements = try encoded.bytes.withUnsafeBytes { buffer in
                var reader = ByteReader(buffer)
                var elements: [Element] = []
                elements.reserveCapacity(encoded.count)
                while !reader.isAtEnd { elements.append(try codec.decode(&reader)) }
                return elements
            }
            return .values(Values(elements))
        }
    }
}
