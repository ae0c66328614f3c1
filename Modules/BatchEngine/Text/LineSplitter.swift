/// Cuts a byte stream into blocks of complete lines, however the bytes are divided into chunks.
///
/// `\n`, `\r\n` and `\r` each end a line. Bytes that are no UTF-8 are repaired with U+FFFD. The bytes of
/// `append(reading:)` go from the system into the block without being copied, but for those of lines
/// that end in `\r` or need a repair, and for blocks that fill less than half of the buffer.
///
/// Complete lines are kept until `cut()`: the caller decides how large blocks grow, by looking at
/// `lineCount` and `byteCount`. An incomplete line never keeps more than `maxLineBytes`.
public struct LineSplitter: ~Copyable, @unchecked Sendable {  // the only owner of its buffer
    /// What happens to a line longer than allowed.
    public enum LongLinePolicy: Sendable {
        /// It is cut at the last character that fits; the rest is dropped.
        case truncate
        /// It is dropped as a whole.
        case refuse
    }

    /// What had to be changed or dropped since the splitter was made.
    public struct Counters: Sendable, Hashable {
        /// Lines that were cut for being too long.
        public internal(set) var truncatedLines = 0
        /// Lines that were dropped for being too long.
        public internal(set) var refusedLines = 0
        /// Lines with bytes that were no UTF-8 and became U+FFFD.
        public internal(set) var invalidUTF8Lines = 0
        /// Bytes of truncated and refused lines that were dropped, line ends not counted.
        public internal(set) var droppedBytes = 0

        /// Counts nothing yet.
        public init() {}
    }

    /// The longest line in bytes, without its end and before repairs.
    public let maxLineBytes: Int
    /// What happens to longer lines.
    public let longLines: LongLinePolicy
    /// What had to be changed or dropped so far.
    public internal(set) var counters = Counters()
    /// Complete lines since the last cut.
    public internal(set) var lineCount = 0

    /// Bytes of complete lines since the last cut, one for every line end included.
    public var byteCount: Int { lineStart }

    let bufferBytes: Int
    /// The buffer that bytes are received into.
    package var base: UnsafeMutableRawPointer
    /// The size of the buffer in bytes.
    package var capacity: Int
    /// The end of the bytes that are there: complete lines, then the beginning of the next one.
    var used = 0
    /// Where the incomplete line begins.
    var lineStart = 0
    var isASCII = true
    /// Whether the incomplete line may have bytes that are not ASCII.
    var tailMayBeNonASCII = false
    /// Whether the last byte was a `\r`: a `\n` that follows belongs to it.
    var isAfterCarriageReturn = false
    /// Whether the rest of the incomplete line is dropped.
    var isDiscarding = false

    /// Creates a splitter.
    ///
    /// - Parameters:
    ///   - maxLineBytes: The longest line, at least 1; bounds the memory of an incomplete line.
    ///   - longLines: What happens to longer lines.
    ///   - bufferBytes: The size buffers start with; a block that fills half of one takes it over.
    public init(
        maxLineBytes: Int = 1 << 20, longLines: LongLinePolicy = .truncate,
        bufferBytes: Int = 256 << 10
    ) {
        precondition(maxLineBytes > 0 && bufferBytes > 0, "sizes are positive")
        self.maxLineBytes = maxLineBytes
        self.longLines = longLines
        self.bufferBytes = bufferBytes
        base = RawMemory.allocate(byteCount: bufferBytes)
        capacity = bufferBytes
    }

    deinit { RawMemory.deallocate(base) }

    // MARK: Feeding

    /// Adds a chunk of bytes, copying them once.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
        reserve(bytes.count)
        (base + used).copyMemory(from: source, byteCount: bytes.count)
        absorb(bytes.count)
    }

    /// Adds a chunk of bytes, copying them once.
    public mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    /// Adds the bytes that `body` writes into the splitter's own buffer.
    ///
    /// - Parameters:
    ///   - atLeast: How much room `body` gets at least, in bytes.
    ///   - body: Fills the room from its beginning and returns how many bytes it wrote.
    /// - Returns: What `body` returned.
    @discardableResult
    public mutating func append<Failure: Error>(
        atLeast room: Int = 64 << 10,
        reading body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) -> Int {
        reserve(max(room, 1))
        let free = UnsafeMutableRawBufferPointer(start: base + used, count: capacity - used)
        let count = try body(free)
        precondition(count >= 0 && count <= free.count, "more bytes than there was room for")
        absorb(count)
        return count
    }

    // MARK: Cutting

    /// Takes the complete lines since the last cut; `nil` when there are none.
    public mutating func cut() -> LineBlock? {
        guard lineCount > 0 else { return nil }
        let tail = used - lineStart
        let owned: UnsafeMutableRawPointer
        if lineStart >= capacity / 2 {
            // The block takes the buffer; the next one is as large, for bytes come as fast.
            owned = base
            capacity = max(bufferBytes, min(capacity, 4 << 20), tail)
            base = RawMemory.allocate(byteCount: capacity)
            base.copyMemory(from: owned + lineStart, byteCount: tail)
        } else {
            owned = RawMemory.allocate(byteCount: lineStart)
            owned.copyMemory(from: base, byteCount: lineStart)
            memoryMove(from: lineStart, to: 0, count: tail)
        }
        let block = LineBlock(
            owning: owned, byteCount: lineStart, count: lineCount, isASCII: isASCII)
        used = tail
        lineStart = 0
        lineCount = 0
        isASCII = true
        return block
    }

    /// Ends the stream: takes the complete lines and the last one, though nothing ended it.
    ///
    /// The splitter may then be used for another stream; the counters go on.
    public mutating func finish() -> LineBlock? {
        let start = lineStart
        if used > lineStart || (isDiscarding && longLines == .truncate) {
            reserve(1)
            endLine()
            settle(from: start)
        }
        isDiscarding = false
        isAfterCarriageReturn = false
        tailMayBeNonASCII = false
        return cut()
    }

    // MARK: The buffer

    mutating func reserve(_ room: Int) {
        guard capacity - used < room else { return }
        capacity = max(capacity * 2, used + room)
        base = RawMemory.reallocate(base, byteCount: capacity)
    }

    func memoryMove(from source: Int, to target: Int, count: Int) {
        guard source != target, count > 0 else { return }
        (base + target).copyMemory(from: base + source, byteCount: count)
    }

    func bytes(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + start, count: end - start)
    }
}
