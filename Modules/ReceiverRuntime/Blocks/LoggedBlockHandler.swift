public import BatchEngine
public import DStreamCore
internal import Synchronization

/// Stores received blocks in a write-ahead log and in an engine's block store: a block whose `store`
/// has returned survives a crash.
///
/// Batches read the block store; the log is read after a restart only.
public final class LoggedBlockHandler: ReceivedBlockHandler {
    private let store: BlockStoreHandler
    private let engine: any ExecutionEngine
    private let codec: ErasedCodec
    private let log: any WriteAheadLog
    private let clock: any StreamClock
    private let acceptsLoss: @Sendable (any Error) -> Bool
    /// For each block that is still needed, a time before which the log can be cleaned.
    private let logged = Locked<[BlockID: BatchTime]>([:])

    /// Creates a handler.
    ///
    /// - Parameters:
    ///   - streamID: the stream whose blocks are stored.
    ///   - engine: the engine whose block store takes them.
    ///   - level: where and in which form the store keeps them.
    ///   - codec: how elements become bytes.
    ///   - log: the stream's own.
    ///   - clock: says when a block was logged.
    ///   - acceptsLoss: whether a block of an earlier run is given up when reading it from the log
    ///     throws this error.
    public init(
        streamID: StreamID, engine: any ExecutionEngine, level: StorageLevel, codec: ErasedCodec,
        log: any WriteAheadLog, clock: any StreamClock,
        acceptsLoss: @escaping @Sendable (any Error) -> Bool = { _ in false }
    ) {
        self.acceptsLoss = acceptsLoss
        store = BlockStoreHandler(streamID: streamID, engine: engine, level: level, codec: codec)
        self.engine = engine
        self.codec = codec
        self.log = log
        self.clock = clock
    }

    /// Logs a block, then stores it.
    ///
    /// - Throws: what encoding, the log or the store throws. The block may be in the log then; as
    ///   nobody knows of it, it is in no batch.
    public func store(_ block: ReceivedBlock) async throws -> StoredBlock {
        // The elements may encode themselves.
        let encoded = try await UserThreads.run { [codec] in try codec.encode(block.contents) }
        let time = clock.now
        // From here on its part of the log stays, also while it is being written.
        logged.withLock { $0[block.id] = time }
        do {
            let handle = try await log.write(parts: Self.record(encoded), time: time)
            let stored = try await store.store(block)
            return StoredBlock(
                id: stored.id, streamID: stored.streamID, recordCount: stored.recordCount,
                byteCount: stored.byteCount, metadata: stored.metadata, logHandle: handle)
        } catch {
            logged.withLock { $0[block.id] = nil }
            throw error
        }
    }

    /// Removes blocks from the store, and from the log what is older than all that is needed.
    public func remove(_ blocks: [StoredBlock]) async {
        await store.remove(blocks)
        let now = clock.now
        let oldest = logged.withLock { logged in
            for block in blocks { logged[block.id] = nil }
            return logged.values.min() ?? now
        }
        // What cannot be removed now is removed with the next ones.
        try? await log.clean(before: oldest)
    }

    /// Removes blocks from the store only.
    public func setAside(_ blocks: [StoredBlock]) async { await store.remove(blocks) }

    /// Reads a block of an earlier run from the log into the store.
    public func restore(_ block: StoredBlock) async throws -> Bool {
        guard let handle = block.logHandle else { return false }
        let record: [UInt8]
        do { record = try await log.read(handle) } catch  where acceptsLoss(error) {
            return false
        }
        let encoded = try Self.values(of: record)
        let decoded = try await UserThreads.run { [codec] in try codec.decode(encoded) }
        guard case .values(let values) = decoded else { return false }
        // A log that does not tell how far it can be cleaned stays whole until the block is released.
        let threshold = log.cleaningThreshold(keeping: handle) ?? .zero
        logged.withLock { $0[block.id] = threshold }
        _ = try await store.store(
            ReceivedBlock(
                id: block.id, contents: [.values(values)], recordCount: block.recordCount,
                byteCount: block.byteCount, metadata: block.metadata))
        return true
    }

    private static func record(_ values: EncodedValues) throws -> [[UInt8]] {
        var writer = ByteWriter()
        writer.writeVarint(UInt64(values.count))
        return [try writer.takeBytes(), values.bytes]
    }

    private static func values(of record: [UInt8]) throws -> EncodedValues {
        try record.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer)
            let count = try reader.readQuantity()
            let bytes = try reader.readBytes(count: reader.remaining)
            return EncodedValues(bytes: Array(bytes), count: count)
        }
    }
}
