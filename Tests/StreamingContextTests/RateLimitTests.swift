import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A limit holds for each batch, whatever gives the elements and however many come at once.
@Suite("Rate limits")
struct RateLimitTests {
    enum Source: CaseIterable, Sendable {
        case textSocket, decodedSocket, rawSocket, standardInput
        case singleElements, arrays, blocks, sequence

        /// Whether elements are gathered, so that a block is cut later.
        var isGathered: Bool { self != .rawSocket && self != .blocks }
    }

    /// Numbers of two bytes.
    private struct PairDecoder: ByteStreamDecoder {
        var rest: [UInt8] = []

        mutating func decode(_ bytes: [UInt8], into elements: inout [Int]) throws {
            rest += bytes
            let count = rest.count / 2
            for index in 0..<count {
                elements.append(Int(rest[2 * index]) << 8 | Int(rest[2 * index + 1]))
            }
            rest.removeFirst(2 * count)
        }
    }

    /// Numbers without any suspension between them.
    private struct Numbers: AsyncSequence, AsyncIteratorProtocol, Sendable {
        let end: Int
        var last = -1

        mutating func next() async -> Int? {
            last += 1
            return last < end ? last : nil
        }
        func makeAsyncIterator() -> Numbers { self }
    }

    private static func configuration() -> StreamingContext.Configuration {
        var configuration = StreamingContext.Configuration()
        configuration.blockInterval = .seconds(1)
        configuration.receiver.rate = RateLimiter.Configuration(
            maximumRate: 100, burst: .milliseconds(200))
        return configuration
    }

    /// The bytes that stand for the numbers below `count` in a source.
    private func bytes(_ count: Int, _ source: Source) -> [UInt8] {
        switch source {
        case .decodedSocket: return (0..<count).flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
        case .rawSocket:
            var writer = ByteWriter()
            for number in 0..<count { number.encode(to: &writer) }
            let frame = writer.bytes
            return withUnsafeBytes(of: UInt32(frame.count).bigEndian) { Array($0) } + frame
        default: return Array((0..<count).map { "\($0)\n" }.joined().utf8)
        }
    }

    @Test(
        "a burst waits in the receiver, and no batch exceeds the limit", .timeLimit(.minutes(5)),
        arguments: Source.allCases)
    func burst(_ source: Source) async throws {
        let harness = StreamHarness(configuration: Self.configuration())
        let (ssc, count) = (harness.ssc, 10_000)
        let listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        let (host, port) = ("127.0.0.1", listener.port)
        let feed = Feed<Int>()
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        let (reading, writing) = (ends[0], ends[1])
        let stream: DStream<Int> =
            switch source {
            case .textSocket: ssc.socketTextStream(host, port: port).map { Int($0) ?? -1 }
            case .decodedSocket: ssc.socketStream(host, port: port) { PairDecoder() }
            case .rawSocket: ssc.rawSocketStream(host, port: port, of: Int.self)
            case .standardInput:
                ssc.lineStream(
                    descriptor: reading, storageLevel: .memoryOnly, maxLineBytes: 100,
                    longLines: .truncate,
                    OperatorSite("standardInputStream", file: #fileID, line: #line)
                ).map { Int($0) ?? -1 }
            case .sequence: ssc.stream { Numbers(end: count) }
            case .singleElements, .arrays, .blocks: ssc.receiverStream(feed)
            }
        let seen = harness.record(stream)
        try await ssc.start()
        let connection = try await self.connection(source, listener)
        let bytes = bytes(count, source)
        let sending = Task {
            switch source {
            case .textSocket, .decodedSocket, .rawSocket: try await connection?.writeAll(bytes)
            case .standardInput: #expect(write(writing, bytes, bytes.count) == bytes.count)
            case .sequence: break
            case .singleElements:
                for number in 0..<count { try await feed.output().store(number) }
            case .arrays: try await feed.output().store(contentsOf: Array(0..<count))
            case .blocks: try await feed.store(block: Array(0..<count))
            }
        }
        for tenth in Int64(1)...30 {
            // The next batch, the elements that wait, and the cut of what is gathered.
            await harness.clock.waitForSleepers(count: source.isGathered ? 3 : 2)
            harness.clock.advance(by: .milliseconds(100))
            if tenth % 10 == 0 { await harness.listener.batchSettled(.milliseconds(tenth * 100)) }
        }
        await harness.clock.waitForSleepers(count: source.isGathered ? 3 : 2)
        await ssc.stop()
        sending.cancel()
        _ = await sending.result
        connection?.close()
        listener.close()
        for end in [reading, writing] { close(end) }
        let counts = seen.batches.map(\.elements.count)
        // What a second allows, and a burst of a fifth of one.
        #expect(counts.allSatisfy { $0 <= 121 }, "\(counts)")
        #expect((270...301).contains(counts.reduce(0, +)), "\(counts)")
        let elements = seen.batches.flatMap(\.elements)
        #expect(elements == Array(0..<elements.count), "in order, and nothing is left out")
        #expect(harness.errors.isEmpty)
    }

    private func connection(
        _ source: Source, _ listener: TCPListener
    ) async throws -> TCPConnection? {
        switch source {
        case .textSocket, .decodedSocket, .rawSocket: try await listener.accept()
        default: nil
        }
    }

    @Test("a peer is held up while its lines wait", .timeLimit(.minutes(5)))
    func peer() async throws {
        let harness = StreamHarness(configuration: Self.configuration())
        let listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        let seen = harness.record(harness.ssc.socketTextStream("127.0.0.1", port: listener.port))
        try await harness.ssc.start()
        let connection = try await listener.accept()
        // More than the buffers of both sockets can take.
        let line = Array("0123456789abcde\n".utf8)
        let text = Array([[UInt8]](repeating: line, count: 64 << 16).joined())
        let sending = Task { try await connection.writeAll(text) }
        for tenth in Int64(1)...10 {
            await harness.clock.waitForSleepers(count: 3)
            harness.clock.advance(by: .milliseconds(100))
            if tenth == 10 { await harness.listener.batchSettled(.seconds(1)) }
        }
        sending.cancel()
        await #expect(throws: CancellationError.self) { try await sending.value }
        await harness.ssc.stop()
        connection.close()
        listener.close()
        #expect((90...121).contains(seen.batches[0].elements.count))
    }

    @Test("what waited for the limit is kept by a graceful stop", .timeLimit(.minutes(5)))
    func gracefulStop() async throws {
        let harness = StreamHarness(configuration: Self.configuration())
        let listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        let feed = Feed<Int>()
        let lines = harness.record(harness.ssc.socketTextStream("127.0.0.1", port: listener.port))
        let elements = harness.record(harness.ssc.receiverStream(feed))
        try await harness.ssc.start()
        let connection = try await listener.accept()
        try await connection.writeAll(Array((0..<1000).map { "\($0)\n" }.joined().utf8))
        let storing = Task { try await feed.store(block: Array(0..<1000)) }
        // The batch, two limits and the cut of the first line.
        await harness.clock.waitForSleepers(count: 4)
        let report = await harness.ssc.stop(graceful: true)
        try await storing.value
        connection.close()
        listener.close()
        #expect(report.isDrained)
        #expect(lines.batches.flatMap(\.elements) == (0..<1000).map(String.init))
        #expect(elements.batches.flatMap(\.elements) == Array(0..<1000))
    }
}
