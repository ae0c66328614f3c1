import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import Synchronization
import Testing

/// Receivers of bytes, against servers on the loopback and without.
@Suite(.timeLimit(.minutes(5))) struct SocketReceiverTests {
    /// A port at which a test plays the server.
    private func listen() async throws -> TCPListener {
        try await TCPListener.bind(host: "127.0.0.1", port: 0)
    }

    /// All elements once there are so many; the clock is moved to whatever is waited for.
    private func received<Element: Sendable>(
        _ count: Int, of type: Element.Type, _ rig: Rig
    ) async throws -> [Element] {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    let next = await rig.clock.nextSleeper()
                    rig.clock.set(to: max(rig.clock.now, next))
                }
            }
            defer { group.cancelAll() }
            let blocks = try await rig.handler.blocks(where: { blocks in
                blocks.reduce(0) { $0 + $1.recordCount } >= count
            })
            return blocks.flatMap { $0.elements(of: type) }
        }
    }

    @Test func linesArriveAndALostConnectionIsMadeAgain() async throws {
        let (rig, listener) = (Rig(), try await listen())
        defer { listener.close() }
        let receiver = SocketReceiver(host: "127.0.0.1", port: listener.port)
        try await rig.run(receiver) { _ in
            let first = try await listener.accept()
            try await first.writeAll(Array("a\r\nb\n\nc d\n".utf8))
            var lines = try await received(4, of: String.self, rig)
            #expect(lines == ["a", "b", "", "c d"])
            try await first.writeAll(Array("last".utf8))
            first.close()
            _ = try await rig.events.events(where: { events in
                events.contains { if case .receiverRestarting = $0 { true } else { false } }
            })
            guard case .receiverStopped(let info)? = rig.events.events.dropLast().last else {
                Issue.record("\(rig.events.events)")
                return
            }
            #expect(
                info.lastErrorMessage == "Restarting receiver with delay 2000ms: "
                    + "127.0.0.1:\(listener.port) ended the connection")
            // The cut of the last line and the restart.
            await rig.clock.waitForSleepers(count: 2)
            rig.clock.advance(by: .seconds(2))
            let second = try await listener.accept()
            try await second.writeAll(Array("again\n".utf8))
            lines = try await received(6, of: String.self, rig)
            #expect(lines.suffix(2) == ["last", "again"])
            second.close()
        }
    }

    @Test func aRefusedConnectionNamesHostAndPort() async throws {
        let (rig, listener) = (Rig(), try await listen())
        let port = listener.port
        listener.close()
        try await rig.run(SocketReceiver(host: "127.0.0.1", port: port)) { _ in
            let events = try await rig.events.events(atLeast: 2)
            guard case .receiverStopped(let info) = events[1] else {
                Issue.record("\(events)")
                return
            }
            #expect(info.lastError?.contains("127.0.0.1:\(port)") == true)
        }
    }

    @Test func longLinesAndBadBytesAreCounted() async throws {
        let (rig, listener) = (Rig(), try await listen())
        defer { listener.close() }
        let receiver = SocketReceiver(host: "127.0.0.1", port: listener.port, maxLineBytes: 4)
        try await rig.run(receiver) { _ in
            let server = try await listener.accept()
            try await server.writeAll(Array("123456\nok\n".utf8) + [0xff, 0x0a])
            let lines = try await received(3, of: String.self, rig)
            #expect(lines == ["1234", "ok", "\u{FFFD}"])
            let stream = StreamID(0)
            _ = try await rig.events.events(where: { events in
                events.contains(.linesTruncated(stream: stream, count: 1))
                    && events.contains(.invalidUTF8Replaced(stream: stream, count: 1))
            })
            server.close()
        }
    }

    @Test func listenersAreNotCalledOnTheThreadOfSocketsAndTimers() async throws {
        let listener = try await listen()
        defer { listener.close() }
        let ioThread = await Task(executorPreference: IOThread.shared) { SystemThread.current }
            .value
        let threads = ThreadListener()
        var rig = Rig()
        rig.listeners = [threads]
        try await rig.run(SocketReceiver(host: "127.0.0.1", port: listener.port)) { _ in
            let server = try await listener.accept()
            try await server.writeAll([0xff, 0x0a])
            _ = try await rig.events.events(where: {
                $0.contains(.invalidUTF8Replaced(stream: StreamID(0), count: 1))
            })
            server.close()
        }
        #expect(!threads.seen.isEmpty && !threads.seen.contains(ioThread))
    }

    @Test func manyLinesArriveOnceAndInOrder() async throws {
        let (rig, listener) = (Rig { $0.maxBlockBytes = 100_000 }, try await listen())
        defer { listener.close() }
        let count = 200_000
        try await rig.run(SocketReceiver(host: "127.0.0.1", port: listener.port)) { _ in
            let server = try await listener.accept()
            async let writing: Void = {
                for start in stride(from: 0, to: count, by: 10_000) {
                    let text = (start..<(start + 10_000)).map { "line \($0)\n" }.joined()
                    try await server.writeAll(Array(text.utf8))
                }
            }()
            let lines = try await received(count, of: String.self, rig)
            #expect(lines == (0..<count).map { "line \($0)" })
            try await writing
            server.close()
        }
    }

    struct NumberDecoder: ByteStreamDecoder {
        var rest: [UInt8] = []
        mutating func decode(_ bytes: [UInt8], into elements: inout [Int]) throws {
            for byte in bytes {
                guard byte != 0 else { throw TestFailure("a zero") }
                if byte == UInt8(ascii: ";") {
                    elements.append(Int(String(decoding: rest, as: UTF8.self)) ?? -1)
                    rest = []
                } else {
                    rest.append(byte)
                }
            }
        }
        mutating func finish(into elements: inout [Int]) { elements.append(rest.count) }
    }

    @Test func aConverterMakesElements() async throws {
        let (rig, listener) = (Rig(), try await listen())
        defer { listener.close() }
        let receiver = SocketStreamReceiver(host: "127.0.0.1", port: listener.port) {
            NumberDecoder()
        }
        try await rig.run(receiver) { _ in
            let first = try await listener.accept()
            try await first.writeAll(Array("1;22;3".utf8))
            first.close()
            _ = try await rig.events.events(atLeast: 3)
            await rig.clock.waitForSleepers(count: 2)
            rig.clock.advance(by: .seconds(2))
            let second = try await listener.accept()
            try await second.writeAll(Array("4;".utf8) + [0])
            let numbers = try await received(4, of: Int.self, rig)
            #expect(numbers == [1, 22, 1, 4])
            _ = try await rig.events.events(where: { events in
                events.contains {
                    if case .receiverStopped(let info) = $0 {
                        info.lastError == "a zero"
                    } else {
                        false
                    }
                }
            })
            second.close()
        }
    }

    private func frame(_ elements: [String]) throws -> [UInt8] {
        var writer = ByteWriter()
        for element in elements { element.encode(to: &writer) }
        let bytes = try writer.takeBytes()
        return withUnsafeBytes(of: UInt32(bytes.count).bigEndian) { Array($0) } + bytes
    }

    @Test(
        arguments: [
            ([0xff, 0xff, 0xff, 0xff], "-1 bytes"), ([0, 0, 1, 0], "256 bytes"),
            ([0, 0, 0, 2, 9, 9], "does not hold String"),
        ] as [([UInt8], String)])
    func rawFramesAreBlocksAndBadOnesEndTheConnection(
        _ bad: [UInt8], _ message: String
    ) async throws {
        let (rig, listener) = (Rig { $0.rawMaxBlockSizeBytes = 255 }, try await listen())
        defer { listener.close() }
        let receiver = RawSocketReceiver<String>(host: "127.0.0.1", port: listener.port)
        try await rig.run(receiver) { tracker in
            let server = try await listener.accept()
            let good = try frame(["a", "b"]) + [0, 0, 0, 0] + frame(["c"])
            for byte in good { try await server.writeAll([byte]) }
            _ = try await rig.handler.blocks(atLeast: 2)
            try await server.writeAll(bad)
            let events = try await rig.events.events(atLeast: 3)
            guard case .receiverStopped(let info) = events[1] else {
                Issue.record("\(events)")
                return
            }
            #expect(info.lastErrorMessage?.contains(message) == true)
            #expect(info.lastErrorMessage?.contains("127.0.0.1:\(listener.port)") == true)
            server.close()
            #expect(await tracker.unallocatedBlocks(of: StreamID(0)).map(\.recordCount) == [2, 1])
        }
        #expect(rig.handler.blocks.elements(of: String.self) == [["a", "b"], ["c"]])
    }

    @Test func aSequenceThatEndsLeavesTheStreamRunning() async throws {
        let rig = Rig()
        let (sequence, continuation) = AsyncStream.makeStream(
            of: Int.self, bufferingPolicy: .bufferingOldest(10))
        for number in 0..<5 { continuation.yield(number) }
        continuation.finish()
        try await rig.run(AsyncSequenceReceiver { sequence }) { _ in
            let numbers = try await received(5, of: Int.self, rig)
            #expect(numbers == [0, 1, 2, 3, 4])
        }
        #expect(rig.events.events.count == 2)
    }

    @Test func aSequenceMayBeMadeAnew() async throws {
        let rig = Rig()
        let receiver = AsyncSequenceReceiver(name: "feed", atEnd: .restart) {
            AsyncStream<Int>(unfolding: Counter(limit: 2).next)
        }
        try await rig.run(receiver) { _ in
            await rig.clock.waitForSleepers(count: 2)
            rig.clock.advance(by: .seconds(2))
            _ = try await rig.events.events(atLeast: 6)
        }
        #expect(rig.handler.blocks.flatMap { $0.elements(of: Int.self) } == [1, 2, 1, 2])
        guard case .receiverStarted(let info)? = rig.events.events.first else {
            Issue.record("no start")
            return
        }
        #expect(info.name == "feed-0")
    }

    private final class Counter: Sendable {
        private let count = AsyncMonitor(0)
        private let limit: Int
        init(limit: Int) { self.limit = limit }
        @Sendable func next() async -> Int? {
            count.update { count in
                count += 1
                return count <= self.limit ? count : nil
            }
        }
    }
}

/// Remembers the threads on which it was called.
private final class ThreadListener: StreamingListener {
    private let threads = Locked<Set<UInt>>([])

    var seen: Set<UInt> { threads.withLock { $0 } }

    func onEvent(_ event: StreamEvent) {
        threads.withLock { _ = $0.insert(SystemThread.current) }
    }
}
