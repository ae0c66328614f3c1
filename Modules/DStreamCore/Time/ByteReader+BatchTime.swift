package import BatchEngine

extension ByteReader {
    /// Reads a time, as a zigzag of milliseconds.
    ///
    /// At most 2^53 from 1970: what is reckoned with it never leaves the range of 64 bits.
    package mutating func readTime() throws(CodecError) -> BatchTime {
        let milliseconds = try readZigzag()
        guard milliseconds.magnitude <= 1 << 53 else {
            throw CodecError(.invalidValue, "\(milliseconds) ms is no time of a batch")
        }
        return BatchTime(milliseconds: milliseconds)
    }
}
