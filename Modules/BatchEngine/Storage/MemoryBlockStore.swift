internal import Synchronization

/// Keeps blocks in memory and, where their level allows, on disk.
///
/// Blocks whose level uses both are spilled oldest first when memory passes the limit; blocks
/// that may only be in memory stay there and count.
public final class MemoryBlockStore: BlockStore {
    private enum Place {
        case memory([PartitionData])
        case disk(path: String)
    }
    private struct Entry {
        var place: Place
        var bytes: Int
        var count: Int
        var level: StorageLevel
        var codec: ErasedCodec?
        /// Tells apart what was stored under the same id, and names spill files.
        var order: UInt64
    }
    private struct State {
        var entries: [BlockID: Entry] = [:]
        var usage = BlockStoreUsage()
        var next: UInt64 = 0
        var directory: TemporaryDirectory?
        /// What may be spilled, oldest first; what was removed or replaced is skipped.
        var spillable: [(id: BlockID, order: UInt64)] = []
        var head = 0
        /// Bytes of blocks that are being spilled and still in memory.
        var leaving = 0

        mutating func add(_ id: BlockID, _ entry: Entry) {
            entries[id] = entry
            usage.blockCount += 1
            count(entry, sign: 1)
        }

        mutating func remove(_ id: BlockID) -> Entry? {
            guard let entry = entries.removeValue(forKey: id) else { return nil }
            usage.blockCount -= 1
            count(entry, sign: -1)
            return entry
        }

        mutating func count(_ entry: Entry, sign: Int) {
            switch entry.place {
            case .memory: usage.memoryBytes += sign * entry.bytes
            case .disk: usage.diskBytes += sign * entry.bytes
            }
        }

        mutating func nextOrder() -> UInt64 {
            next += 1
            return next
        }
    }
    /// A block on its way to the disk.
    private struct Leaving {
        let id: BlockID
        let entry: Entry
        let contents: [PartitionData]
    }

    /// Memory above which blocks are spilled, in bytes.
    public let memoryLimit: Int
    private let state = Locked(State())

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
            directory.remove()
        }
    }

    /// What is held now.
    public var usage: BlockStoreUsage { state.withLock { $0.usage } }

    /// Stores contents; see ``BlockStore/put(_:_:level:codec:)``.
    ///
    /// Older blocks may be spilled in the call. When one cannot be, it stays in memory and the call
    /// fails.
    public func put(
        _ id: BlockID, _ contents: [PartitionData], level: StorageLevel, codec: ErasedCodec?
    ) throws {
        remove(id)
        if level.needsCodec, codec == nil, encoded(contents) == nil { throw noCodec(id, level) }
        guard level.useMemory else {
            let bytes = try encode(id, contents, level, codec)
            let order = state.withLock { $0.nextOrder() }
            let path = try write(id, bytes, order)
            let entry = Entry(
                place: .disk(path: path), bytes: bytes.bytes.count, count: bytes.count,
                level: level, codec: codec, order: order)
            state.withLock { $0.add(id, entry) }
            return
        }
        let stored =
            level.deserialized ? contents : [.encoded(try encode(id, contents, level, codec))]
        let bytes = stored.reduce(0) { $0 + $1.byteCount }
        let count = stored.reduce(0) { $0 + $1.count }
        let leaving = state.withLock { state in
            let order = state.nextOrder()
            state.add(
                id,
                Entry(
                    place: .memory(stored), bytes: bytes, count: count, level: level, codec: codec,
                    order: order))
            if level.useDisk { state.spillable.append((id, order)) }
            return chooseLeaving(&state)
        }
        do { try spill(leaving) } catch {
            remove(id)
            throw error
        }
    }

    /// Finds contents; see ``BlockStore/get(_:)``.
    public func get(_ id: BlockID) throws -> [PartitionData]? {
        guard let entry = state.withLock({ $0.entries[id] }) else { return nil }
        switch entry.place {
        case .memory(let contents): return contents
        case .disk(let path):
            do {
                let bytes = try FileSystem.readAll(path)
                return [.encoded(EncodedValues(bytes: bytes, count: entry.count))]
            } catch {
                // Removed between the look-up and the reading: there is nothing any more.
                if state.withLock({ $0.entries[id]?.order }) != entry.order { return nil }
                throw BlockStoreError(.disk, "block \(id): \(error)")
            }
        }
    }

    /// The number of elements; see ``BlockStore/elementCount(of:)``.
    public func elementCount(of id: BlockID) -> Int? {
        state.withLock { $0.entries[id]?.count }
    }

    /// Removes contents; see ``BlockStore/remove(_:)``.
    public func remove(_ id: BlockID) {
        let entry = state.withLock { $0.remove(id) }
        if case .disk(let path)? = entry?.place { _ = try? FileSystem.remove(path) }
    }
}

