/// Cuts a byte stream into frames: four bytes of length, the highest first, then as many bytes.
package struct FrameSplitter {
    /// The longest frame in bytes.
    let maxFrameBytes: Int
    private var bytes: [UInt8] = []
    private var start = 0

    package init(maxFrameBytes: Int) {
        self.maxFrameBytes = maxFrameBytes
    }

    /// Adds the next bytes of the stream.
    package mutating func append(_ more: [UInt8]) {
        if start == bytes.count {
            bytes = more
            start = 0
            return
        }
        // Memory grows with what has arrived, never with what a length promises.
        if start > bytes.count / 2 {
            bytes.removeFirst(start)
            start = 0
        }
        bytes += more
    }

    /// The bytes of the next frame; nil while it is not complete.
    ///
    /// - Throws: ``ReceiverError/Code/badFrame`` for a length that is negative or too large.
    package mutating func next() throws(ReceiverError) -> ArraySlice<UInt8>? {
        guard bytes.count - start >= 4 else { return nil }
        let header = bytes[start..<(start + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let length = Int(Int32(bitPattern: header))
        guard length >= 0, length <= maxFrameBytes else {
            throw ReceiverError(
                .badFrame, "a frame of \(length) bytes; allowed are 0 to \(maxFrameBytes)")
        }
        guard bytes.count - start - 4 >= length else { return nil }
        let frame = bytes[(start + 4)..<(start + 4 + length)]
        start += 4 + length
        return frame
    }

    /// Whether the stream may end here.
    var isBetweenFrames: Bool { start == bytes.count }
}
