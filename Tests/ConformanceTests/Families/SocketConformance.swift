import BatchEngine
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Synchronization

/// The lines of a text server, from a real socket to batches.
enum SocketConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("socketTextStream") { recorded in
            guard recorded.pipeline == "socketTextStream" else {
                throw Pipelines.Unknown(description: "no pipeline is known as \(recorded.pipeline)")
            }
            let order = try CaseOrder(&recorded.body)
            let interval = try recorded.params.takeDuration("batchMillis")
            let count = Int(try recorded.params.takeInt("numBatches"))
            let sent = try recorded.body.takeArray("sent").map { try ElementForm.string.read($0) }
            let expected = try recorded.body.takeArray("outputs").map { try CaseBatch($0) }
            let ours = try await run(interval: interval, sent: sent, count: count)
            return order.differences("output", ours: ours, expected: expected)
        }
    }

    /// Sends texts, each before its batch, and gives what the batches were.
    private static func run(
        interval: Duration, sent: [String], count: Int
    ) async throws -> [CaseBatch] {
        let server = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        defer { server.close() }
        let clock = ManualClock()
        let listener = RecordingListener()
        let engine = LocalEngine(LocalEngine.Configuration(slots: 2))
        defer { engine.shutdown() }
        let stored = StoredLines(BlockStoreHandler(streamID: StreamID(0), engine: engine))
        var components = StreamingContext.Components()
        components.clock = clock
        components.receivedBlockHandler = stored
        var configuration = PipelineBuilder.configuration
        // Every line is a block at once, so that no time has to pass on the clock.
        configuration.receiver.maxBlockRecords = 1
        let ssc = StreamingContext(
            appName: "socket", batchInterval: interval, engine: .custom(engine),
            configuration: configuration, components: components)
        ssc.addStreamingListener(listener)
        let batches = Collected<CaseBatch>()
        ssc.socketTextStream("127.0.0.1", port: server.port).foreachRDD { rdd, time in
            let lines = try await rdd.collect().map { PieceJSON.string($0) }
            batches.append(CaseBatch(time: time.milliseconds, elements: lines))
        }
        try await ssc.start()
        let connection = try await server.accept()
        defer { connection.close() }
        var lineCount = 0
        for batch in 0..<count {
            let text = Array((batch < sent.count ? sent[batch] : "").utf8)
            try await connection.writeAll(text)
            lineCount += text.count { $0 == UInt8(ascii: "\n") }
            await stored.wait(for: lineCount)
            clock.advance(by: interval)
            await listener.batchSettled(clock.now)
        }
        await ssc.stop()
        return batches.take()
    }
}

/// Stores blocks and lets a test wait until so many lines have been stored.
private final class StoredLines: ReceivedBlockHandler {
    private struct State {
        var count = 0
        var waiter: (count: Int, gate: Gate)?
    }

    private let handler: BlockStoreHandler
    private let state = Mutex(State())

    init(_ handler: BlockStoreHandler) {
        self.handler = handler
    }

    func store(_ block: ReceivedBlock) async throws -> StoredBlock {
        let stored = try await handler.store(block)
        state.withLock { state in
            state.count += block.recordCount
            if let waiter = state.waiter, waiter.count <= state.count { waiter.gate.open() }
        }
        return stored
    }

    func remove(_ blocks: [StoredBlock]) async { await handler.remove(blocks) }

    func wait(for count: Int) async {
        let gate = Gate()
        state.withLock { state in
            if state.count >= count { return gate.open() }
            state.waiter = (count, gate)
        }
        await gate.wait()
    }
}
