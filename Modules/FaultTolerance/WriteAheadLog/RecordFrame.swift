internal import DStreamCore

/// The 24 bytes before each record: see Docs/Formats/WriteAheadLog.md.
///
/// The checksum takes in the segment's number and the frame's place, so that bytes of another
/// segment, or at another place, are no frame.
package struct RecordFrame: Hashable, Sendable {
    package static let byteCount = 24

    /// What a frame is for.
    enum Kind: Hashable {
        /// It has a record behind it.
        case record
        /// Everything before it was flushed when it was written.
        case durable
        /// The same, and the segment was closed.
        case end

        /// What stands in place of the distance to the group's start.
        fileprivate var mark: UInt32? {
            switch self {
            case .record: nil
            case .durable: UInt32.max - 1
            case .end: UInt32.max
            }
        }
    }

    /// Where the frame begins in its file.
    var offset: Int
    var recordByteCount: Int
    /// Where the group begins that the record was flushed with.
    var groupStart: Int
    var time: BatchTime
    /// The checksum of the record.
    var recordChecksum: UInt32
    var kind = Kind.record

    /// Where the next frame begins.
    var end: Int { recordOffset + recordByteCount }
    var recordOffset: Int { offset + Self.byteCount }

    /// A frame without a record.
    static func mark(_ kind: Kind, at offset: Int) -> RecordFrame {
        RecordFrame(
            offset: offset, recordByteCount: 0, groupStart: offset, time: .zero,
            recordChecksum: 0, kind: kind)
    }

    /// Writes the frame; returns its checksum.
    @discardableResult
    func append(to bytes: inout [UInt8], sequence: UInt64) -> UInt32 {
        let start = bytes.count
        bytes.appendNumber(UInt32(recordByteCount))
        bytes.appendNumber(kind.mark ?? UInt32(offset - groupStart))
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
        let kind: Kind =
            distance == Kind.end.mark ? .end : distance == Kind.durable.mark ? .durable : .record
        guard kind != .record || Int(distance) <= offset - SegmentHeader.byteCount else {
            return nil
        }
        let checked = UnsafeRawBufferPointer(rebasing: bytes[..<20])
        guard bytes.number(at: 20, UInt32.self) == checksum(checked, sequence, offset) else {
            return nil
        }
        return RecordFrame(
            offset: offset, recordByteCount: count,
            groupStart: kind == .record ? offset - Int(distance) : offset,
            time: BatchTime(milliseconds: bytes.number(at: 8, Int64.self)),
            recordChecksum: bytes.number(at: 16, UInt32.self), kind: kind)
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
