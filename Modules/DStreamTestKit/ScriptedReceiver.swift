public import BatchEngine
public import DStreamCore
public import ReceiverRuntime
internal import Synchronization

/// A receiver that does what a script says, one script per start.
///
/// After its last script it waits to be stopped, and so does a script without an end.
///
/// ## Isolation
/// The receiver counts its starts; it is meant for one stream.
public final class ScriptedReceiver<Element: Sendable>: Receiver {
    /// One act of a receiver.
    public enum Step: Sendable {
        /// Stores elements one by one.
        case elements([Element])
        /// Stores elements with one call.
        case array([Element])
        /// Stores one block, and goes on when it is stored.
        case block([Element])
        /// Reports an error and goes on.
        case reportError(String, any Error)
        /// Asks for a restart, after the configured delay if nil.
        case restart(String, any Error, after: Duration?)
        /// Asks to be stopped.
        case stop(String)
        /// Throws.
        case fail(any Error)
        /// Goes on when the gate is open.
        case pause(until: TestGate)
        /// Opens a gate and goes on.
        case open(TestGate)
        /// Returns.
        case end
    }

    /// The name in events.
    public let name: String
    /// Where received blocks are kept.
    public let storageLevel: StorageLevel
    private let scripts: [[Step]]
    private let starts = Locked(0)

    /// Creates a receiver.
    ///
    /// - Parameters:
    ///   - name: the name in events.
    ///   - storageLevel: where received blocks are kept.
    ///   - scripts: what is done at the first start, the second and so on.
    public init(
        name: String = "ScriptedReceiver", storageLevel: StorageLevel = .memoryOnly,
        _ scripts: [Step]...
    ) {
        self.name = name
        self.storageLevel = storageLevel
        self.scripts = scripts
    }

    /// How often it was started.
    public var startCount: Int { starts.withLock { $0 } }

    /// Performs the next script.
    public func run(_ output: ReceiverOutput<Element>) async throws {
        let index = starts.withLock { starts in
            defer { starts += 1 }
            return starts
        }
        for step in index < scripts.count ? scripts[index] : [] {
            switch step {
            case .elements(let elements):
                for element in elements { try await output.store(element) }
            case .array(let elements): try await output.store(contentsOf: elements)
            case .block(let elements): try await output.store(block: elements)
            case .reportError(let message, let error): output.reportError(message, error)
            case .restart(let message, let error, let delay):
                try output.restart(message, error: error, after: delay)
            case .stop(let message): try output.stop(message)
            case .fail(let error): throw error
            case .pause(let gate): try await gate.wait()
            case .open(let gate): gate.open()
            case .end: return
            }
        }
        try await output.untilStopped()
    }
}

/// Something that happens once, and that tasks wait for.
public final class TestGate: Sendable {
    private let isOpen = AsyncMonitor(false)

    /// Creates a closed gate.
    public init() {}

    /// Opens the gate for good.
    public func open() { isOpen.update { $0 = true } }

    /// Waits until the gate is open.
    ///
    /// - Throws: `CancellationError`.
    public func wait() async throws { try await isOpen.wait(for: { $0 }) }
}

/// A listener that keeps all events and lets tests wait for them.
public final class RecordingEventListener: StreamingListener {
    private let recorded = AsyncMonitor<[StreamEvent]>([])

    /// Creates a listener that has heard nothing.
    public init() {}

    /// Keeps an event.
    public func onEvent(_ event: StreamEvent) { recorded.update { $0.append(event) } }

    /// All events so far.
    public var events: [StreamEvent] { recorded.read { $0 } }

    /// Waits until there are so many events, and returns all.
    ///
    /// - Throws: `CancellationError`.
    public func events(atLeast count: Int) async throws -> [StreamEvent] {
        try await recorded.wait { $0.count >= count ? $0 : nil }
    }

    /// Waits until a condition holds for the events.
    ///
    /// - Throws: `CancellationError`.
    public func events(
        where condition: @Sendable ([StreamEvent]) -> Bool
    ) async throws -> [StreamEvent] {
        try await recorded.wait { condition($0) ? $0 : nil }
    }
}

/// A block handler that keeps blocks in memory, and fails or waits when told to.
public final class ScriptedBlockHandler: ReceivedBlockHandler {
    private struct State: Sendable {
        var blocks: [ReceivedBlock] = []
        var removed: [BlockID] = []
        var failures: [any Error] = []
        var isHeld = false
        var begun = 0
    }

    private let streamID: StreamID
    private let state = AsyncMonitor(State())

    /// Creates a handler that stores everything.
    public init(streamID: StreamID = StreamID(0)) {
        self.streamID = streamID
    }

    /// Makes the next call to store fail.
    public func failNext(_ error: any Error) { state.update { $0.failures.append(error) } }

    /// Makes calls to store wait, or go on.
    public func hold(_ isHeld: Bool) { state.update { $0.isHeld = isHeld } }

    /// The blocks that were stored.
    public var blocks: [ReceivedBlock] { state.read { $0.blocks } }

    /// The names of blocks that were removed.
    public var removed: [BlockID] { state.read { $0.removed } }

    /// Waits until so many calls to store have begun.
    ///
    /// - Throws: `CancellationError`.
    public func begun(atLeast count: Int) async throws {
        try await state.wait(for: { $0.begun >= count })
    }

    /// Waits until so many blocks were stored.
    ///
    /// - Throws: `CancellationError`.
    public func blocks(atLeast count: Int) async throws -> [ReceivedBlock] {
        try await state.wait { $0.blocks.count >= count ? $0.blocks : nil }
    }

    /// Waits until a condition holds for the blocks that were stored.
    ///
    /// - Throws: `CancellationError`.
    public func blocks(
        where condition: @Sendable ([ReceivedBlock]) -> Bool
    ) async throws -> [ReceivedBlock] {
        try await state.wait { condition($0.blocks) ? $0.blocks : nil }
    }

    /// Stores a block, or fails as told.
    public func store(_ block: ReceivedBlock) async throws -> StoredBlock {
        state.update { $0.begun += 1 }
        try await state.wait(for: { !$0.isHeld })
        let failure: (any Error)? = state.update { state in
            guard state.failures.isEmpty else { return state.failures.removeFirst() }
            state.blocks.append(block)
            return nil
        }
        if let failure { throw failure }
        return StoredBlock(
            id: block.id, streamID: streamID, recordCount: block.recordCount,
            byteCount: block.byteCount, metadata: block.metadata)
    }

    /// Notes which blocks are removed.
    public func remove(_ blocks: [StoredBlock]) async {
        let ids = blocks.map(\.id)
        state.update { $0.removed += ids }
    }
}
