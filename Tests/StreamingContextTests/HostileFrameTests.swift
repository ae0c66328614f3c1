import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Synchronization
import Testing

/// Raw sockets whose peers send what takes far more memory or time than it should.
@Suite("Hostile frames", .timeLimit(.minutes(5)))
struct HostileFrameTests {
    /// A context that reads what one peer sends: its blocks hold 64 KB, its receivers may store 256 KB.
    private struct Run<Element: StreamCodable & Equatable> {
        let store = PeakBlockStore()
        let harness: StreamHarness
        let seen: OutputRecorder<Element>
        let sending: Task<Void, any Error>
        private let engine: LocalEngine
        private let listener: TCPListener
        private let connection: TCPConnection

        /// Starts, and lets the peer send.
        init(_ bytes: [UInt8]) async throws {
            var configuration = StreamingContext.Configuration()
            configuration.receiver.maxBlockBytes = 64 << 10
            configuration.receiver.receivedBytesLimit = 256 << 10
            engine = LocalEngine(LocalEngine.Configuration(slots: 2), blockStore: store)
            harness = StreamHarness(engine: .custom(engine), configuration: configuration)
            listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
            seen = harness.record(
                harness.ssc.rawSocketStream("127.0.0.1", port: listener.port, of: Element.self))
            try await harness.ssc.start()
            let connection = try await listener.accept()
            self.connection = connection
            sending = Task { try await connection.writeAll(bytes) }
        }

        func stop() async {
            await harness.ssc.stop()
            connection.close()
            listener.close()
            engine.shutdown()
        }

        /// Moves on until batches have had so many elements.
        func advance(until count: Int) async throws {
            try await harness.advance { StreamHarness.recordCount($0) >= count }
        }
    }

    private func frame(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter()
        write(&writer)
        return header(writer.count) + writer.bytes
    }