extension MemoryBlockStore {
    /// The oldest spillable blocks that bring memory back under the limit; each is chosen once.
    private func chooseLeaving(_ state: inout State) -> [Leaving] {
        var chosen: [Leaving] = []
        while state.usage.memoryBytes - state.leaving > memoryLimit,
            state.head < state.spillable.count
        {
            let (id, order) = state.spillable[state.head]
            state.head += 1
            guard let entry = state.entries[id], entry.order == order,
                case .memory(let contents) = entry.place
            else { continue }
            state.leaving += entry.bytes
            chosen.append(Leaving(id: id, entry: entry, contents: contents))
        }
        if state.spillable.count > 2 * state.entries.count + 64 || state.head > 1024 {
            state.spillable = state.spillable[state.head...].filter { item in
                state.entries[item.id]?.order == item.order
            }
            state.head = 0
        }
        return chosen
    }

    /// Writes blocks to disk, all it can; those that fail stay in memory.
    private func spill(_ blocks: [Leaving]) throws {
        var failure: (any Error)?
        for block in blocks {
            do { try spill(block) } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }

    private func spill(_ block: Leaving) throws {
        let entry = block.entry
        let written: Result<(String, EncodedValues), any Error> = Result {
            let bytes = try encode(block.id, block.contents, entry.level, entry.codec)
            return (try write(block.id, bytes, entry.order), bytes)
        }
        let unused: String? = state.withLock { state in
            state.leaving -= entry.bytes
            // What was removed meanwhile stays removed.
            let isStored = state.entries[block.id]?.order == entry.order
            switch written {
            case .failure(let error):
                // The disk may have room later; what cannot be encoded stays in memory for good.
                if isStored, error is BlockStoreError {
                    state.spillable.append((block.id, entry.order))
                }
                return nil
            case .success(let (path, bytes)):
                guard isStored, var spilled = state.remove(block.id) else { return path }
                spilled.place = .disk(path: path)
                spilled.bytes = bytes.bytes.count
                state.add(block.id, spilled)
                return nil
            }
        }
        if let unused { _ = try? FileSystem.remove(unused) }
        _ = try written.get()
    }

    private func encoded(_ contents: [PartitionData]) -> EncodedValues? {
        if contents.count == 1, case .encoded(let encoded) = contents[0] { return encoded }
        return nil
    }

    private func encode(
        _ id: BlockID, _ contents: [PartitionData], _ level: StorageLevel, _ codec: ErasedCodec?
    ) throws -> EncodedValues {
        if let encoded = encoded(contents) { return encoded }
        guard let codec else { throw noCodec(id, level) }
        return try codec.encode(contents)
    }

    private func noCodec(_ id: BlockID, _ level: StorageLevel) -> BlockStoreError {
        BlockStoreError(
            .codecMissing,
            "block \(id) with level \(level) must become bytes, and its element type has no codec; "
                + "declare the type StreamCodable or use StorageLevel.memoryOnly")
    }

    private func write(_ id: BlockID, _ bytes: EncodedValues, _ order: UInt64) throws -> String {
        do {
            let directory = try spillDirectory()
            let path = directory + "/\(id)-\(order)"
            do {
                try FileSystem.writeAtomically(path, bytes.bytes, durability: .handedOver)
                return path
            } catch {
                // Programs that tidy up take a directory that has been empty for long.
                guard error.isNotFound, !FileSystem.exists(directory) else { throw error }
                let path = try spillDirectory(insteadOf: directory) + "/\(id)-\(order)"
                try FileSystem.writeAtomically(path, bytes.bytes, durability: .handedOver)
                return path
            }
        } catch {
            throw BlockStoreError(.disk, "block \(id) could not be written: \(error)")
        }
    }

    /// Where spill files are, once there has been one.
    package var spillDirectoryIfMade: String? { state.withLock { $0.directory?.path } }

    /// Makes it when there is none yet.
    ///
    /// - Parameter gone: one that is there no more.
    private func spillDirectory(insteadOf gone: String? = nil) throws -> String {
        if let gone {
            state.withLock { state in
                if state.directory?.path == gone { state.directory = nil }
            }
        }
        if let directory = state.withLock({ $0.directory }) { return directory.path }
        let made = try TemporaryDirectory(.spill)
        let directory = state.withLock { state in
            let directory = state.directory ?? made
            state.directory = directory
            return directory
        }
        // Another thread was faster.
        if directory !== made { made.remove() }
        return directory.path
    }
}
