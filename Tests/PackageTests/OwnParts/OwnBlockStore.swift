import BatchEngine
import Synchronization

/// A block store of one's own: a dictionary, which is its disk, too.
nonisolated final class OwnBlockStore: BlockStore {
    private struct Block {
        let contents: [PartitionData]
        let isInMemory: Bool
    }

    private let blocks = Mutex<[BlockID: Block]>([:])

    func put(
        _ id: BlockID, _ contents: [PartitionData], level: StorageLevel, codec: ErasedCodec?
    ) throws {
        remove(id)
        var contents = contents
        if level.needsCodec, !contents.allSatisfy({ $0.isEncoded }) {
            guard let codec else {
                throw BlockStoreError(.codecMissing, "block \(id) needs a codec for \(level)")
            }
            contents = [.encoded(try codec.encode(contents))]
        }
        let block = Block(contents: contents, isInMemory: level.useMemory)
        blocks.withLock { $0[id] = block }
    }

    func get(_ id: BlockID) throws -> [PartitionData]? { blocks.withLock { $0[id]?.contents } }

    func remove(_ id: BlockID) { blocks.withLock { _ = $0.removeValue(forKey: id) } }

    var usage: BlockStoreUsage {
        var usage = BlockStoreUsage()
        for block in blocks.withLock({ Array($0.values) }) {
            let bytes = block.contents.reduce(0) { $0 + $1.byteCount }
            usage.blockCount += 1
            if block.isInMemory { usage.memoryBytes += bytes } else { usage.diskBytes += bytes }
        }
        return usage
    }
}

nonisolated extension PartitionData {
    fileprivate var isEncoded: Bool { if case .encoded = self { true } else { false } }
}
