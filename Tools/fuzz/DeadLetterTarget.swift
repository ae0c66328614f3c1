import BatchEngine
import DStreamCore
import FaultTolerance

/// What outputs leave on a disk besides their data.
enum DeadLetterTarget {
    /// The first byte says how many belong to the description, the others to the elements.
    static func feed(_ bytes: [UInt8]) -> Bool {
        guard let length = bytes.first else { return false }
        let entry = Array(bytes.dropFirst().prefix(Int(length)))
        let contents = Array(bytes.dropFirst(1 + entry.count))
        guard let letter = try? read(entry, contents) else { return false }
        guard let written = try? DeadLetterFormat.bytes(of: letter) else { return true }
        let start = DeadLetterFormat.headerByteCount
        let header = try? DeadLetterFormat.header(of: Array(written[..<start]), path: "fuzz")
        precondition(header != nil, "what was written has no header")
        return true
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
        var header = Array(((try? sample()) ?? []).prefix(DeadLetterFormat.headerByteCount))
        header.mend(from: 8, UInt32(entry.count))
        header.mend(from: 12, Checksum.crc32c(entry))
        header.mend(from: 16, UInt32(contents.count))
        header.mend(from: 20, 0)
        header.mend(from: 24, Checksum.crc32c(contents))
        header.mend(from: 28, Checksum.crc32c(Array(header[..<28])))
        return header
    }

    private static func sample() throws -> [UInt8] {
        let elements = DeadLetter.Elements(
            shape: "String", partitions: [EncodedValues(bytes: [1, 97], count: 1)])
        let letter = DeadLetter(
            id: DeadLetter.ID(batchTime: .seconds(1), operationID: "print #0"), site: "print",
            reason: "why", attempts: 2,
            contents: .inputs([
                DeadLetter.Input(stream: StreamID(0), name: "socket", elements: elements)
            ]))
        return try DeadLetterFormat.bytes(of: letter)
    }

    static func seed() throws -> [UInt8] {
        let bytes = try sample()
        let start = DeadLetterFormat.headerByteCount
        let header = try DeadLetterFormat.header(of: Array(bytes[..<start]), path: "seed")
        return [UInt8(clamping: header.entryByteCount)] + bytes[start...]
    }

    // MARK: Manifests

    static func feedManifest(_ bytes: [UInt8]) -> Bool {
        let isWhole = (try? FileSinkManifest.read(bytes, path: "fuzz", sink: "fuzz")) != nil
        let hasRanges = (try? FileSinkManifest.readRanges(bytes, path: "fuzz", sink: "fuzz")) != nil
        return isWhole && hasRanges
    }

    static let manifest = FileSinkManifest(
        [CommittedFiles(batch: .seconds(1), files: [])], step: .seconds(1))
}
