public import BatchEngine
public import DStreamCore

/// Stores received blocks: in the block store, in a log, or in both.
///
/// ## Durability
/// ``store(_:)`` returns only when the block is as safe as the implementation promises: reliable
/// receivers acknowledge after it.
///
/// ## Back-pressure
/// May suspend for input and output, but must not wait for batches to run: a batch tick waits for
/// blocks that are being stored.
///
/// `checkReceivedBlockHandler` of DStreamTestKit checks one of your own.
public protocol ReceivedBlockHandler: Sendable {
    /// Stores a block.
    ///
    /// - Returns: what the driver keeps of it.
    /// - Throws: when it is not stored; nothing of it is left then.
    func store(_ block: ReceivedBlock) async throws -> StoredBlock

    /// Removes blocks that no batch needs any more; unknown ones are ignored.
    func remove(_ blocks: [StoredBlock]) async

    /// Frees the memory of blocks that only a restart will need, and keeps what ``restore(_:)``
    /// needs; unknown ones are ignored.
    func setAside(_ blocks: [StoredBlock]) async

    /// Stores a block of an earlier run again.
    ///
    /// - Returns: false when its contents ended with that run.
    /// - Throws: when they should be there and cannot be read.
    func restore(_ block: StoredBlock) async throws -> Bool
}

extension ReceivedBlockHandler {
    /// Nothing outlives a run.
    public func restore(_ block: StoredBlock) async throws -> Bool { false }

    /// Removes the blocks that are in no log.
    public func setAside(_ blocks: [StoredBlock]) async {
        await remove(blocks.filter { $0.logHandle == nil })
    }
}

/// Stores received blocks in an engine's block store: safe as long as the process runs.
public struct BlockStoreHandler: ReceivedBlockHandler {
    /// The stream whose blocks are stored.
    public let streamID: StreamID
    /// Where and in which form blocks are kept.
    public let level: StorageLevel
    private let engine: any ExecutionEngine
    private let codec: ErasedCodec?

    /// Creates a handler.
    ///
    /// - Parameters:
    ///   - streamID: the stream whose blocks are stored.
    ///   - engine: the engine whose block store takes them.
    ///   - level: where and in which form they are kept.
    ///   - codec: how elements become bytes; needed where `level.needsCodec`.
    public init(
        streamID: StreamID, engine: any ExecutionEngine, level: StorageLevel = .memoryOnly,
        codec: ErasedCodec? = nil
    ) {
        self.streamID = streamID
        self.engine = engine
        self.level = level
        self.codec = codec
    }

    /// Puts a block into the store.
    public func store(_ block: ReceivedBlock) async throws -> StoredBlock {
        let (store, level, codec) = (engine.blockStore, level, codec)
        let isQuick = !level.useDisk && !level.needsCodec
        if isQuick, block.contents.allSatisfy(\.isMeasured) {
            try store.put(block.id, block.contents, level: level, codec: codec)
        } else {
            // Files are written in the call, and elements may encode themselves, if only to be measured:
            // not on the threads that all tasks share.
            try await engine.perform("store received block \(block.id)") {
                try store.put(block.id, block.contents, level: level, codec: codec)
            }
        }
        return StoredBlock(
            id: block.id, streamID: streamID, recordCount: block.recordCount,
            byteCount: block.byteCount, metadata: block.metadata)
    }

    /// Removes blocks from the store.
    public func remove(_ blocks: [StoredBlock]) async {
        let store = engine.blockStore
        guard level.useDisk else {
            for block in blocks { store.remove(block.id) }
            return
        }
        do {
            try await engine.perform("remove received blocks") {
                for block in blocks { store.remove(block.id) }
            }
        } catch {
            // The engine has ended and takes no work: removing is quick and may as well happen
            // here.
            for block in blocks { store.remove(block.id) }
        }
    }
}
