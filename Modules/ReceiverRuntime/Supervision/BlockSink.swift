internal import BatchEngine
public import DStreamCore

/// Takes reports of stored blocks: the tracker, behind a port.
///
/// ## Durability
/// Returns when the block will be part of a batch, and is logged where there is a log.
public protocol ReceivedBlockReporting: Sendable {
    /// Adds a stored block to those that belong to no batch yet.
    ///
    /// - Throws: what the log throws; the block is in no batch then.
    func addBlock(_ block: StoredBlock) async throws
}

/// The way of a cut block: stored, then reported.
struct BlockSink: Sendable {
    let streamID: StreamID
    let numbering: BlockNumbering
    let handler: any ReceivedBlockHandler
    let reporter: any ReceivedBlockReporting
    let budget: ReceivedBlockBudget
    let clock: any StreamClock

    /// Stores and reports a block that the budget has let in.
    func put(_ block: ReceivedBlock) async throws {
        let stored = try await handler.store(block)
        do { try await reporter.addBlock(stored) } catch {
            await handler.remove([stored])
            throw error
        }
    }

    /// Names a block, waits for the budget, then stores and reports it.
    func putDirectly(
        _ contents: [PartitionData], recordCount: Int, byteCount: Int, metadata: [String: String]
    ) async throws {
        let id = numbering.next(preferring: clock.now)
        let block = ReceivedBlock(
            id: id, contents: contents, recordCount: recordCount, byteCount: byteCount,
            metadata: metadata)
        try await budget.acquire(id, bytes: block.budgetBytes)
        do { try await put(block) } catch {
            budget.release([id])
            throw error
        }
    }
}

/// Stores the blocks of a receiver's generator and reports what fails.
@usableFromInline
struct StoringListener<Element: Sendable>: BlockGeneratorListener {
    @usableFromInline typealias Metadata = [String: String]
    private let sink: BlockSink
    private let status: ReceiverStatus

    init(sink: BlockSink, status: ReceiverStatus) {
        self.sink = sink
        self.status = status
    }

    @usableFromInline
    func onPushBlock(_ block: ReceivedBlock) async throws { try await sink.put(block) }

    @usableFromInline
    func onError(_ message: String, _ error: any Error) { status.reportError(message, error) }
}
