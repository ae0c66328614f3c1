/// Cuts a byte stream into frames: four bytes of length, the highest first, then as many bytes.
///
/// A frame need not be whole to be read: what has arrived of it may be consumed piece by piece.
package struct FrameSplitter {
    /// What has arrived of a frame and is not consumed yet.
    package struct Part {
        /// The bytes; empty when all that has arrived is consumed.
        package let bytes: ArraySlice<UInt8>
        /// Whether the rest of the frame is in `bytes`.
        package let isWhole: Bool
    }

    /// The longest frame in bytes.
    let maxFrameBytes: Int
    private var bytes: [UInt8] = []
    private var start = 0
    /// The bytes of the frame under way that are not consumed; 0 between frames.
    private var rest = 0

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

    /// What is there of the frame under way, or of the next one; nil while its length is not there.
    ///
    /// Frames without bytes are skipped.
    ///
    /// - Throws: ``ReceiverError/Code/badFrame`` for a length that is negative or too large.
    package mutating func next() throws(ReceiverError) -> Part? {
        while rest == 0 {
            guard bytes.count - start >= 4 else { return nil }
            let header = bytes[start..<(start + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let length = Int(Int32(bitPattern: header))
            guard length >= 0, length <= maxFrameBytes else {
                throw ReceiverError(
                    .badFrame, "a frame of \(length) bytes; allowed are 0 to \(maxFrameBytes)")
            }
            start += 4
            rest = length
        }
        let count = min(rest, bytes.count - start)
        return Part(bytes: bytes[start..<(start + count)], isWhole: count == rest)
    }

    /// Takes the first bytes off the frame that `next()` has returned a part of.
    ///
    /// - Precondition: the part has so many.
    package mutating func consume(_ count: Int) {
        precondition(count <= rest && count <= bytes.count - start, "more than there is of a frame")
        start += count
        rest -= count
    }

    /// Whether the stream may end here.
    var isBetweenFrames: Bool { rest == 0 && start == bytes.count }
}
