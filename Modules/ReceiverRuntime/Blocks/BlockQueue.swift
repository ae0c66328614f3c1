internal import BatchEngine

/// Blocks that were cut and wait to be pushed: bounded in blocks and bytes.
struct BlockQueue: Sendable {
    /// What the pushing side gets.
    enum Next: Sendable {
        case block(ReceivedBlock)
        case end
    }

    let maxBlocks: Int
    let maxBytes: Int
    private var blocks: [ReceivedBlock] = []
    private var bytes = 0
    /// Blocks cut and blocks pushed since the beginning.
    private(set) var cutCount = 0
    private(set) var pushedCount = 0
    /// Whether the block being pushed waits until others are released.
    var isHeld = false
    /// Whether no block will come any more.
    var isClosed = false
    /// Whether nobody pushes blocks any more.
    var isAbandoned = false

    init(maxBlocks: Int, maxBytes: Int) {
        self.maxBlocks = maxBlocks
        self.maxBytes = maxBytes
    }

    /// Whether another block may be cut; one may always wait, whatever its size.
    var hasRoom: Bool { blocks.isEmpty || (blocks.count < maxBlocks && bytes < maxBytes) }

    /// Whether no block waits.
    var isEmpty: Bool { blocks.isEmpty }

    mutating func append(_ block: ReceivedBlock) {
        blocks.append(block)
        bytes += block.byteCount
        cutCount += 1
    }

    /// The next block to push; nil: wait.
    mutating func takeNext() -> Next? {
        guard !blocks.isEmpty else { return isClosed ? .end : nil }
        // At most a few, so moving the rest up costs nothing.
        let block = blocks.removeFirst()
        bytes -= block.byteCount
        return .block(block)
    }

    mutating func notePushed() {
        pushedCount += 1
        isHeld = false
    }

    /// Drops all blocks that wait.
    mutating func abandon() {
        blocks = []
        bytes = 0
        isClosed = true
        isAbandoned = true
    }
}
