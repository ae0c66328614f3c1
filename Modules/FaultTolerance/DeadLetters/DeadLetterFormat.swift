internal import BatchEngine
package import DStreamCore

/// The bytes of a dead letter's file; see Docs/Formats/DeadLetter.md.
///
/// What describes the letter comes before its elements and has a checksum of its own, so that many
/// letters are listed without reading their elements.
package enum DeadLetterFormat {
    /// The version that is written; older ones are read.
    static let version: UInt16 = 2
    package static let headerByteCount = 32
    private static let magic: [UInt8] = Array("DSDL".utf8)

    /// The fixed part at the beginning of a file.
    package struct Header: Sendable, Hashable {
        var version: UInt16
        package var entryByteCount: Int
        var entryChecksum: UInt32
        package var contentsByteCount: UInt64
        var contentsChecksum: UInt32
    }

    // MARK: Writing

    package static func bytes(of letter: DeadLetter) throws -> [UInt8] {
        let (entry, contents) = (try bytes(of: letter.entry), try bytes(of: letter.contents))
        var header = ByteWriter(reservingCapacity: headerByteCount)
        header.writeBytes(magic)
        header.writeFixed(version)
        header.writeFixed(UInt16(0))
        header.writeFixed(UInt32(entry.count))
        header.writeFixed(Checksum.crc32c(entry))
        header.writeFixed(UInt64(contents.count))
        header.writeFixed(Checksum.crc32c(contents))
        header.writeFixed(Checksum.crc32c(header.bytes))
        return try header.takeBytes() + entry + contents
    }

    private static func bytes(of entry: DeadLetter.Entry) throws -> [UInt8] {
        var writer = ByteWriter()
        writer.writeZigzag(entry.id.batchTime.milliseconds)
        writer.writeString(entry.id.operationID)
        writer.writeString(entry.site)
        writer.writeString(entry.reason)
        writer.writeVarint(UInt64(clamping: entry.attempts))
        writer.writeByte(entry.isOutput ? 1 : 0)
        writer.writeVarint(UInt64(clamping: entry.elementCount))
        writer.writeVarint(UInt64(clamping: entry.unreadCount))
        return try writer.takeBytes()
    }

    private static func bytes(of contents: DeadLetter.Contents) throws -> [UInt8] {
        var writer = ByteWriter()
        switch contents {
        case .output(let elements): write(elements, &writer)
        case .inputs(let inputs):
            writer.writeVarint(UInt64(inputs.count))
            for input in inputs {
                writer.writeVarint(UInt64(clamping: input.stream.rawValue))
                writer.writeString(input.name)
                writer.writeByte(input.problem == nil ? 0 : 1)
                if let problem = input.problem { writer.writeString(problem) }
                writer.writeByte(input.elements == nil ? 0 : 1)
                if let elements = input.elements { write(elements, &writer) }
                writer.writeVarint(UInt64(input.unread.count))
                for part in input.unread {
                    writer.writeString(part.name)
                    writer.writeString(part.reason)
                    part.part.write(to: &writer)
                }
            }
        }
        return try writer.takeBytes()
    }

    private static func write(_ elements: DeadLetter.Elements, _ writer: inout ByteWriter) {
        writer.writeString(elements.shape)
        writer.writeVarint(UInt64(elements.partitions.count))
        for values in elements.partitions {
            values.write(to: &writer)
        }
    }

    // MARK: Reading

    /// Reads the fixed part.
    ///
    /// - Throws: ``DeadLetterError`` naming the path.
    package static func header(of bytes: [UInt8], path: String) throws -> Header {
        guard bytes.count >= headerByteCount, bytes.starts(with: magic) else {
            throw DeadLetterError(.damaged, "\(path) does not begin as a dead letter does")
        }
        return try bytes.withUnsafeBytes { buffer in
            let checksum = Checksum.crc32c(
                UnsafeRawBufferPointer(rebasing: buffer[..<(headerByteCount - 4)]))
            guard buffer.number(at: headerByteCount - 4, UInt32.self) == checksum else {
                throw DeadLetterError(.damaged, "\(path): the checksum of its header is wrong")
            }
            // After the checksum: a version that is wrong by a bit is no newer one.
            let found = buffer.number(at: 4, UInt16.self)
            guard found <= version else {
                throw DeadLetterError(
                    .unsupported,
                    "\(path): written in format version \(found); this program reads up to "
                        + "\(version): run a newer one")
            }
            return Header(
                version: found, entryByteCount: Int(buffer.number(at: 8, UInt32.self)),
                entryChecksum: buffer.number(at: 12, UInt32.self),
                contentsByteCount: buffer.number(at: 16, UInt64.self),
                contentsChecksum: buffer.number(at: 24, UInt32.self))
        }
    }

    /// Reads the description that follows the header.
    package static func entry(
        of bytes: [UInt8], _ header: Header, path: String
    ) throws -> DeadLetter.Entry {
        guard bytes.count == header.entryByteCount,
            Checksum.crc32c(bytes) == header.entryChecksum
        else { throw DeadLetterError(.damaged, "\(path): the checksum of its entry is wrong") }
        return try decoded(bytes, path) { reader in
            let time = try reader.readTime()
            let id = DeadLetter.ID(batchTime: time, operationID: try reader.readString())
            return DeadLetter.Entry(
                id: id, site: try reader.readString(), reason: try reader.readString(),
                attempts: Int(clamping: try reader.readVarint()),
                isOutput: try reader.readByte() == 1,
                elementCount: try reader.readQuantity(),
                unreadCount: header.version < 2 ? 0 : try reader.readQuantity())
        }
    }

    /// Reads the elements that follow the description.
    package static func contents(
        of bytes: [UInt8], _ header: Header, isOutput: Bool, path: String
    ) throws -> DeadLetter.Contents {
        guard UInt64(bytes.count) == header.contentsByteCount,
            Checksum.crc32c(bytes) == header.contentsChecksum
        else { throw DeadLetterError(.damaged, "\(path): the checksum of its elements is wrong") }
        return try decoded(bytes, path) { reader in
            if isOutput { return .output(try elements(&reader)) }
            let inputs = try (0..<(try reader.readCount())).map { _ in
                let stream = StreamID(Int(clamping: try reader.readVarint()))
                let name = try reader.readString()
                let problem = try reader.readByte() == 1 ? try reader.readString() : nil
                let elements = try reader.readByte() == 1 ? try elements(&reader) : nil
                return DeadLetter.Input(
                    stream: stream, name: name, elements: elements, problem: problem,
                    unread: header.version < 2 ? [] : try unreadParts(&reader))
            }
            return .inputs(inputs)
        }
    }

    private static func elements(_ reader: inout ByteReader) throws -> DeadLetter.Elements {
        let shape = try reader.readString()
        let partitions = try (0..<(try reader.readCount())).map { _ in
            try EncodedValues(from: &reader)
        }
        return DeadLetter.Elements(shape: shape, partitions: partitions)
    }

    private static func unreadParts(
        _ reader: inout ByteReader
    ) throws -> [DeadLetter.UnreadPart] {
        try (0..<(try reader.readCount())).map { _ in
            DeadLetter.UnreadPart(
                name: try reader.readString(), reason: try reader.readString(),
                part: try EncodedValues(from: &reader))
        }
    }

    private static func decoded<Value>(
        _ bytes: [UInt8], _ path: String, _ read: (inout ByteReader) throws -> Value
    ) throws -> Value {
        do {
            return try bytes.withUnsafeBytes { buffer in
                var reader = ByteReader(buffer)
                let value = try read(&reader)
                try reader.requireEnd(of: "dead letter")
                return value
            }
        } catch let error as CodecError {
            throw DeadLetterError(.damaged, "\(path): \(error)")
        }
    }
}
