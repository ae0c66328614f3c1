public import BatchEngine
internal import DStreamCore

/// Bounds the bytes of received blocks that are stored, over all receivers: those of their elements
/// and of their metadata, and 640 for each block, which has its places in tables.
///
/// ## Ordering
/// Blocks that wait are let in in the order in which they came.
///
/// ## Back-pressure
/// Acquiring suspends while the limit is reached. When nothing is stored, one block is let in
/// whatever its size, so that nothing waits for ever.
public final class ReceivedBlockBudget: Sendable {
    private struct State: Sendable {
        var bytes: [BlockID: Int] = [:]
        var used = 0
        var waiting: [BlockID] = []
        var isLifted = false
    }

    /// The limit in bytes.
    public let limit: Int
    private let state = AsyncMonitor(State())

    /// Creates a budget.
    ///
    /// - Parameter limit: bytes, more than 0.
    public init(limit: Int = 512 << 20) {
        self.limit = max(1, limit)
    }

    /// The bytes of the blocks let in and not released.
    public var usedBytes: Int { state.read { $0.used } }

    /// The blocks that wait.
    public var waitingCount: Int { state.read { $0.waiting.count } }

    /// Lets a block in if there is room now and nobody waits.
    public func tryAcquire(_ id: BlockID, bytes: Int) -> Bool {
        state.update { state in
            state.waiting.isEmpty && self.admit(id, bytes, &state)
        }
    }

    /// Lets a block in, suspending until there is room.
    ///
    /// - Parameters:
    ///   - id: the block.
    ///   - bytes: what it takes.
    ///   - whenWaiting: called if it has to wait, once it has its place in the order.
    /// - Throws: `CancellationError`; the block was not let in.
    public func acquire(
        _ id: BlockID, bytes: Int, whenWaiting: @Sendable () -> Void = {}
    ) async throws {
        if tryAcquire(id, bytes: bytes) { return }
        state.update { $0.waiting.append(id) }
        whenWaiting()
        do {
            try await state.wait { state -> Bool? in
                guard state.isLifted || state.waiting.first == id,
                    self.admit(id, bytes, &state)
                else { return nil }
                state.waiting.removeAll { $0 == id }
                return true
            }
        } catch {
            state.update { $0.waiting.removeAll { $0 == id } }
            throw error
        }
    }

    /// Counts a block of an earlier run, whatever the limit.
    func restore(_ id: BlockID, bytes: Int) {
        state.update { state in
            state.used += bytes - (state.bytes.updateValue(bytes, forKey: id) ?? 0)
        }
    }

    /// Gives back what blocks took; unknown ones are ignored.
    public func release(_ ids: some Sequence<BlockID> & Sendable) {
        state.update { state in
            for id in ids {
                if let bytes = state.bytes.removeValue(forKey: id) { state.used -= bytes }
            }
        }
    }

    /// Lets everything in from now on: no more will come than a few last blocks.
    public func lift() {
        state.update { $0.isLifted = true }
    }

    private func admit(_ id: BlockID, _ bytes: Int, _ state: inout State) -> Bool {
        guard state.isLifted || state.bytes.isEmpty || state.used + bytes <= limit else {
            return false
        }
        state.used += bytes - (state.bytes.updateValue(bytes, forKey: id) ?? 0)
        return true
    }
}

extension ReceivedBlock {
    /// What it counts in a budget.
    var budgetBytes: Int { ReceivedBlockBudget.bytes(byteCount, metadata) }
}

extension StoredBlock {
    /// What it counts in a budget.
    var budgetBytes: Int { ReceivedBlockBudget.bytes(byteCount, metadata) }
}

extension ReceivedBlockBudget {
    /// What a block was measured to take besides its elements, wherever these are stored.
    static let bytesPerBlock = 640

    fileprivate static func bytes(_ elements: Int, _ metadata: [String: String]) -> Int {
        metadata.reduce(elements &+ bytesPerBlock) {
            // Two strings in a table that is at least half empty, and their storage.
            $0 &+ $1.key.utf8.count &+ $1.value.utf8.count &+ 128
        }
    }
}
