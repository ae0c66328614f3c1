/// What a single pass over a run of text bytes finds out.
@usableFromInline
package struct TextScan {
    @usableFromInline static let lineFeed: UInt8 = 0x0A
    static let carriageReturn: UInt8 = 0x0D

    /// How many `\n` there are.
    private(set) var lineFeedCount = 0
    /// Whether there is a `\r`.
    private(set) var hasCarriageReturn = false
    /// Whether some byte is 0x80 or more.
    private(set) var hasNonASCII = false

    /// Reads all bytes once.
    init(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        var seen: UInt8 = 0
        var start = 0
        while start < bytes.count {
            // The compiler makes vectors of this loop because it counts in bytes: so 255 at most.
            let stop = min(start &+ 240, bytes.count)
            var feeds: UInt8 = 0
            var returns: UInt8 = 0
            var index = start
            while index < stop {
                let byte = base.load(fromByteOffset: index, as: UInt8.self)
                feeds &+= byte == 0x0A ? 1 : 0
                returns |= byte == 0x0D ? 1 : 0
                seen |= byte
                index &+= 1
            }
            lineFeedCount &+= Int(feeds)
            hasCarriageReturn = hasCarriageReturn || returns != 0
            start = stop
        }
        hasNonASCII = seen >= 0x80
    }

    /// Whether all bytes are well-formed UTF-8 (Unicode 15, table 3-7).
    @usableFromInline
    package static func isValidUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        let count = bytes.count
        // Most strings that are this short are words in ASCII.
        if count < 8, isShortASCII(base, count) { return true }
        var index = 0
        while index < count {
            if count >= 8 {
                // The last bytes are looked at together with some that were looked at before.
                let word = base.loadUnaligned(
                    fromByteOffset: min(index, count - 8), as: UInt64.self)
                if word & 0x8080_8080_8080_8080 == 0 {
                    index += 8
                    continue
                }
            }
            let lead = base.load(fromByteOffset: index, as: UInt8.self)
            if lead < 0x80 {
                index += 1
                continue
            }
            let length = sequenceLength(lead)
            guard length > 1, index + length <= count else { return false }
            let second = base.load(fromByteOffset: index + 1, as: UInt8.self)
            guard secondByteRange(lead).contains(second) else { return false }
            for offset in 2..<max(length, 2) {
                let byte = base.load(fromByteOffset: index + offset, as: UInt8.self)
                guard isContinuation(byte) else { return false }
            }
            index += length
        }
        return true
    }

    /// Whether fewer than eight bytes are ASCII; halves that overlap are read as a whole.
    private static func isShortASCII(_ base: UnsafeRawPointer, _ count: Int) -> Bool {
        if count >= 4 {
            let first = base.loadUnaligned(as: UInt32.self)
            let last = base.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self)
            return (first | last) & 0x8080_8080 == 0
        }
        var seen: UInt8 = 0
        for index in 0..<count { seen |= base.load(fromByteOffset: index, as: UInt8.self) }
        return seen < 0x80
    }

    /// Where to cut `kept` bytes, followed by `next`, so that no well-formed character is divided.
    ///
    /// Bytes that are no UTF-8 anyway are cut where they are.
    static func boundary(_ kept: UnsafeRawBufferPointer, next: UInt8) -> Int {
        guard isContinuation(next) else { return kept.count }
        var lead = kept.count - 1
        while lead >= 0, lead > kept.count - 4, isContinuation(kept[lead]) { lead -= 1 }
        guard lead >= 0, sequenceLength(kept[lead]) > kept.count - lead else { return kept.count }
        return lead
    }

    private static func isContinuation(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }

    /// The length of the sequence a byte starts: 0 when no sequence starts with it.
    private static func sequenceLength(_ lead: UInt8) -> Int {
        switch lead {
        case 0x00...0x7F: return 1
        case 0xC2...0xDF: return 2
        case 0xE0...0xEF: return 3
        case 0xF0...0xF4: return 4
        default: return 0
        }
    }

    private static func secondByteRange(_ lead: UInt8) -> ClosedRange<UInt8> {
        switch lead {
        case 0xE0: return 0xA0...0xBF
        case 0xED: return 0x80...0x9F
        case 0xF0: return 0x90...0xBF
        case 0xF4: return 0x80...0x8F
        default: return 0x80...0xBF
        }
    }
}
