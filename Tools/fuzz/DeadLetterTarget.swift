import BatchEngine
import DStreamCore
import FaultTolerance

/// What outputs leave on a disk besides their data.
enum DeadLetterTarget {
    /// The first byte says how many belong to the description, the others to the elements.
    static func feed(_ bytes: [UInt8]) {
        guard let length = bytes.first else { return }
        let entry = Array(bytes.dropFirst().prefix(Int(length)))
        let contents = Array(bytes.dropFirst(1 + entry.count))
        guard let letter = try? read(entry, contents) else { return }
        guard let written = try? DeadLetterFormat.bytes(of: letter) else { return }
        let start = DeadLetterFormat.headerByteCount
        let header = try? DeadLetterFormat.header(of: Array(written[..<start]), path: "fuzz")
        precondition(header != nil, "what was written has no header")
    }

    private static func read(_ entry: [UInt8], _ contents: [UInt8]) throws -> DeadLetter {
        let header = try DeadLetterFormat.header(of: header(entry, contents), path: "fuzz")
        let known = try DeadLetterFormat.entry(of: entry, header, path: "fuzz")
        return DeadLetter(
            id: known.id, site: known.site, reason: known.reason, attempts: known.attempts,
            contents: try DeadLetterFormat.contents(
                of: contents, header, isOutput: known.isOutput, path: "fuzz"))
    }

    /// The header that would be right.
    private static func header(_ entry: [UInt8], _ contents: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        writer.writeBytes(Array("DSDL".utf8))
        writer.writeFixed(UInt16(1))
        writer.writeFixed(UInt16(0))
        writer.writeFixed(UInt32(entry.count))
        writer.writeFixed(Checksum.crc32c(entry))
        writer.writeFixed(UInt64(contents.count))
        writer.writeFixed(Checksum.crc32c(contents))
        let checksum = Checksum.crc32c(writer.bytes)
        writer.writeFixed(checksum)
        return writer.bytes
    }

    static func seed() throws -> [UInt8] {
        let elements = DeadLetter.Elements(
            shape: "String", partitions: [EncodedValues(bytes: [1, 97], count: 1)])
        let letter = DeadLetter(
            id: DeadLetter.ID(batchTime: .seconds(1), operationID: "print #0"), site: "print",
            reason: "why", attempts: 2,
            contents: .inputs([
                DeadLetter.Input(stream: StreamID(0), name: "socket", elements: elements)
            ]))
        let bytes = try DeadLetterFormat.bytes(of: letter)
        let start = DeadLetterFormat.headerByteCount
        let header = try DeadLetterFormat.header(of: Array(bytes[..<start]), path: "seed")
        return [UInt8(clamping: header.entryByteCount)] + bytes[start...]
    }

    // MARK: Manifests

    static func feedManifest(_ bytes: [UInt8]) {
        _ = try? FileSinkManifest.read(bytes, path: "fuzz", sink: "fuzz")
        _ = try? FileSinkManifest.readRanges(bytes, path: "fuzz", sink: "fuzz")
    }

    static let manifest = FileSinkManifest(
        [CommittedFiles(batch: .seconds(1), files: [])], step: .seconds(1))
}
