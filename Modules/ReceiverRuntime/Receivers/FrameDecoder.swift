internal import BatchEngine

/// Makes blocks of the elements in frames: memory is bounded by what elements take, whatever a frame
/// holds and however long it is.
///
/// A frame becomes one block if its elements fit into one; else each block is given out before more is
/// decoded. A frame that is longer than a block is decoded while it arrives.
struct FrameDecoder<Element: StreamCodable> {
    /// Frames of one chunk of bytes that become blocks by themselves, however small they are.
    private static var ownBlocks: Int { 16 }
    /// Of further ones, elements that are gathered in a block.
    private static var gatheredElements: Int { 1024 }

    private let maxRecords: Int
    private let maxBytes: Int
    private let maxElementBytes: Int
    /// Whether an element takes nothing else.
    private let isScalar =
        Element.self is any FixedWidthInteger.Type || Element.self is any BinaryFloatingPoint.Type
    private var splitter: FrameSplitter
    private var block = Block()
    /// Whether the block is complete and waits only for what was gathered before it.
    private var isComplete = false
    /// What is gathered of frames before the one under way.
    private var earlier = Block()
    /// The bytes of the frame under way that are needed at least to decode more of it.
    private var neededBytes = 0
    /// Blocks made of the present chunk of bytes.
    private var blockCount = 0
    private var failure: ReceiverError?

    /// Elements for a block, and the memory that they take.
    struct Block {
        var elements: [Element] = []
        var byteCount = 0
    }

    /// Creates a decoder.
    ///
    /// - Parameters:
    ///   - maxFrameBytes: the longest frame.
    ///   - configuration: bounds the blocks, and the memory of one element.
    init(maxFrameBytes: Int, _ configuration: ReceiverConfiguration) {
        splitter = FrameSplitter(maxFrameBytes: maxFrameBytes)
        maxRecords = configuration.maxBlockRecords
        maxBytes = min(configuration.maxBlockBytes, configuration.receivedBytesLimit)
        maxElementBytes = configuration.receivedBytesLimit
    }

    /// Whether the stream may end here.
    var isBetweenFrames: Bool { splitter.isBetweenFrames }

    /// Adds the next bytes of the stream.
    mutating func append(_ bytes: [UInt8]) {
        splitter.append(bytes)
        blockCount = 0
    }

    /// The next block; nil: more bytes are needed.
    ///
    /// - Throws: ``ReceiverError/Code/badFrame`` when no block comes before what is wrong.
    mutating func next() throws(ReceiverError) -> Block? {
        if isComplete {
            isComplete = false
            return take(\.block)
        }
        if let failure { throw failure }
        do throws(ReceiverError) {
            while let part = try splitter.next() {
                guard part.isWhole || part.bytes.count >= max(neededBytes, maxBytes) else { break }
                let count = try decode(part)
                splitter.consume(count)
                let isEnd = part.isWhole && count == part.bytes.count
                if isEnd || isFull {
                    neededBytes = 0
                    if let full = endPart(isEnd: isEnd) { return full }
                    continue
                }
                // An element that is not whole: looked at again when there is twice as much of it.
                let rest = part.bytes.count - count
                guard rest <= maxElementBytes else { throw tooLarge }
                neededBytes = rest * 2
            }
        } catch {
            failure = error
            if earlier.elements.isEmpty { throw error }
        }
        // Frames that were gathered wait neither for the one that arrives nor for what is wrong.
        return earlier.elements.isEmpty ? nil : take(\.earlier)
    }

    private var isFull: Bool {
        block.elements.count >= maxRecords || block.byteCount >= maxBytes
    }

    private var tooLarge: ReceiverError {
        ReceiverError(
            .badFrame,
            "an element that takes more than the \(maxElementBytes) bytes of receivedBytesLimit")
    }

    /// Gives out a block that is full or ends a frame, unless it shares its block with the next one.
    private mutating func endPart(isEnd: Bool) -> Block? {
        guard isEnd, !isFull, blockCount >= Self.ownBlocks else {
            if earlier.elements.isEmpty { return take(\.block) }
            isComplete = true
            return take(\.earlier)
        }
        earlier.elements += block.elements
        earlier.byteCount += block.byteCount
        block = Block()
        let isEnough =
            earlier.elements.count >= Self.gatheredElements || earlier.byteCount >= maxBytes
        return isEnough ? take(\.earlier) : nil
    }

    private mutating func take(_ path: WritableKeyPath<Self, Block>) -> Block {
        defer { self[keyPath: path] = Block() }
        blockCount += 1
        return self[keyPath: path]
    }

    /// Decodes elements until the block is full or the bytes end; returns how many bytes they were.
    private mutating func decode(_ part: FrameSplitter.Part) throws(ReceiverError) -> Int {
        do {
            return try part.bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes, footprintMaximum: maxElementBytes)
                while !reader.isAtEnd, !isFull {
                    guard try decodeElement(&reader, isWhole: part.isWhole) else { break }
                }
                return reader.offset
            }
        } catch let error as ReceiverError {
            throw error
        } catch {
            throw ReceiverError(
                .badFrame, "a frame that does not hold \(Element.self)", underlying: error)
        }
    }

    /// Decodes an element; false: the bytes end within it, and more will come.
    private mutating func decodeElement(_ reader: inout ByteReader, isWhole: Bool) throws -> Bool {
        let before = reader
        reader.footprint = 0
        do { block.elements.append(try Element.decode(from: &reader)) } catch let error
            as CodecError
        {
            reader = before
            if error.code == .tooLarge { throw tooLarge }
            if error.code == .truncated, !isWhole { return false }
            throw error
        }
        guard reader.offset > before.offset else {
            throw ReceiverError(.badFrame, "a frame of elements without bytes")
        }
        block.byteCount += MemoryLayout<Element>.stride
        if !isScalar { block.byteCount += reader.offset - before.offset + reader.footprint }
        return true
    }
}
