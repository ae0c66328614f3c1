public import BatchEngine
public import DStreamCore

/// Where a receiver puts what it receives, and how it talks to its supervisor.
///
/// ## Isolation
/// May be used from any task, also from several at once.
///
/// ## Back-pressure
/// Storing suspends while the stream cannot take more: above the rate limit, while blocks wait to
/// be stored, and while the stored blocks of all receivers reach their limit. A receiver that
/// stores before it reads on so passes it on to its source.
public final class ReceiverOutput<Element: Sendable>: Sendable {
    /// The stream that is fed.
    public let streamID: StreamID
    /// How receivers are set up.
    public let configuration: ReceiverConfiguration

    @usableFromInline let generator: BlockGenerator<StoringListener<Element>>
    private let sink: BlockSink
    private let control: ReceiverControl
    private let status: ReceiverStatus

    init(
        configuration: ReceiverConfiguration,
        generator: BlockGenerator<StoringListener<Element>>, sink: BlockSink,
        control: ReceiverControl, status: ReceiverStatus
    ) {
        self.streamID = sink.streamID
        self.configuration = configuration
        self.generator = generator
        self.sink = sink
        self.control = control
        self.status = status
    }

    // MARK: Unreliable: gathered into blocks

    /// Adds an element to the block being gathered.
    ///
    /// Quick, and forgotten: if storing the block fails, an error is reported and it is lost.
    ///
    /// - Throws: ``ReceiverError/Code/notActive``, or `CancellationError` while it suspends; the
    ///   element was not stored.
    @inlinable
    public func store(_ element: Element) async throws {
        let addition = generator.buffer.append(element)
        if addition.isAdded {
            if addition.isFirst { generator.noteFirst() }
            return
        }
        try await generator.addSlowly([element])
    }

    /// Adds elements to the block being gathered, or to several when it gets full.
    ///
    /// Large arrays become part of the block without being copied.
    ///
    /// - Throws: as ``store(_:)``; some of the first elements may have been stored.
    @inlinable
    public func store(contentsOf elements: [Element]) async throws {
        try await generator.add(contentsOf: elements)
    }

    // MARK: Reliable: a block at a time

    /// Stores elements as one block, and returns when it is stored and will be part of a batch.
    ///
    /// A block that is larger than a burst of the rate limit is cut into several, stored one after the
    /// other as the limit lets them pass; the last one has the metadata.
    ///
    /// ## Durability
    /// A reliable receiver acknowledges after this has returned: with a write-ahead log, what was
    /// acknowledged is never lost.
    ///
    /// - Parameters:
    ///   - block: the elements, all of which become one partition of a batch; may be empty.
    ///   - metadata: facts about the block for the driver, such as offsets; never elements.
    /// - Throws: what storing or logging throws, or `CancellationError` while it suspends; the block
    ///   is in no batch then, but for the first pieces of one that was cut.
    public func store(block: [Element], metadata: [String: String] = [:]) async throws {
        try await store(block: block, byteCount: nil, metadata: metadata)
    }

    /// Stores elements as one block; see ``store(block:metadata:)``.
    ///
    /// - Parameter byteCount: the memory that they take; nil: it is estimated.
    func store(
        block: [Element], byteCount: Int?, metadata: [String: String] = [:]
    ) async throws {
        var start = 0
        repeat {
            let end =
                try await generator.admit(upTo: block.count - start, areTogether: true) + start
            let isLast = end == block.count
            let piece = start == 0 && isLast ? block : Array(block[start..<end])
            // Here, on the receiver's thread: the elements may encode themselves.
            let bytes =
                byteCount.map { $0 * piece.count / max(1, block.count) }
                ?? generator.buffer.size.byteCount(of: piece)
            let values = Values(piece, byteCount: bytes)
            let own = isLast ? metadata : [:]
            try await PoolThreads.run {
                try await sink.putDirectly(
                    [.values(values)], recordCount: values.count, byteCount: bytes, metadata: own)
            }
            start = end
        } while start < block.count
    }

    // MARK: Talking to the supervisor

    /// Reports an error that the receiver has survived.
    public func reportError(_ message: String, _ error: (any Error)? = nil) {
        status.reportError(message, error)
    }

    /// Ends this run and asks to be started again.
    ///
    /// The task of `run` is cancelled in case the error is caught on its way.
    ///
    /// - Parameters:
    ///   - message: why.
    ///   - error: the error that made it necessary.
    ///   - delay: the wait before the start; nil: the configured one.
    /// - Throws: always, to leave `run`.
    public func restart(
        _ message: String, error: (any Error)? = nil, after delay: Duration? = nil
    ) throws -> Never {
        control.ask(.restart(message: message, error: error, delay: delay))
        throw ReceiverError(.restartRequested, message, underlying: error)
    }

    /// Ends this run: the receiver stops by itself, and is started again as any that does.
    ///
    /// - Throws: always, to leave `run`.
    public func stop(_ message: String) throws -> Never {
        control.ask(.stop(message: message))
        throw ReceiverError(.stopped, message)
    }

    /// Whether this run was asked to end.
    public var isStopped: Bool { control.current != nil }

    /// Suspends until this run is to end: for receivers that are called back.
    ///
    /// - Throws: `CancellationError`, in the end.
    public func untilStopped() async throws {
        try await control.wait()
        throw CancellationError()
    }

    /// Tells listeners of something that happened to the received data.
    package func post(_ event: StreamEvent) {
        status.post(event)
    }
}

extension ReceiverOutput where Element == String {
    /// Adds lines to the block being gathered, as the bytes they are.
    ///
    /// - Throws: as ``store(_:)``; some of the first lines may have been stored.
    public func store(lines: LineBlock) async throws {
        try await generator.add(lines: lines)
    }
}
