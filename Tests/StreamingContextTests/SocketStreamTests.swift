import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Testing

/// Streams from real sockets on the loopback.
@Suite("Socket streams")
struct SocketStreamTests {
    private func listen() async throws -> TCPListener {
        try await TCPListener.bind(host: "127.0.0.1", port: 0)
    }

    @Test("a server that goes away is connected to again", .timeLimit(.minutes(5)))
    func restart() async throws {
        let harness = StreamHarness()
        let listener = try await listen()
        let seen = harness.record(harness.ssc.socketTextStream("127.0.0.1", port: listener.port))
        try await harness.ssc.start()
        let first = try await listener.accept()
        try await first.writeAll(Array("one\ntwo\r\n".utf8))
        try await harness.advance { StreamHarness.recordCount($0) == 2 }
        try await first.writeAll(Array("cut off".utf8))
        first.close()
        try await harness.listener.first(\.isReceiverRestarting)
        // The delay of two seconds passes.
        try await harness.advance { $0.count(where: \.isReceiverStarted) == 2 }
        let second = try await listener.accept()
        try await second.writeAll(Array("three\n".utf8))
        try await harness.advance { StreamHarness.recordCount($0) == 4 }
        #expect(seen.batches.flatMap(\.elements) == ["one", "two", "cut off", "three"])
        #expect(harness.errors.isEmpty, "the stream lives on")
        await harness.ssc.stop()
        second.close()
        listener.close()
        harness.clock.finish()
    }

    @Test("a connection that is refused is reported and tried again", .timeLimit(.minutes(5)))
    func refused() async throws {
        let harness = StreamHarness()
        let listener = try await listen()
        let port = listener.port
        listener.close()
        _ = harness.record(harness.ssc.socketTextStream("127.0.0.1", port: port))
        try await harness.ssc.start()
        try await harness.listener.first(\.isReceiverRestarting)
        try await harness.advance { $0.count(where: \.isReceiverRestarting) == 2 }
        let stopped = harness.listener.events.compactMap { event in
            if case .receiverStopped(let info) = event { info } else { nil }
        }
        let text = stopped.first?.lastErrorMessage ?? ""
        #expect(text.hasPrefix("Restarting receiver with delay 2000ms: "), "\(text)")
        #expect(text.contains("127.0.0.1") && text.contains("\(port)"), "\(text)")
        #expect(text.contains("refused"), "\(text)")
        #expect(harness.errors.isEmpty && harness.ssc.state == .active)
        await harness.ssc.stop()
        harness.clock.finish()
    }

    @Test("long lines and bytes that are no UTF-8 are counted", .timeLimit(.minutes(5)))
    func badLines() async throws {
        let harness = StreamHarness()
        let listener = try await listen()
        let seen = harness.record(
            harness.ssc.socketTextStream("127.0.0.1", port: listener.port, maxLineBytes: 4))
        try await harness.ssc.start()
        let connection = try await listener.accept()
        try await connection.writeAll(Array("abcdef\nok\n".utf8) + [0x61, 0xFF, 0x0A])
        try await harness.advance { StreamHarness.recordCount($0) == 3 }
        #expect(seen.batches.flatMap(\.elements) == ["abcd", "ok", "a\u{FFFD}"])
        let stream = StreamID(0)
        try await harness.listener.first { $0 == .invalidUTF8Replaced(stream: stream, count: 1) }
        try await harness.listener.first { $0 == .linesTruncated(stream: stream, count: 1) }
        await harness.ssc.stop()
        connection.close()
        listener.close()
    }

    /// Numbers of two bytes.
    private struct PairDecoder: ByteStreamDecoder {
        var rest: [UInt8] = []

        mutating func decode(_ bytes: [UInt8], into elements: inout [Int]) throws {
            rest += bytes
            while rest.count >= 2 {
                elements.append(Int(rest[0]) << 8 | Int(rest[1]))
                rest.removeFirst(2)
            }
        }
    }

    @Test("a decoder makes elements of bytes", .timeLimit(.minutes(5)))
    func decoded() async throws {
        let harness = StreamHarness()
        let listener = try await listen()
        let seen = harness.record(
            harness.ssc.socketStream("127.0.0.1", port: listener.port) { PairDecoder() })
        try await harness.ssc.start()
        let connection = try await listener.accept()
        try await connection.writeAll([1, 0, 0])
        try await harness.advance { StreamHarness.recordCount($0) == 1 }
        try await connection.writeAll([7])
        try await harness.advance { StreamHarness.recordCount($0) == 2 }
        #expect(seen.batches.flatMap(\.elements) == [256, 7])
        await harness.ssc.stop()
        connection.close()
        listener.close()
    }

    @Test("raw frames are blocks; a bad one ends its connection", .timeLimit(.minutes(5)))
    func raw() async throws {
        let harness = StreamHarness()
        let listener = try await listen()
        let seen = harness.record(
            harness.ssc.rawSocketStream("127.0.0.1", port: listener.port, of: String.self))
        try await harness.ssc.start()
        let connection = try await listener.accept()
        var writer = ByteWriter()
        "first".encode(to: &writer)
        "second".encode(to: &writer)
        let frame = writer.bytes
        let length: [UInt8] = [0, 0, 0, UInt8(frame.count)]
        try await connection.writeAll(length + frame)
        try await harness.advance { StreamHarness.recordCount($0) == 2 }
        #expect(seen.batches.flatMap(\.elements) == ["first", "second"])
        try await connection.writeAll([0xFF, 0xFF, 0xFF, 0xFF])
        try await harness.listener.first(\.isReceiverRestarting)
        #expect(harness.errors.isEmpty)
        await harness.ssc.stop()
        connection.close()
        listener.close()
    }

    @Test("an asynchronous sequence is a stream", .timeLimit(.minutes(5)))
    func sequence() async throws {
        let harness = StreamHarness()
        let (source, continuation) = AsyncStream.makeStream(of: Int.self)
        let seen = harness.record(harness.ssc.stream { source })
        try await harness.ssc.start()
        for number in 1...3 { continuation.yield(number) }
        try await harness.advance { StreamHarness.recordCount($0) == 3 }
        continuation.finish()
        try await harness.advance()
        #expect(seen.batches.flatMap(\.elements) == [1, 2, 3])
        #expect(harness.listener.events.count(where: \.isReceiverRestarting) == 0)
        await harness.ssc.stop()
        harness.clock.finish()
    }
}
