import StreamingContext
import Synchronization

/// Stores received blocks in a block store of one's own choice.
nonisolated final class OwnBlockHandler: ReceivedBlockHandler {
    let stream: StreamID
    private let store: any BlockStore
    private let level: StorageLevel
    private let codec: ErasedCodec?

    init(_ stream: StreamID, _ store: any BlockStore, _ level: StorageLevel, _ codec: ErasedCodec?)
    {
        self.stream = stream
        self.store = store
        self.level = level
        self.codec = codec
    }

    func store(_ block: ReceivedBlock) async throws -> StoredBlock {
        try store.put(block.id, block.contents, level: level, codec: codec)
        return StoredBlock(
            id: block.id, streamID: stream, recordCount: block.recordCount,
            byteCount: block.byteCount, metadata: block.metadata)
    }

    func remove(_ blocks: [StoredBlock]) async {
        for block in blocks { store.remove(block.id) }
    }
}

/// Gives each batch the blocks that were added since the one before.
nonisolated final class OwnAllocator: BlockAllocator {
    private struct State {
        var waiting: [StoredBlock] = []
        var batches: [BatchTime: [StoredBlock]] = [:]
        var last: BatchTime?
    }

    private let state = Mutex(State())
    private let store: any BlockStore

    init(_ store: any BlockStore) { self.store = store }

    func add(_ block: StoredBlock) { state.withLock { $0.waiting.append(block) } }

    func allocateBlocks(to batch: BatchTime) async throws {
        state.withLock { state in
            if let last = state.last, batch <= last { return }
            state.last = batch
            state.batches[batch] = state.waiting
            state.waiting = []
        }
    }

    func blocks(allocatedTo batch: BatchTime, stream: StreamID) async -> [StoredBlock] {
        state.withLock { ($0.batches[batch] ?? []).filter { $0.streamID == stream } }
    }

    func releaseBatches(before threshold: BatchTime, keeping pending: Set<BatchTime>) async throws {
        let released = state.withLock { state in
            let old = state.batches.filter { $0.key < threshold }
            for batch in old.keys { state.batches[batch] = nil }
            return old.values.joined().map(\.id)
        }
        for id in released { store.remove(id) }
    }

    var hasUnallocatedBlocks: Bool { get async { state.withLock { !$0.waiting.isEmpty } } }
}

/// Keeps the newest rate of each stream.
nonisolated final class OwnRates: RateController {
    private let rates = Mutex<[StreamID: Double]>([:])

    func updateRate(_ elementsPerSecond: Double, of stream: StreamID) async {
        guard elementsPerSecond > 0 else { return }
        rates.withLock { $0[stream] = elementsPerSecond }
    }

    func rate(of stream: StreamID) -> Double? { rates.withLock { $0[stream] } }
}
