/// Lines of text as one immutable run of UTF-8 bytes, decoded only when they are read.
///
/// Each line is followed by one `\n`; lines hold no other `\n`. The bytes are valid UTF-8, checked when
/// the block is made, so that reading need not check again.
///
/// ## Isolation
/// Immutable: it travels between threads by reference, without copying.
public final class LineBlock: Sendable {
    // Never written after `init` and freed in `deinit` alone.
    @usableFromInline package nonisolated(unsafe) let base: UnsafeMutableRawPointer
    /// How many lines there are.
    public let count: Int
    /// How many bytes there are, a `\n` for every line included.
    public let byteCount: Int
    /// Whether every byte is ASCII; `false` may also mean that this is not known.
    public let isASCII: Bool

    /// Takes over bytes from the allocator of `RawMemory`, valid UTF-8 with `count` ended lines.
    init(owning base: UnsafeMutableRawPointer, byteCount: Int, count: Int, isASCII: Bool) {
        self.base = base
        self.byteCount = byteCount
        self.count = count
        self.isASCII = isASCII
    }

    deinit { RawMemory.deallocate(base) }

    /// Copies bytes that were a block's before, as when they come back from a log.
    ///
    /// - Returns: `nil` when the last line is not ended by `\n` or the bytes are not valid UTF-8.
    /// - Complexity: Linear in the bytes, which are checked once.
    public convenience init?(bytes: UnsafeRawBufferPointer) {
        let scan = TextScan(bytes)
        guard bytes.isEmpty || bytes[bytes.count - 1] == TextScan.lineFeed,
            !scan.hasNonASCII || TextScan.isValidUTF8(bytes)
        else { return nil }
        let base = RawMemory.allocate(byteCount: bytes.count)
        if let source = bytes.baseAddress {
            base.copyMemory(from: source, byteCount: bytes.count)
        }
        self.init(
            owning: base, byteCount: bytes.count, count: scan.lineFeedCount,
            isASCII: !scan.hasNonASCII)
    }

    /// Makes a block of strings.
    ///
    /// - Precondition: No line contains `\n`.
    public convenience init(_ lines: some Sequence<String>) {
        var bytes: [UInt8] = []
        var count = 0
        for line in lines {
            bytes += line.utf8
            bytes.append(TextScan.lineFeed)
            count += 1
        }
        let (base, isASCII) = bytes.withUnsafeBytes { source in
            let scan = TextScan(source)
            precondition(scan.lineFeedCount == count, "a line of a block contains a line feed")
            let base = RawMemory.allocate(byteCount: source.count)
            if let address = source.baseAddress {
                base.copyMemory(from: address, byteCount: source.count)
            }
            return (base, !scan.hasNonASCII)
        }
        self.init(owning: base, byteCount: bytes.count, count: count, isASCII: isASCII)
    }

    /// Calls `body` with all bytes: for each line its UTF-8 and one `\n`.
    ///
    /// The pointer is valid during the call only.
    @inlinable
    public func withUnsafeBytes<Value>(
        _ body: (UnsafeRawBufferPointer) throws -> Value
    ) rethrows -> Value {
        try withExtendedLifetime(self) {
            try body(UnsafeRawBufferPointer(start: base, count: byteCount))
        }
    }

    /// Calls `body` with the UTF-8 of each line in order, without its `\n`.
    ///
    /// The pointers are valid during the call only.
    @inlinable
    public func forEachLineBytes(_ body: (UnsafeBufferPointer<UInt8>) throws -> Void) rethrows {
        try withExtendedLifetime(self) {
            var start = UnsafeRawPointer(base)
            let end = start + byteCount
            while start < end {
                let length = RawMemory.distance(to: TextScan.lineFeed, from: start, end: end)
                let line = UnsafeBufferPointer(
                    start: start.assumingMemoryBound(to: UInt8.self), count: length)
                try body(line)
                start += length + 1
            }
        }
    }

    /// Calls `body` with each line in order; strings are made one at a time.
    ///
    /// Lines of at most 15 bytes need no memory of their own.
    @inlinable
    public func forEachLine(_ body: (String) throws -> Void) rethrows {
        // Checks the bytes again, and still no way to make a string was measured to be faster.
        try forEachLineBytes { try body(String(decoding: $0, as: UTF8.self)) }
    }

    /// The next `count` lines behind a byte, as a block of their own.
    ///
    /// - Parameter offset: where a line begins; where the next one does, afterwards.
    /// - Precondition: there are so many lines from there on.
    /// - Complexity: linear in their bytes, which are copied unless they are all there are.
    package func lines(_ count: Int, from offset: inout Int) -> LineBlock {
        if offset == 0, count == self.count {
            offset = byteCount
            return self
        }
        return withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return self }
            let (start, limit) = (base + offset, base + byteCount)
            var end = start
            for _ in 0..<count {
                precondition(end < limit, "a block has fewer lines than were asked for")
                end += RawMemory.distance(to: TextScan.lineFeed, from: end, end: limit) + 1
            }
            let length = end - start
            let copy = RawMemory.allocate(byteCount: length)
            copy.copyMemory(from: start, byteCount: length)
            offset += length
            return LineBlock(owning: copy, byteCount: length, count: count, isASCII: isASCII)
        }
    }

    /// All lines as strings.
    public var lines: [String] {
        var lines: [String] = []
        lines.reserveCapacity(count)
        forEachLine { lines.append($0) }
        return lines
    }
}
