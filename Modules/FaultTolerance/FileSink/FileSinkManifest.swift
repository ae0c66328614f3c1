internal import BatchEngine
public import DStreamCore

/// A batch that a ``FileSink`` has committed.
public struct CommittedFiles: Sendable, Hashable {
    /// A file of a batch.
    public struct File: Sendable, Hashable {
        /// Its path, under the sink's directory.
        public let path: String
        /// The partition it holds.
        public let partition: Int
        /// Its length in bytes.
        public let byteCount: Int
        /// How many elements it holds.
        public let elementCount: Int
        /// The CRC-32C of its bytes.
        public let checksum: UInt32
    }

    /// The batch time.
    public let batch: BatchTime
    /// The batch's files in the order of their partitions; partitions without elements have none.
    public let files: [File]

    package init(batch: BatchTime, files: [File]) {
        self.batch = batch
        self.files = files
    }
}

/// The text of a manifest file: see Docs/Formats/FileSink.md.
package struct FileSinkManifest: Sendable, Hashable {
    static let version = 1

    /// The batches, in the order in which they were committed.
    package var batches: [CommittedFiles]
    /// The time between the batches of the output that wrote it.
    package var step: Duration

    package init(_ batches: [CommittedFiles], step: Duration) {
        self.batches = batches
        self.step = step
    }

    /// The batch times as ranges.
    package var ranges: [CommittedBatches.Range] {
        CommittedBatches(
            batches.map { CommittedBatches.Range($0.batch, through: $0.batch, step: step) }
        ).ranges
    }

    // MARK: Writing

    /// The file's bytes.
    package var bytes: [UInt8] {
        var text = "dstream-manifest \(Self.version)\nranges"
        for range in ranges {
            text +=
                " \(range.first.milliseconds):\(range.last.milliseconds)"
                + ":\(range.step.milliseconds)"
        }
        text += "\n"
        text += "head \(Self.hexadecimal(Checksum.crc32c(Array(text.utf8))))\n"
        for batch in batches {
            text += "batch \(batch.batch.milliseconds)\n"
            for file in batch.files {
                text +=
                    "file \(file.partition) \(file.byteCount) \(file.elementCount) "
                    + "\(Self.hexadecimal(file.checksum)) \(file.path)\n"
            }
        }
        let bytes = Array(text.utf8)
        return bytes + Array("end \(Self.hexadecimal(Checksum.crc32c(bytes)))\n".utf8)
    }

    private static func hexadecimal(_ number: UInt32) -> String { number.padded(to: 8, radix: 16) }

    // MARK: Reading

    /// Reads a whole file.
    ///
    /// - Throws: ``SinkError`` `.damaged` or `.unsupported`, naming the path.
    package static func read(_ bytes: [UInt8], path: String, sink: String) throws
        -> [CommittedFiles]
    {
        var lines = Lines(bytes, path: path, sink: sink)
        _ = try lines.head()
        var batches: [CommittedFiles] = []
        while true {
            let start = lines.position
            let fields = try lines.next()
            switch (fields.first, fields.count) {
            case ("batch", 2):
                batches.append(
                    CommittedFiles(batch: try lines.time(fields[1]), files: []))
            case ("file", 6):
                guard let last = batches.popLast(), let partition = Int(fields[1]),
                    let byteCount = Int(fields[2]), let elementCount = Int(fields[3]),
                    let checksum = UInt32(fields[4], radix: 16)
                else { throw lines.damaged("a line of a file that says nothing") }
                let file = CommittedFiles.File(
                    path: fields[5], partition: partition, byteCount: byteCount,
                    elementCount: elementCount, checksum: checksum)
                batches.append(CommittedFiles(batch: last.batch, files: last.files + [file]))
            case ("end", 2):
                try lines.check(fields[1], upTo: start)
                guard lines.position == bytes.count else {
                    throw lines.damaged("something after its end")
                }
                return batches
            default: throw lines.damaged("the unknown line \"\(fields.joined(separator: " "))\"")
            }
        }
    }

    /// Reads which batches a file is of, from its beginning.
    package static func readRanges(
        _ bytes: [UInt8], path: String, sink: String
    ) throws -> [CommittedBatches.Range] {
        var lines = Lines(bytes, path: path, sink: sink)
        return try lines.head()
    }

    /// Takes a text apart line by line.
    private struct Lines {
        let bytes: [UInt8]
        let path: String
        let sink: String
        var position = 0

        init(_ bytes: [UInt8], path: String, sink: String) {
            self.bytes = bytes
            self.path = path
            self.sink = sink
        }

        func damaged(_ what: String) -> SinkError {
            SinkError(
                .damaged, sink: sink,
                "\(path) has \(what) before byte \(position); restore the file, nothing was changed"
            )
        }

        /// The words of the next line.
        mutating func next() throws -> [String] {
            let rest = bytes[position...]
            guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else {
                throw damaged("no complete line")
            }
            let line = String(decoding: rest[..<end], as: UTF8.self)
            position = end + 1
            return line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        }

        /// The lines before the first batch.
        mutating func head() throws -> [CommittedBatches.Range] {
            let title = try next()
            guard title.count == 2, title[0] == "dstream-manifest", let version = Int(title[1])
            else { throw damaged("no title") }
            guard version <= FileSinkManifest.version else {
                throw SinkError(
                    .unsupported, sink: sink,
                    "\(path) has format version \(version), and this program reads up to "
                        + "\(FileSinkManifest.version); use a newer one")
            }
            let fields = try next()
            guard fields.first == "ranges" else { throw damaged("no ranges") }
            let ranges = try fields.dropFirst().map { try range($0) }
            let start = position
            let head = try next()
            guard head.count == 2, head[0] == "head" else { throw damaged("no head") }
            try check(head[1], upTo: start)
            return ranges
        }

        func range(_ text: String) throws -> CommittedBatches.Range {
            let parts = text.split(separator: ":").map(String.init)
            guard parts.count == 3, let step = Int64(parts[2]) else {
                throw damaged("the range \"\(text)\"")
            }
            return CommittedBatches.Range(
                try time(parts[0]), through: try time(parts[1]), step: .milliseconds(step))
        }

        func time(_ text: String) throws -> BatchTime {
            guard let milliseconds = Int64(text) else { throw damaged("the time \"\(text)\"") }
            return BatchTime(milliseconds: milliseconds)
        }

        func check(_ text: String, upTo end: Int) throws {
            guard UInt32(text, radix: 16) == Checksum.crc32c(Array(bytes[..<end])) else {
                throw damaged("a checksum that is not that of its bytes")
            }
        }
    }
}
