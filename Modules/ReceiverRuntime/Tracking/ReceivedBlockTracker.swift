internal import BatchEngine
public import DStreamCore

/// Which received blocks belong to which batch: a value that decides, and never waits.
///
/// Every change is an event: first decided, then (by the owner) logged, then applied. Between the
/// two further blocks may be added; an allocation takes only those it names.
public struct ReceivedBlockTracker: Sendable {
    /// The streams whose blocks are tracked, ascending.
    public let streamIDs: [StreamID]
    /// The batch allocated last; later ones only are allocated.
    public private(set) var lastAllocated: BatchTime?
    private var unallocated: [StreamID: [StoredBlock]] = [:]
    private var allocated: [BatchTime: [StreamID: [StoredBlock]]] = [:]

    /// Creates a tracker without blocks.
    public init(streamIDs: [StreamID]) {
        self.streamIDs = streamIDs.sorted()
    }

    // MARK: Deciding

    /// The allocation of all blocks at hand to a batch; nil when it is not after the last one.
    public func allocation(to batch: BatchTime) -> BlockTrackingEvent? {
        if let lastAllocated, batch <= lastAllocated { return nil }
        let blocks = streamIDs.map { ($0, unallocated[$0] ?? []) }
        return .batchAllocated(batch, Dictionary(uniqueKeysWithValues: blocks))
    }

    /// The clean-up of all batches before a threshold, but for those that are `pending`.
    ///
    /// - Throws: ``ReceiverError/Code/cleanupTooEarly`` unless the threshold lies before `now`.
    public func cleanup(
        before threshold: BatchTime, keeping pending: Set<BatchTime> = [], now: BatchTime
    ) throws(ReceiverError) -> BlockTrackingEvent {
        guard threshold < now else {
            throw ReceiverError(
                .cleanupTooEarly,
                "batches before \(threshold) cannot be released at \(now): it must be later")
        }
        return .batchesCleaned(
            allocated.keys.filter { $0 < threshold && !pending.contains($0) }.sorted())
    }

    // MARK: Applying

    /// Makes an event take effect, when it happens or when it is replayed.
    ///
    /// - Returns: the blocks that belong to no batch any more.
    @discardableResult
    public mutating func apply(_ event: BlockTrackingEvent) -> [StoredBlock] {
        switch event {
        case .blockAdded(let block):
            unallocated[block.streamID, default: []].append(block)
            return []
        case .batchAllocated(let time, let blocks):
            for (stream, blocks) in blocks where !blocks.isEmpty {
                // Nearly always these are the first ones, in this order.
                let waiting = unallocated[stream] ?? []
                if waiting.prefix(blocks.count).elementsEqual(blocks, by: { $0.id == $1.id }) {
                    unallocated[stream] = Array(waiting.dropFirst(blocks.count))
                } else {
                    let taken = Set(blocks.map(\.id))
                    unallocated[stream] = waiting.filter { !taken.contains($0.id) }
                    // Those that were taken back from a batch which was skipped are this one's now.
                    for earlier in allocated.keys {
                        allocated[earlier]?[stream]?.removeAll { taken.contains($0.id) }
                    }
                }
            }
            allocated[time] = blocks
            lastAllocated = max(lastAllocated ?? time, time)
            return []
        case .batchesCleaned(let times):
            return times.flatMap { time in
                (allocated.removeValue(forKey: time) ?? [:]).values.flatMap { $0 }
            }
        case .blocksLost(let blocks):
            forget(blocks)
            return blocks
        }
    }

    /// The batches after one that have their blocks, maybe none.
    func allocatedBatches(after batch: BatchTime) -> Set<BatchTime> {
        Set(allocated.keys.filter { $0 > batch })
    }

    /// Takes all blocks back from batches, oldest first: the next batch gets them.
    mutating func takeBackAllocations() {
        let later = allocated.sorted { $0.key < $1.key }
        var taken: Set<BlockID> = []
        var back: [StreamID: [StoredBlock]] = [:]
        for (time, streams) in later {
            allocated[time] = nil
            // They may have been taken back before, and given to another one.
            for (stream, blocks) in streams {
                back[stream, default: []] += blocks.filter { taken.insert($0.id).inserted }
            }
        }
        for (stream, blocks) in back {
            let rest = (unallocated[stream] ?? []).filter { !taken.contains($0.id) }
            unallocated[stream] = blocks + rest
        }
    }

    /// Takes blocks out whose contents are gone.
    private mutating func forget(_ blocks: [StoredBlock]) {
        let gone = Set(blocks.map(\.id))
        unallocated = unallocated.mapValues { $0.filter { !gone.contains($0.id) } }
        allocated = allocated.mapValues { streams in
            streams.mapValues { $0.filter { !gone.contains($0.id) } }
        }
    }

    // MARK: Asking

    /// The blocks of a batch by stream; empty when the batch is unknown.
    public func blocks(of batch: BatchTime) -> [StreamID: [StoredBlock]] { allocated[batch] ?? [:] }

    /// The blocks of a batch and stream, in the order in which they were received.
    public func blocks(of batch: BatchTime, stream: StreamID) -> [StoredBlock] {
        allocated[batch]?[stream] ?? []
    }

    /// The blocks of a stream that belong to no batch yet.
    public func unallocatedBlocks(of stream: StreamID) -> [StoredBlock] {
        unallocated[stream] ?? []
    }

    /// All blocks, of batches and of none.
    package var heldBlocks: [StoredBlock] {
        allocated.values.flatMap { $0.values.flatMap { $0 } } + unallocated.values.flatMap { $0 }
    }

    /// Whether any stream has blocks that belong to no batch yet.
    public var hasUnallocatedBlocks: Bool { unallocated.values.contains { !$0.isEmpty } }

    /// Whether nothing is known any more of what a batch was given, though later ones were.
    func isReleased(_ batch: BatchTime) -> Bool {
        lastAllocated.map { batch <= $0 } ?? false && allocated[batch] == nil
    }
}
