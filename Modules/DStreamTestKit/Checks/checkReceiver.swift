internal import BatchEngine
internal import DStreamCore
public import ReceiverRuntime
internal import StreamingContext
internal import Synchronization

/// Checks that a receiver keeps the promises of `Receiver`.
///
/// The receiver is started and stopped twice, by contexts on the machine's clock.
///
/// - Parameters:
///   - receiver: a receiver that has not run yet.
///   - patience: how long to wait for what must happen: for elements, and for the end of `run`.
///   - provide: has the outside give elements, once the receiver has been started for the first or
///     the second time (0 or 1); gives those that the receiver is to store then, in any order.
/// - Throws: ``CheckFailure`` saying which promise is broken, or what starting threw.
public func checkReceiver<Source: Receiver>(
    _ receiver: Source, patience: Duration = .seconds(10),
    provide: @escaping @Sendable (_ start: Int) async throws -> [Source.Element]
) async throws where Source.Element: Hashable {
    try require(!receiver.name.isEmpty, "a receiver has a name")
    try require(
        !receiver.storageLevel.needsCodec || Codec<Source.Element>.resolve() != nil,
        "level \(receiver.storageLevel) needs a codec of \(Source.Element.self)")
    let engine = LocalEngine(slots: 1)
    defer { engine.shutdown() }
    for start in 0..<2 {
        let received = ReceivedElements<Source.Element>()
        let ssc = received.context(of: receiver, on: engine)
        try await ssc.start()
        let outcome: Result<[Source.Element], any Error>
        do {
            outcome = .success(try await received.all(patience) { try await provide(start) })
        } catch { outcome = .failure(error) }
        let report = await ssc.stop(deadline: patience)
        // Also those that came late.
        try received.compare(try outcome.get())
        try require(
            report.abandoned.isEmpty,
            "run returns soon once its task is cancelled: \(report.abandoned)")
    }
}

/// What a receiver has stored.
private final class ReceivedElements<Element: Hashable & Sendable>: Sendable {
    private let elements = AsyncMonitor<[Element]>([])

    func context<Source: Receiver>(
        of receiver: Source, on engine: LocalEngine
    ) -> StreamingContext where Source.Element == Element {
        var configuration = StreamingContext.Configuration()
        configuration.blockInterval = .milliseconds(5)
        var components = StreamHarness.quietComponents
        components.makeReceivedBlockHandler = { [elements] id, level, codec in
            WatchingHandler(
                base: BlockStoreHandler(streamID: id, engine: engine, level: level, codec: codec),
                watch: { block in elements.update { $0 += block.elements(of: Element.self) } })
        }
        let ssc = StreamingContext(
            appName: "check", batchInterval: .milliseconds(50), engine: .custom(engine),
            configuration: configuration, components: components)
        ssc.receiverStream(receiver).foreachRDD { _ in }
        return ssc
    }

    /// Waits for as many as are provided; what is provided.
    func all(
        _ patience: Duration, _ provide: @escaping @Sendable () async throws -> [Element]
    ) async throws -> [Element] {
        let provided = Locked<[Element]>([])
        let promise = "a receiver stores what comes, each time it is started"
        try await limited(to: patience, promise) { [elements] in
            let expected = try await provide()
            provided.withLock { $0 = expected }
            try await elements.wait(for: { $0.count >= expected.count })
        }
        return provided.withLock { $0 }
    }

    func compare(_ expected: [Element]) throws {
        func counts(_ elements: [Element]) -> [Element: Int] {
            Dictionary(elements.map { ($0, 1) }, uniquingKeysWith: +)
        }
        let found = elements.read { $0 }
        try require(
            counts(found) == counts(expected),
            "a receiver stores what comes and nothing else: \(found), not \(expected)")
    }
}

private struct WatchingHandler: ReceivedBlockHandler {
    let base: BlockStoreHandler
    let watch: @Sendable (ReceivedBlock) -> Void

    func store(_ block: ReceivedBlock) async throws -> StoredBlock {
        let stored = try await base.store(block)
        watch(block)
        return stored
    }

    func remove(_ blocks: [StoredBlock]) async { await base.remove(blocks) }
}
