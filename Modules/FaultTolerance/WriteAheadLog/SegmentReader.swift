public import DStreamCore

/// A record with its place and time.
public struct LogRecord: Sendable, Hashable {
    /// Where the record lies, for `read`.
    public let handle: LogRecordHandle
    /// The time it was written with.
    public let time: BatchTime
    /// The record.
    public let bytes: [UInt8]
}

/// Reads segments from their first record to their known ends, and checks every byte.
struct SegmentReader: Sendable {
    private let medium: any StorageMedium
    private let directory: String
    private let isLive: @Sendable (Segment) -> Bool
    private var rest: ArraySlice<Segment>
    private var file: (any StorageFile)?
    private var offset = SegmentHeader.byteCount

    /// - Parameter isLive: whether a segment whose file is gone should still be there.
    init(
        _ segments: [Segment], in directory: String, of medium: any StorageMedium,
        isLive: @escaping @Sendable (Segment) -> Bool
    ) {
        rest = segments[...]
        self.directory = directory
        self.medium = medium
        self.isLive = isLive
    }

    /// Reads one segment from a record on.
    init(
        _ segment: Segment, from offset: Int, in directory: String, of medium: any StorageMedium,
        isLive: @escaping @Sendable (Segment) -> Bool
    ) {
        self.init([segment], in: directory, of: medium, isLive: isLive)
        self.offset = offset
    }

    /// The next records, about `byteMaximum` bytes of them or a single longer one; none at the end.
    ///
    /// - Throws: `LogError` `.damaged`, or what the medium throws.
    mutating func next(byteMaximum: Int) throws -> [LogRecord] {
        while let segment = rest.first {
            if offset < segment.end, let file = try open(segment) {
                let records = try records(of: segment, in: file, byteMaximum)
                // Marks alone are no end.
                if records.isEmpty { continue }
                return records
            }
            file = nil
            offset = SegmentHeader.byteCount
            rest.removeFirst()
        }
        return []
    }

    /// The segment's file; `nil` when it was cleaned meanwhile.
    private mutating func open(_ segment: Segment) throws -> (any StorageFile)? {
        if let file { return file }
        let path = directory + "/" + segment.name
        do {
            file = try medium.open(path, .read)
        } catch let error as StorageError where error.code == .notFound {
            guard isLive(segment) else { return nil }
            throw LogError.damaged(path, at: 0, expected: "a segment", found: "no such file")
        }
        return file
    }

    private mutating func records(
        of segment: Segment, in file: any StorageFile, _ byteMaximum: Int
    ) throws -> [LogRecord] {
        let limit = max(byteMaximum, RecordFrame.byteCount)
        var bytes = try file.read(at: offset, count: min(limit, segment.end - offset))
        let first = try frame(in: bytes, from: offset, segment)
        if first.end - offset > bytes.count {
            bytes = try file.read(at: offset, count: first.end - offset)
        }
        let start = offset
        var records: [LogRecord] = []
        while offset < segment.end {
            let left = start + bytes.count - offset
            if left < RecordFrame.byteCount, start + bytes.count < segment.end { break }
            let frame = try frame(in: bytes, from: start, segment)
            if frame.end > start + bytes.count {
                if offset == start { throw damage(segment, "a whole record", "the file's end") }
                break
            }
            if frame.kind == .record {
                records.append(try record(frame, in: bytes, from: start, segment))
            }
            offset = frame.end
        }
        return records
    }

    /// The frame at the current offset.
    private func frame(
        in bytes: [UInt8], from start: Int, _ segment: Segment
    ) throws -> RecordFrame {
        let frame: RecordFrame? = bytes.withUnsafeBytes { bytes in
            guard offset - start + RecordFrame.byteCount <= bytes.count else { return nil }
            return RecordFrame.read(
                UnsafeRawBufferPointer(rebasing: bytes[(offset - start)...]), at: offset,
                sequence: segment.header.sequence, limit: segment.end)
        }
        guard let frame, frame.kind != .end else {
            throw damage(segment, "a record's frame", "bytes with a wrong checksum or length")
        }
        return frame
    }

    private func record(
        _ frame: RecordFrame, in bytes: [UInt8], from start: Int, _ segment: Segment
    ) throws -> LogRecord {
        let place = (frame.recordOffset - start)..<(frame.end - start)
        let (actual, check) = bytes.withUnsafeBytes { bytes in
            (
                Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[place])),
                RecordFrame.storedChecksum(
                    UnsafeRawBufferPointer(rebasing: bytes[(frame.offset - start)...]))
            )
        }
        guard actual == frame.recordChecksum else {
            throw damage(segment, "checksum \(frame.recordChecksum)", "checksum \(actual)")
        }
        let recordPlace = RecordPlace(
            segment: segment.name, offset: frame.offset, byteCount: frame.recordByteCount,
            check: check)
        return LogRecord(handle: recordPlace.handle, time: frame.time, bytes: Array(bytes[place]))
    }

    private func damage(_ segment: Segment, _ expected: String, _ found: String) -> LogError {
        .damaged(directory + "/" + segment.name, at: offset, expected: expected, found: found)
    }
}

/// What a handle says: segment, offset of the frame, length of the record, checksum of the frame.
///
/// The last tells a record from a later one at the same place in a file of the same name.
struct RecordPlace: Hashable {
    var segment: String
    var offset: Int
    var byteCount: Int
    var check: UInt32

    var handle: LogRecordHandle {
        LogRecordHandle(place: "\(segment):\(offset):\(byteCount):\(check)")
    }

    init(segment: String, offset: Int, byteCount: Int, check: UInt32) {
        self.segment = segment
        self.offset = offset
        self.byteCount = byteCount
        self.check = check
    }

    /// Reads a handle; `nil` when it is none of a log in files.
    init?(_ handle: LogRecordHandle) {
        let parts = handle.place.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 4, let offset = Int(parts[1]), let byteCount = Int(parts[2]),
            let check = UInt32(parts[3]), offset >= SegmentHeader.byteCount, byteCount >= 0
        else { return nil }
        self.init(
            segment: String(parts[0]), offset: offset, byteCount: byteCount, check: check)
    }
}
