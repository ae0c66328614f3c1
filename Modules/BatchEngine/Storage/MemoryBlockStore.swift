internal import Synchronization

/// Keeps blocks in memory and, where their level allows, on disk.
///
/// Blocks whose level uses both are spilled oldest first when memory passes the limit; blocks
/// that may only be in memory stay there and count.
public final class MemoryBlockStore: BlockStore {
    private struct Entry {
        var contents: [PartitionData]?
        var file: String?
        var bytes: Int
        var count: Int
        var level: StorageLevel
        var codec: ErasedCodec?
        var order: UInt64
    }
    private struct State {
        var entries: [BlockID: Entry] = [:]
        var usage = BlockStoreUsage()
        var next: UInt64 = 0
        var directory: String?
    }

    /// Memory above which blocks are spilled, in bytes.
    public let memoryLimit: Int
    private let state = Mutex(State())

    /// Makes an empty store.
    ///
    /// Spill files go to a directory of their own under the system's place for temporary files.
    ///
    /// - Parameter memoryLimit: bytes above which spillable blocks go to disk.
    public init(memoryLimit: Int = 1 << 30) {
        self.memoryLimit = memoryLimit
    }

    deinit {
        if let directory = state.withLock({ $0.directory }) {
            try? FileSystem.removeTree(directory)
        }
    }

    /// What is held now.
    public var usage: BlockStoreUsage { state.withLock { $0.usage } }

    /// Stores contents; see ``BlockStore/put(_:_:level:codec:)``.
    public func put(
        _ id: BlockID, _ contents: [PartitionData], level: StorageLevel, codec: ErasedCodec?
    ) throws {
        var stored = contents
        if !level.deserialized || !level.useMemory {
            stored = [.encoded(try encode(id, contents, level, codec))]
        }
        remove(id)
        if !level.useMemory {
            try spill(id, stored, level, codec)
            return
        }
        let bytes = stored.reduce(0) { $0 + $1.byteCount }
        let spilled: [(BlockID, Entry)] = state.withLock { state in
            state.next += 1
            state.entries[id] = Entry(
                contents: stored, file: nil, bytes: bytes,
                count: stored.reduce(0) { $0 + $1.count }, level: level, codec: codec,
                order: state.next)
            state.usage.blockCount += 1
            state.usage.memoryBytes += bytes
            return victims(&state)
        }
        for (id, entry) in spilled {
            guard let contents = entry.contents else { continue }
            try spill(id, contents, entry.level, entry.codec, replacing: entry.order)
        }
    }

    /// Finds contents; see ``BlockStore/get(_:)``.
    public func get(_ id: BlockID) throws -> [PartitionData]? {
        guard let entry = state.withLock({ $0.entries[id] }) else { return nil }
        if let contents = entry.contents { return contents }
        guard let file = entry.file else { return nil }
        do {
            return [.encoded(EncodedValues(bytes: try FileSystem.readAll(file), count: entry.count))]
        } catch {
            throw BlockStoreError(.disk, "block \(id): \(error)")
        }
    }

    /// Removes contents; see ``BlockStore/remove(_:)``.
    public func remove(_ id: BlockID) {
        let file: String? = state.withLock { state in
            guard let entry = state.entries.removeValue(forKey: id) else { return nil }
            state.usage.blockCount -= 1
            if entry.file == nil {
                state.usage.memoryBytes -= entry.bytes
            } else {
                state.usage.diskBytes -= entry.bytes
            }
            return entry.file
        }
        if let file { _ = try? FileSystem.remove(file) }
    }

    /// The oldest spillable blocks that bring memory back under the limit.
    private func victims(_ state: inout State) -> [(BlockID, Entry)] {
        guard state.usage.memoryBytes > memoryLimit else { return [] }
        var excess = state.usage.memoryBytes - memoryLimit
        var victims: [(BlockID, Entry)] = []
        let spillable = state.entries.filter { $0.value.level.useDisk && $0.value.file == nil }
        for (id, entry) in spillable.sorted(by: { $0.value.order < $1.value.order }) {
            guard excess > 0 else { break }
            victims.append((id, entry))
            excess -= entry.bytes
        }
        return victims
    }

    private func encode(
        _ id: BlockID, _ contents: [PartitionData], _ level: StorageLevel, _ codec: ErasedCodec?
    ) throws -> EncodedValues {
        if contents.count == 1, case .encoded(let encoded) = contents[0] { return encoded }
        guard let codec else {
            throw BlockStoreError(
                .codecMissing,
                "block \(id) with level \(level) must become bytes, and its element type has no "
                    + "codec; declare the type StreamCodable or use StorageLevel.memoryOnly")
        }
        return try codec.encode(contents)
    }

    /// Writes contents to a file; a victim that was removed meanwhile stays removed.
    private func spill(
        _ id: BlockID, _ contents: [PartitionData], _ level: StorageLevel, _ codec: ErasedCodec?,
        replacing order: UInt64? = nil
    ) throws {
        let encoded = try encode(id, contents, level, codec)
        let path = try spillDirectory() + "/\(id)-\(order ?? 0)"
        do { try FileSystem.writeAtomically(path, encoded.bytes, durability: .handedOver) } catch {
            throw BlockStoreError(.disk, "block \(id) could not be spilled: \(error)")
        }
        let isStored: Bool = state.withLock { state in
            if let order {
                guard let old = state.entries[id], old.order == order else { return false }
                state.usage.memoryBytes -= old.bytes
                state.usage.blockCount -= 1
            }
            state.next += 1
            state.entries[id] = Entry(
                contents: nil, file: path, bytes: encoded.bytes.count, count: encoded.count,
                level: level, codec: codec, order: state.next)
            state.usage.blockCount += 1
            state.usage.diskBytes += encoded.bytes.count
            return true
        }
        if !isStored { _ = try? FileSystem.remove(path) }
    }

    private func spillDirectory() throws -> String {
        if let directory = state.withLock({ $0.directory }) { return directory }
        let directory = try FileSystem.createTemporaryDirectory(
            prefix: "dstreams-spill")
        state.withLock { $0.directory = directory }
        return directory
    }
}