    private func header(_ count: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt32(count).bigEndian) { Array($0) }
    }

    /// What arrives of one connection, in order; every partition is one block.
    private func received<Element: StreamCodable & Equatable>(
        _ bytes: [UInt8], count: Int, of type: Element.Type
    ) async throws -> (elements: [Element], blocks: [Int], peakBytes: Int) {
        let run = try await Run<Element>(bytes)
        try await run.advance(until: count)
        try await run.sending.value
        await run.stop()
        #expect(run.harness.listener.events.count(where: \.isReceiverRestarting) == 0)
        let blocks = run.seen.batches.flatMap(\.partitions).map(\.count).filter { $0 > 0 }
        return (run.seen.batches.flatMap(\.elements), blocks, run.store.peakBytes)
    }

    @Test("a frame that is longer than all that may be stored")
    func longFrame() async throws {
        let count = 100_000
        let bytes = frame { writer in for number in 0..<count { number.encode(to: &writer) } }
        let result = try await received(bytes, count: count, of: Int.self)
        #expect(result.elements == Array(0..<count))
        #expect(result.blocks.allSatisfy { $0 <= 8 << 10 }, "\(result.blocks)")
        #expect((32 << 10)...(256 << 10) ~= result.peakBytes, "\(result.peakBytes)")
    }

    @Test("elements that take more memory than bytes")
    func emptyStrings() async throws {
        let count = 50_000
        let bytes = header(count) + [UInt8](repeating: 0, count: count)
        let result = try await received(bytes, count: count, of: String.self)
        #expect(result.elements == [String](repeating: "", count: count))
        #expect(result.blocks.allSatisfy { $0 * 16 <= 64 << 10 }, "\(result.blocks)")
        #expect((32 << 10)...(256 << 10) ~= result.peakBytes, "\(result.peakBytes)")
    }

    @Test("arrays of elements without bytes are measured, too")
    func nestedStrings() async throws {
        let element = [String](repeating: "", count: 1000)
        let count = 200
        let bytes = frame { writer in for _ in 0..<count { element.encode(to: &writer) } }
        let result = try await received(bytes, count: count, of: [String].self)
        #expect(result.elements == [[String]](repeating: element, count: count))
        // 16,000 bytes each in memory, 1,002 in the frame.
        #expect(result.blocks.allSatisfy { $0 <= 4 }, "\(result.blocks)")
    }

    @Test(
        "each array of one element is measured with what its storage takes"
    )
    func smallArrays() async throws {
        let count = 20_000
        let bytes = frame { writer in for _ in 0..<count { [7].encode(to: &writer) } }
        let result = try await received(bytes, count: count, of: [Int].self)
        #expect(result.elements == [[Int]](repeating: [7], count: count))
        // 58 bytes each in memory, 2 in the frame.
        #expect(result.blocks.dropLast().allSatisfy { $0 == (64 << 10) / 58 + 1 })
        #expect((32 << 10)...(256 << 10) ~= result.peakBytes, "\(result.peakBytes)")
    }

    private struct Row: Codable, Equatable, StreamCodable {
        var numbers: [Int] = []
        var names: [String: Int] = [:]
    }

    @Test(
        "a Codable element that takes more memory than may be stored",
        arguments: [false, true])
    func largeCodable(isKeyed: Bool) async throws {
        var row = Row()
        if isKeyed {
            for number in 0..<8000 { row.names["\(number)"] = 0 }
        } else {
            row.numbers = [Int](repeating: 0, count: 50_000)
        }
        let bytes = frame { row.encode(to: &$0) }
        #expect(bytes.count < 128 << 10)
        let result = try await failure(bytes, of: Row.self)
        #expect(result.message.contains("receivedBytesLimit") && result.elements.isEmpty)
    }

    @Test("many small frames that come at once share blocks")
    func smallFrames() async throws {
        let count = 20_000
        let bytes = (0..<count).flatMap { number in frame { number.encode(to: &$0) } }
        let result = try await received(bytes, count: count, of: Int.self)
        #expect(result.elements == Array(0..<count))
        #expect(result.blocks.count < count / 10, "\(result.blocks.count)")
    }

    /// What a connection whose last frame is wrong gives, and the error that ends it.
    private func failure<Element: StreamCodable & Equatable>(
        _ bytes: [UInt8], count: Int = 0, of type: Element.Type
    ) async throws -> (elements: [Element], message: String) {
        let run = try await Run<Element>(bytes)
        try await run.harness.listener.first(\.isReceiverRestarting)
        run.sending.cancel()
        _ = await run.sending.result
        try await run.advance(until: count)
        await run.stop()
        let messages = run.harness.listener.events.compactMap { event in
            if case .receiverStopped(let info) = event { info.lastErrorMessage } else { nil }
        }
        return (run.seen.batches.flatMap(\.elements), messages.first ?? "")
    }

    @Test("an element that takes more memory than may be stored")
    func largeElement() async throws {
        // 50 KB of bytes, 800 KB of strings.
        let element = [String](repeating: "", count: 50_000)
        let result = try await failure(frame { element.encode(to: &$0) }, of: [String].self)
        #expect(result.message.contains("an element that takes more than the 262144 bytes"))
        #expect(result.message.contains("receivedBytesLimit") && result.elements.isEmpty)
    }

    @Test(
        "an element with more bytes than may be stored is not waited for")
    func longElement() async throws {
        // A string of 1 GB is promised, and a part of it comes.
        var writer = ByteWriter()
        writer.writeVarint(1 << 30 - 10)
        let bytes = header(1 << 30) + writer.bytes + [UInt8](repeating: 0x61, count: 1 << 20)
        let result = try await failure(bytes, of: String.self)
        #expect(result.message.contains("receivedBytesLimit") && result.elements.isEmpty)
    }

    @Test(
        "what was good before what is wrong is kept, and nothing of a bad frame")
    func badTail() async throws {
        let good = (0..<100).flatMap { number in frame { number.encode(to: &$0) } }
        let bad = frame { writer in
            7.encode(to: &writer)
            // A number that goes on.
            writer.writeByte(0x80)
        }
        let result = try await failure(good + bad, count: 100, of: Int.self)
        #expect(result.elements == Array(0..<100))
        #expect(result.message.contains("does not hold Int"))
    }

    @Test(
        "frames without bytes, from as many peers as there are cores, hold nothing up",
        .timeLimit(.minutes(2)))
    func floods() async throws {
        let harness = StreamHarness()
        let feed = Feed<Int>()
        let seen = harness.record(harness.ssc.receiverStream(feed))
        let listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        let count = max(2, ResourceUsage.coreCount())
        for _ in 0..<count {
            _ = harness.record(
                harness.ssc.rawSocketStream("127.0.0.1", port: listener.port, of: Int.self))
        }
        try await harness.ssc.start()
        let threads = (0..<count).map { IOThread(name: "peer \($0)") }
        var floods: [Task<Void, any Error>] = []
        for thread in threads {
            let connection = try await listener.accept()
            floods.append(
                Task(executorPreference: thread) {
                    defer { connection.close() }
                    let frames = [UInt8](repeating: 0, count: 1 << 20)
                    while true { try await connection.writeAll(frames) }
                })
        }
        for number in 1...3 {
            try await feed.store(block: [number])
            try await harness.advance()
        }
        let report = await harness.ssc.stop(graceful: true)
        for flood in floods {
            flood.cancel()
            _ = await flood.result
        }
        threads.forEach { $0.shutdown() }
        listener.close()
        #expect(report.isDrained && report.abandoned.isEmpty)
        #expect(seen.batches.prefix(3).map(\.elements) == [[1], [2], [3]])
    }
}

/// A store in memory that knows how much it has held at most.
private final class PeakBlockStore: BlockStore {
    private let base = MemoryBlockStore()
    private let peak = Locked(0)

    var peakBytes: Int { peak.withLock { $0 } }
    var usage: BlockStoreUsage { base.usage }

    func put(
        _ id: BlockID, _ contents: [PartitionData], level: StorageLevel, codec: ErasedCodec?
    ) throws {
        try base.put(id, contents, level: level, codec: codec)
        let bytes = base.usage.memoryBytes
        peak.withLock { $0 = max($0, bytes) }
    }

    func get(_ id: BlockID) throws -> [PartitionData]? { try base.get(id) }
    func elementCount(of id: BlockID) -> Int? { base.elementCount(of: id) }
    func remove(_ id: BlockID) { base.remove(id) }
}
