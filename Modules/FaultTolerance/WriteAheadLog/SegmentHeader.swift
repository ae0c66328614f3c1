internal import DStreamCore

/// The name of a segment's file: `log-START-STOP`, with `.N` when that was taken.
package struct SegmentName: Hashable, Sendable {
    static let prefix = "log-"

    /// The time of its first record, in milliseconds.
    package var start: Int64
    /// No record in it is later than that, in milliseconds.
    package var stop: Int64
    /// 0, or what tells it from another one of the same times.
    package var number = 0

    package var text: String {
        "\(Self.prefix)\(start)-\(stop)" + (number == 0 ? "" : ".\(number)")
    }

    package init(start: Int64, stop: Int64, number: Int = 0) {
        self.start = start
        self.stop = stop
        self.number = number
    }

    /// Reads a name; `nil` unless it is exactly as this type writes it.
    package init?(_ text: String) {
        guard text.hasPrefix(Self.prefix) else { return nil }
        let parts = text.dropFirst(Self.prefix.count).split(
            separator: ".", omittingEmptySubsequences: false)
        // Behind the first byte: a time before 1970 begins with the sign that separates, too.
        let times = parts[0]
        guard let cut = times.dropFirst().firstIndex(of: "-"),
            let start = Int64(times[..<cut]), let stop = Int64(times[times.index(after: cut)...])
        else { return nil }
        self.init(start: start, stop: stop)
        if parts.count == 2, let number = Int(parts[1]) { self.number = number }
        guard self.text == text else { return nil }
    }
}

/// The first 72 bytes of a segment: see Docs/Formats/WriteAheadLog.md.
package struct SegmentHeader: Hashable, Sendable {
    package static let byteCount = 72
    /// The version that is written; version 1, without marks and extent, is read.
    static let version: UInt32 = 2
    private static let magic = Array("DSTRMLOG".utf8)

    /// Counts the segments of a log from 1; the order of segments is that of these numbers.
    var sequence: UInt64
    var start: Int64
    var stop: Int64
    /// The segment before it, 0 for the first, and how many of its bytes count.
    var previousSequence: UInt64
    var previousByteCount: Int
    /// The oldest segment that was there; those before it had been cleaned.
    var oldestSequence: UInt64
    var version = Self.version

    var bytes: [UInt8] {
        var bytes = Self.magic
        bytes.reserveCapacity(Self.byteCount)
        bytes.appendNumber(version)
        bytes.appendNumber(UInt32(Self.byteCount))
        bytes.appendNumber(sequence)
        bytes.appendNumber(start)
        bytes.appendNumber(stop)
        bytes.appendNumber(previousSequence)
        bytes.appendNumber(UInt64(previousByteCount))
        bytes.appendNumber(oldestSequence)
        bytes.appendNumber(UInt32(0))
        bytes.appendNumber(Checksum.crc32c(bytes))
        return bytes
    }

    enum Reading: Hashable, Sendable {
        case valid(SegmentHeader)
        /// Intact, and of another version.
        case otherVersion(UInt32)
        case broken
    }

    /// Reads the beginning of a file.
    static func read(_ bytes: [UInt8]) -> Reading {
        guard bytes.count >= byteCount, bytes.starts(with: magic) else { return .broken }
        return bytes.withUnsafeBytes { bytes in
            // All versions keep magic, version, length and, at the header's end, the checksum.
            let length = Int(bytes.number(at: 12, UInt32.self))
            guard length >= 20, length <= bytes.count else { return .broken }
            let checked = UnsafeRawBufferPointer(rebasing: bytes[..<(length - 4)])
            guard bytes.number(at: length - 4, UInt32.self) == Checksum.crc32c(checked) else {
                return .broken
            }
            let version = bytes.number(at: 8, UInt32.self)
            guard (1...Self.version).contains(version) else { return .otherVersion(version) }
            let sequence = bytes.number(at: 16, UInt64.self)
            // No program ever comes further, and above there is room for segments to come.
            guard length == byteCount, sequence > 0, sequence < 1 << 62,
                let previous = Int(exactly: bytes.number(at: 48, UInt64.self))
            else { return .broken }
            return .valid(
                SegmentHeader(
                    sequence: sequence,
                    start: bytes.number(at: 24, Int64.self),
                    stop: bytes.number(at: 32, Int64.self),
                    previousSequence: bytes.number(at: 40, UInt64.self),
                    previousByteCount: previous,
                    oldestSequence: bytes.number(at: 56, UInt64.self), version: version))
        }
    }
}

/// A segment that counts: its file and how many bytes of it.
struct Segment: Hashable, Sendable {
    let name: String
    let header: SegmentHeader
    /// Everything before is durable records, what follows is not looked at.
    var end: Int
}
