import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Synchronization
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

    /// A context whose receivers may pass 100 elements a second.
    private struct Run {
        let clock = LimitClock(now: .milliseconds(5))
        let listener = RecordingListener()
        let ssc: StreamingContext

        init() {
            var configuration = StreamingContext.Configuration()
            configuration.blockInterval = .seconds(1)
            configuration.receiver.rate = RateLimiter.Configuration(
                maximumRate: 100, burst: .milliseconds(200))
            var components = StreamHarness.quietComponents
            components.clock = clock
            ssc = StreamingContext(
                appName: "limited", batchInterval: .seconds(1), engine: StreamHarness.usualEngine,
                configuration: configuration, components: components)
            ssc.addStreamingListener(listener)
        }

        /// Runs so many batches; time goes on when the limit has those wait that have elements left.
        func run(batches: Int64) async throws {
            var batch = Int64(1)
            while batch <= batches {
                let next = min(try await clock.nextLimit(), .seconds(batch))
                clock.manual.set(to: next)
                guard next == .seconds(batch) else { continue }
                try await listener.batchSettled(next)
                batch += 1
            }
        }
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
        let run = Run()
        let (ssc, count) = (run.ssc, 10_000)
        let seen = Locked<[[Int]]>([])
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
        stream.foreachRDD { rdd in
            let elements = try await rdd.collect()
            seen.withLock { $0.append(elements) }
        }
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
        try await run.run(batches: 3)
        await ssc.stop()
        sending.cancel()
        _ = await sending.result
        connection?.close()
        listener.close()
        ends.forEach { close($0) }
        let batches = seen.withLock { $0 }
        let counts = batches.map(\.count)
        // What a second allows, and a burst of a fifth of one.
        #expect(counts.allSatisfy { $0 <= 121 }, "\(counts)")
        #expect((270...301).contains(counts.reduce(0, +)), "\(counts)")
        let elements = batches.flatMap(\.self)
        #expect(elements == Array(0..<elements.count), "in order, and nothing is left out")
        #expect(ssc.reportedErrors.isEmpty)
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
        let run = Run()
        let listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        let counts = Notes<Int>()
        run.ssc.socketTextStream("127.0.0.1", port: listener.port).foreachRDD {
            counts.add(try await $0.count())
        }
        try await run.ssc.start()
        let connection = try await listener.accept()
        // Empty lines, more than the buffers of both sockets can take.
        let text = [UInt8](repeating: UInt8(ascii: "\n"), count: 64 << 20)
        let sending = Task { try await connection.writeAll(text) }
        try await run.run(batches: 2)
        sending.cancel()
        await #expect(throws: CancellationError.self) { try await sending.value }
        await run.ssc.stop()
        connection.close()
        listener.close()
        #expect(counts.all.allSatisfy { (80...121).contains($0) }, "\(counts.all)")
    }

    @Test("what waited for the limit is kept by a graceful stop", .timeLimit(.minutes(5)))
    func gracefulStop() async throws {
        let run = Run()
        let listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        let feed = Feed<Int>()
        let (lines, elements) = (Notes<String>(), Notes<Int>())
        run.ssc.socketTextStream("127.0.0.1", port: listener.port).foreachRDD {
            for line in try await $0.collect() { lines.add(line) }
        }
        run.ssc.receiverStream(feed).foreachRDD {
            for element in try await $0.collect() { elements.add(element) }
        }
        try await run.ssc.start()
        let connection = try await listener.accept()
        let text = Array((0..<1000).map { "\($0)\n" }.joined().utf8)
        try await connection.writeAll(text)
        let storing = Task { try await feed.store(block: Array(0..<1000)) }
        _ = try await run.clock.nextLimit(of: 2)
        let report = await run.ssc.stop(graceful: true)
        try await storing.value
        connection.close()
        listener.close()
        #expect(report.isDrained)
        #expect(lines.all == (0..<1000).map(String.init))
        #expect(elements.all == Array(0..<1000))
    }
}
