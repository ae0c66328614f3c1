public import BatchEngine

/// A block as the driver knows it: where it is and what it counts, not its contents.
public struct StoredBlock: Sendable, Hashable {
    /// The name under which the engine's block store holds it.
    public let id: BlockID
    /// The input stream it belongs to.
    public let streamID: StreamID
    /// Elements in the block.
    public let recordCount: Int
    /// Estimated bytes in memory.
    public let byteCount: Int
    /// What the receiver said about the block.
    public let metadata: [String: String]
    /// Where its contents are logged; nil: they end with the process.
    public let logHandle: LogRecordHandle?

    /// Describes a block.
    public init(
        id: BlockID, streamID: StreamID, recordCount: Int, byteCount: Int,
        metadata: [String: String] = [:], logHandle: LogRecordHandle? = nil
    ) {
        self.logHandle = logHandle
        self.id = id
        self.streamID = streamID
        self.recordCount = recordCount
        self.byteCount = byteCount
        self.metadata = metadata
    }
}

/// Decides which received blocks belong to which batch.
///
/// ## Ordering
/// Batches are allocated in ascending order; a batch at or before the last one is ignored.
///
/// ## Durability
/// ``allocateBlocks(to:)`` returns only after the allocation is logged, where there is a log: a
/// batch that runs again gets exactly the same blocks.
///
/// A context uses its own, a `ReceiverTracker`. One of yours goes into a `JobGenerator`;
/// `checkBlockAllocator` of DStreamTestKit checks it.
public protocol BlockAllocator: Sendable {
    /// Asks the receivers to cut what they gathered, then gives every block that belongs to no
    /// batch yet to `batch`.
    ///
    /// - Throws: what the log throws; nothing is allocated then.
    func allocateBlocks(to batch: BatchTime) async throws

    /// The blocks of one stream that belong to `batch`, in the order they were received; empty
    /// when the batch is unknown.
    func blocks(allocatedTo batch: BatchTime, stream: StreamID) async -> [StoredBlock]

    /// Forgets batches before `threshold` and removes their blocks from the block store.
    ///
    /// What a restart needs of the batches in `pending`, which this process will not run again,
    /// stays where it outlives the process.
    func releaseBatches(before threshold: BatchTime, keeping pending: Set<BatchTime>) async throws

    /// Whether there are received blocks that belong to no batch yet.
    var hasUnallocatedBlocks: Bool { get async }
}

extension BlockAllocator {
    /// Forgets all batches before `threshold`.
    public func releaseBatches(before threshold: BatchTime) async throws {
        try await releaseBatches(before: threshold, keeping: [])
    }
}

/// An allocator for programs without receivers.
public struct NoBlocks: BlockAllocator {
    /// Makes it.
    public init() {}

    /// Does nothing.
    public func allocateBlocks(to batch: BatchTime) async throws {}

    /// There are none.
    public func blocks(allocatedTo batch: BatchTime, stream: StreamID) async -> [StoredBlock] { [] }

    /// Does nothing.
    public func releaseBatches(
        before threshold: BatchTime, keeping pending: Set<BatchTime>
    ) async throws {}

    /// Always false.
    public var hasUnallocatedBlocks: Bool { get async { false } }
}
