public import BatchEngine
internal import Synchronization

/// A block store without a disk: levels that would use it keep their bytes in a table.
public final class InMemoryBlockStore: BlockStore {
    private struct Entry {
        var contents: [PartitionData]
        var isOnDisk: Bool
    }

    private let entries = Locked<[BlockID: Entry]>([:])

    /// Makes an empty store.
    public init() {}

    /// What is held now.
    public var usage: BlockStoreUsage {
        entries.withLock { entries in
            var usage = BlockStoreUsage()
            for entry in entries.values {
                let bytes = entry.contents.reduce(0) { $0 + $1.byteCount }
                usage.blockCount += 1
                if entry.isOnDisk { usage.diskBytes += bytes } else { usage.memoryBytes += bytes }
            }
            return usage
        }
    }

    /// Stores contents; see `BlockStore`.
    public func put(
        _ id: BlockID, _ contents: [PartitionData], level: StorageLevel, codec: ErasedCodec?
    ) throws {
        remove(id)
        var contents = contents
        var isEncoded = false
        if contents.count == 1, case .encoded = contents[0] { isEncoded = true }
        if level.needsCodec, !isEncoded {
            guard let codec else {
                throw BlockStoreError(.codecMissing, "block \(id) needs a codec for \(level)")
            }
            let encoded = try codec.encode(contents)
            if !level.deserialized || !level.useMemory { contents = [.encoded(encoded)] }
        }
        let entry = Entry(contents: contents, isOnDisk: !level.useMemory)
        entries.withLock { $0[id] = entry }
    }

    /// Finds contents; see `BlockStore`.
    public func get(_ id: BlockID) throws -> [PartitionData]? {
        entries.withLock { $0[id]?.contents }
    }

    /// The number of elements; see `BlockStore`.
    public func elementCount(of id: BlockID) -> Int? {
        entries.withLock { $0[id]?.contents.reduce(0) { $0 + $1.count } }
    }

    /// Removes contents; see `BlockStore`.
    public func remove(_ id: BlockID) {
        let removed = entries.withLock { $0.removeValue(forKey: id) }
        withExtendedLifetime(removed) {}
    }
}
