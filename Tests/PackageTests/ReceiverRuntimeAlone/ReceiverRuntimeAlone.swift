import BatchEngine
import ReceiverRuntime

/// A receiver of the user's own.
struct NothingReceived: Receiver {
    func run(_ output: ReceiverOutput<Int>) async throws {}
}

@main
struct ReceiverRuntimeAlone {
    static func main() async throws {
        try await storedElements()
        var limiter = RateLimiter(configuration: .init(maximumRate: 10), now: .zero)
        precondition(limiter.take(upTo: 100, now: .seconds(1)) == .granted(2))
        precondition(limiter.take(upTo: 1, now: .seconds(1)) == .wait(.milliseconds(100)))
        precondition(NothingReceived().name == "NothingReceived")
    }

    /// What a block store holds of a received block, in each form.
    private static func storedElements() async throws {
        let engine = LocalEngine(slots: 1)
        defer { engine.shutdown() }
        let registration = ReceiverRegistration(NothingReceived(), streamID: .init(0))
        for (number, level) in [StorageLevel.memoryOnly, .memoryOnlySerialized].enumerated() {
            let handler = BlockStoreHandler(
                streamID: .init(0), engine: engine, level: level, codec: registration.codec)
            let block = ReceivedBlock(
                id: .input(stream: 0, Int64(number)), contents: [.values(Values([1, 2]))],
                recordCount: 2, byteCount: 16)
            let stored = try await handler.store(block)
            let pieces = try engine.blockStore.get(stored.id) ?? []
            let elements = try pieces.flatMap { try $0.elements(of: Int.self) }
            precondition(elements == [1, 2])
        }
    }
}
