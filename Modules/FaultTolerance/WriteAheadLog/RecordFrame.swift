internal import DStreamCore

/// The 24 bytes before each record: see Docs/Formats/WriteAheadLog.md.
///
/// The checksum takes in the segment's number and the frame's place, so that bytes of another
/// segment, or at another place, are no frame.
package struct RecordFrame: Hashable, Sendable {
    package static let byteCount = 24
    /// In place of the distance to the group's start, in the frame that ends a closed segment.
    private static let endMark = UInt32.max

    /// Where the frame begins in its file.
    var offset: Int
    var recordByteCount: Int
    /// Where the group begins that the record was flushed with.
    var groupStart: Int
    var time: BatchTime
    /// The checksum of the record.
    var recordChecksum: UInt32
    /// Whether this is no record's frame but the segment's last.
    var isEnd = false

    /// Where the next frame begins.
    var end: Int { recordOffset + recordByteCount }
    var recordOffset: Int { offset + Self.byteCount }

    /// The frame that ends a segment at an offset.
    static func end(at offset: Int) -> RecordFrame {
        RecordFrame(
            offset: offset, recordByteCount: 0, groupStart: offset, time: .zero,
            recordChecksum: 0, isEnd: true)
    }

    /// Writes the frame; returns its checksum.
    @discardableResult
    func append(to bytes: inout [UInt8], sequence: UInt64) -> UInt32 {
        let start = bytes.count
        bytes.appendNumber(UInt32(recordByteCount))
        bytes.appendNumber(isEnd ? Self.endMark : UInt32(offset - groupStart))
        bytes.appendNumber(time.milliseconds)
        bytes.appendNumber(recordChecksum)
        let checksum = bytes.withUnsafeBytes {
            Self.checksum(UnsafeRawBufferPointer(rebasing: $0[start...]), sequence, offset)
        }
        bytes.appendNumber(checksum)
        return checksum
    }

    /// Reads the frame at the start of `bytes`; `nil` when there is none.
    ///
    /// - Parameters:
    ///   - bytes: at least 24 bytes.
    ///   - offset: their place in the file.
    ///   - limit: where the file ends: no record goes beyond.
    static func read(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, sequence: UInt64, limit: Int
    ) -> RecordFrame? {
        let count = Int(bytes.number(at: 0, UInt32.self))
        let distance = bytes.number(at: 4, UInt32.self)
        // Before the checksum: what is rubbish mostly fails here.
        guard count <= limit - offset - byteCount else { return nil }
        let isEnd = distance == endMark
        guard isEnd || Int(distance) <= offset - SegmentHeader.byteCount else { return nil }
        let checked = UnsafeRawBufferPointer(rebasing: bytes[..<20])
        guard bytes.number(at: 20, UInt32.self) == checksum(checked, sequence, offset) else {
            return nil
        }
        return RecordFrame(
            offset: offset, recordByteCount: count,
            groupStart: isEnd ? offset : offset - Int(distance),
            time: BatchTime(milliseconds: bytes.number(at: 8, Int64.self)),
            recordChecksum: bytes.number(at: 16, UInt32.self), isEnd: isEnd)
    }

    /// The checksum at the end of a frame's bytes, whether right or not.
    static func storedChecksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        bytes.number(at: 20, UInt32.self)
    }

    private static func checksum(
        _ bytes: UnsafeRawBufferPointer, _ sequence: UInt64, _ offset: Int
    ) -> UInt32 {
        let place = (sequence.littleEndian, UInt64(offset).littleEndian)
        let before = withUnsafeBytes(of: place) { Checksum.crc32c($0) }
        return Checksum.crc32c(bytes, after: before)
    }
}
