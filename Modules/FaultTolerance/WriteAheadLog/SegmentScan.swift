/// Finds where the records of a log's last segment end, which nothing else says.
///
/// Reads the file once, a window at a time; memory is the window's, whatever a damaged length says.
struct SegmentScan {
    private let file: any StorageFile
    private let path: String
    private let sequence: UInt64
    private let byteCount: Int
    private let windowByteCount: Int
    private var window: [UInt8] = []
    private var windowOffset = 0

    init(
        _ file: any StorageFile, path: String, sequence: UInt64, byteCount: Int,
        windowByteCount: Int = 1 << 20
    ) {
        self.file = file
        self.path = path
        self.sequence = sequence
        self.byteCount = byteCount
        self.windowByteCount = max(windowByteCount, RecordFrame.byteCount)
    }

    struct Outcome: Hashable {
        /// Where the last record ends.
        var end: Int
        /// Where what is whole ends: marks may follow the last record.
        var intactEnd: Int
        /// Whether the last record is known to have been flushed.
        var isProven = false
        /// Whether the segment was closed in order; nothing is cut then.
        var isClosed = false
    }

    /// Where the records end.
    ///
    /// What follows was never acknowledged: a group of records is written only once the one before
    /// it is durable, so if a broken frame is followed by one of a later group, it was durable.
    ///
    /// - Throws: `LogError` `.damaged` then, or what the medium throws.
    mutating func end() throws -> Outcome {
        var offset = SegmentHeader.byteCount
        var outcome = Outcome(end: offset, intactEnd: offset)
        while offset < byteCount {
            guard let frame = try frame(at: offset), try isIntact(frame) else { break }
            offset = frame.end
            outcome.intactEnd = offset
            outcome.isProven = frame.kind != .record
            switch frame.kind {
            case .record: outcome.end = offset
            case .durable: break
            case .end:
                guard offset == byteCount else {
                    throw LogError.damaged(
                        path, at: offset, expected: "the end of a closed segment",
                        found: "\(byteCount - offset) more bytes")
                }
                outcome.isClosed = true
            }
        }
        if offset < byteCount, let later = try laterGroup(after: offset) {
            throw LogError.damaged(
                path, at: offset, expected: "a whole record",
                found: "bytes with a wrong checksum or length, before the records flushed later at"
                    + " byte \(later)")
        }
        return outcome
    }

    /// The start of a frame that belongs to a group that begins after `offset`.
    private mutating func laterGroup(after offset: Int) throws -> Int? {
        var place = offset + 1
        while place + RecordFrame.byteCount <= byteCount {
            if let frame = try frame(at: place), frame.groupStart > offset { return place }
            place += 1
        }
        return nil
    }

    private mutating func frame(at offset: Int) throws -> RecordFrame? {
        guard offset + RecordFrame.byteCount <= byteCount else { return nil }
        try load(offset, RecordFrame.byteCount)
        return window.withUnsafeBytes { bytes in
            let start = offset - windowOffset
            guard start + RecordFrame.byteCount <= bytes.count else { return nil }
            return RecordFrame.read(
                UnsafeRawBufferPointer(rebasing: bytes[start..<(start + RecordFrame.byteCount)]),
                at: offset, sequence: sequence, limit: byteCount)
        }
    }

    private mutating func isIntact(_ frame: RecordFrame) throws -> Bool {
        var checksum: UInt32 = 0
        var offset = frame.recordOffset
        while offset < frame.end {
            try load(offset, 1)
            let count = min(frame.end - offset, windowOffset + window.count - offset)
            guard count > 0 else { return false }
            checksum = window.withUnsafeBytes { bytes in
                let start = offset - windowOffset
                return Checksum.crc32c(
                    UnsafeRawBufferPointer(rebasing: bytes[start..<(start + count)]),
                    after: checksum)
            }
            offset += count
        }
        return checksum == frame.recordChecksum
    }

    /// Moves the window, unless it has these bytes.
    private mutating func load(_ offset: Int, _ count: Int) throws {
        if offset >= windowOffset, offset + count <= windowOffset + window.count { return }
        window = try file.read(at: offset, count: min(windowByteCount, byteCount - offset))
        windowOffset = offset
    }
}
