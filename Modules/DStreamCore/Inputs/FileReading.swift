internal import BatchEngine

/// Reads the files of a partition, piece by piece.
enum FileReading {
    /// How many bytes are read at once.
    static let chunkBytes = 256 << 10
    /// Names of files that are not plain, as far as they can be known by that.
    private static let compressed = [".gz", ".bz2", ".deflate", ".snappy", ".lz4", ".zst"]

    /// Lines of text: `\n`, `\r\n` and `\r` end one; bytes that are no UTF-8 are repaired.
    static func lines(_ site: OperatorSite) -> Pipe<String> {
        pipe(site) { context, file, end, sink in
            var splitter = LineSplitter(maxLineBytes: .max)
            var offset = try textStart(file)
            while true {
                try context.checkCancellation()
                let count = try splitter.append(atLeast: chunkBytes) { room throws(SystemError) in
                    try file.read(
                        at: offset,
                        into: UnsafeMutableRawBufferPointer(
                            rebasing: room[..<chunk(at: offset, through: end)]))
                }
                offset += count
                let isEnd = count < chunkBytes
                try (isEnd ? splitter.finish() : splitter.cut())?.forEachLine(sink)
                if isEnd { return }
            }
        }
    }

    /// Lines of text, each behind the number of the byte where it begins.
    static func offsetLines(_ site: OperatorSite) -> Pipe<(Int, String)> {
        pipe(site) { context, file, end, sink in
            var lines = OffsetLines(isMarked: try textStart(file) > 0)
            var offset = lines.first
            while true {
                try context.checkCancellation()
                let bytes = try file.read(
                    at: offset, count: chunk(at: offset, through: end))
                offset += bytes.count
                try lines.feed(bytes, sink)
                if bytes.count < chunkBytes { break }
            }
            try lines.finish(sink)
        }
    }

    /// Records of equal length.
    static func records(of length: Int, _ site: OperatorSite) -> Pipe<[UInt8]> {
        pipe(site) { context, file, end, sink in
            let size = min(try file.byteCount(), end)
            guard size % length == 0 else {
                throw StreamError(
                    .fileUnreadable,
                    "\(file.path) has \(size) bytes, which is no multiple of the record length "
                        + "\(length)", site: site)
            }
            if size == 0 { return }
            let chunk = max(length, chunkBytes / length * length)
            var offset = 0
            while true {
                try context.checkCancellation()
                let bytes = try file.read(at: offset, count: min(chunk, size - offset))
                offset += bytes.count
                for start in stride(from: 0, to: bytes.count - bytes.count % length, by: length) {
                    try sink(Array(bytes[start..<start + length]))
                }
                if bytes.count < chunk { return }
            }
        }
    }

    /// Opens each file and says which one it was when the system fails to read it.
    private static func pipe<Element: Sendable>(
        _ site: OperatorSite,
        _ read:
            @escaping @Sendable (
                TaskContext, OpenFile, _ end: Int, (Element) throws -> Void
            ) throws -> Void
    ) -> Pipe<Element> {
        Pipe { context, inputs, sink in
            for input in inputs {
                guard let slice = try FileSlice.slice(input) else {
                    throw EngineError(.invalidPlan, "a partition is no file", site: site)
                }
                if let end = compressed.first(where: { slice.path.hasSuffix($0) }) {
                    throw StreamError(
                        .fileUnreadable,
                        "\(slice.path) cannot be read: \(end) files are compressed; unpack them "
                            + "before they are moved into the directory", site: site)
                }
                let special = StreamError(
                    .fileUnreadable,
                    "\(slice.path) cannot be read: it is a pipe, a socket or a device", site: site)
                do {
                    // Opening some devices has effects.
                    if try FileSystem.status(slice.path)?.isSpecial == true { throw special }
                    let file = try OpenFile(slice.path, .read)
                    // Something else may have taken the name since.
                    let status = try file.status()
                    if status.isSpecial { throw special }
                    if let problem = slice.problem(with: status) {
                        throw StreamError(
                            .fileUnreadable, "\(slice.path) cannot be read: \(problem)",
                            site: site)
                    }
                    try read(context, file, slice.end, sink)
                } catch let error as SystemError where error.subject == slice.path {
                    // Of this file: what an output could not write has another subject.
                    throw StreamError(
                        .fileUnreadable, "\(slice.path) cannot be read", site: site,
                        underlying: error)
                }
            }
        }
    }

    /// How many bytes are read at once, of a file that is read up to `end`.
    private static func chunk(at offset: Int, through end: Int) -> Int {
        max(0, min(chunkBytes, end - offset))
    }

    /// Where the text begins: behind the mark that some programs put in front of UTF-8.
    private static func textStart(_ file: OpenFile) throws -> Int {
        try file.read(at: 0, count: 3) == [0xEF, 0xBB, 0xBF] ? 3 : 0
    }
}

/// Finds lines and where they begin, however the bytes are divided into chunks.
struct OffsetLines {
    /// Where the first byte to be fed lies.
    let first: Int
    private var lineStart = 0
    private var next: Int
    private var tail: [UInt8] = []
    private var isAfterCarriageReturn = false

    /// Starts a file.
    ///
    /// - Parameter isMarked: whether three bytes in front of the text belong to the first line
    ///   without being read.
    init(isMarked: Bool) {
        first = isMarked ? 3 : 0
        next = first
    }

    /// Hands on the lines that end in the bytes.
    mutating func feed(_ bytes: [UInt8], _ sink: ((Int, String)) throws -> Void) throws {
        var start = 0
        for (index, byte) in bytes.enumerated() where byte == 0x0A || byte == 0x0D {
            if byte == 0x0A, isAfterCarriageReturn, index == start, tail.isEmpty {
                // The second byte of a line's end.
                lineStart = next + index + 1
            } else {
                try end(bytes[start..<index], sink)
                lineStart = next + index + 1
            }
            start = index + 1
            isAfterCarriageReturn = byte == 0x0D
        }
        if start < bytes.count {
            tail += bytes[start...]
            isAfterCarriageReturn = false
        }
        next += bytes.count
    }

    /// Hands on the last line when nothing ended it.
    mutating func finish(_ sink: ((Int, String)) throws -> Void) throws {
        if !tail.isEmpty { try end([], sink) }
    }

    private mutating func end(
        _ bytes: ArraySlice<UInt8>, _ sink: ((Int, String)) throws -> Void
    ) throws {
        if tail.isEmpty {
            try sink((lineStart, String(decoding: bytes, as: UTF8.self)))
        } else {
            tail += bytes
            try sink((lineStart, String(decoding: tail, as: UTF8.self)))
            tail.removeAll(keepingCapacity: true)
        }
    }
}
