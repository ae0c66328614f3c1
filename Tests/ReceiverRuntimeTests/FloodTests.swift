import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import Testing

/// Peers that send without end what makes no elements, or that never let a receiver wait.
@Suite struct FloodTests {
    private struct NothingDecoder: ByteStreamDecoder {
        mutating func decode(_ bytes: [UInt8], into elements: inout [Int]) {}
    }

    /// More bytes than the buffers of both sockets hold: by then the receiver has read some.
    private static let flood = 16 << 20

    /// A sequence that never suspends.
    private struct Endless: AsyncSequence, AsyncIteratorProtocol, Sendable {
        mutating func next() async -> Int? { 1 }
        func makeAsyncIterator() -> Endless { self }
    }

    /// Floods a receiver that runs on one thread: others on it get their turns, and it is cancelled.
    private func flood<Source: Receiver>(
        with bytes: [UInt8]?, on thread: IOThread, _ make: (Int) -> Source
    ) async throws {
        let listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        let receiver = make(listener.port)
        let (rig, feed, isFlooded) = (Rig(), FeedReceiver<Source.Element>(), TestGate())
        // The peer has a thread of its own, so that nothing but the receiver is in its way.
        let peerThread = IOThread(name: "peer")
        try await rig.run(feed, graceful: false) { _ in
            let output = try await feed.output()
            let receiving = Task(executorPreference: thread) { try await receiver.run(output) }
            var sending: Task<Void, any Error>?
            if let bytes {
                let connection = try await listener.accept()
                sending = Task(executorPreference: peerThread) {
                    defer { connection.close() }
                    for written in 1... {
                        try await connection.writeAll(bytes)
                        if written * bytes.count >= Self.flood { isFlooded.open() }
                    }
                }
                try await isFlooded.wait()
            }
            let other = Task(executorPreference: thread) {
                for _ in 0..<200 { await Task.yield() }
            }
            await other.value
            receiving.cancel()
            await #expect(throws: CancellationError.self) { try await receiving.value }
            sending?.cancel()
            _ = await sending?.result
        }
        listener.close()
        peerThread.shutdown()
    }

    @Test(.timeLimit(.minutes(2))) func framesWithoutBytes() async throws {
        let thread = IOThread(name: "receiver")
        try await flood(with: [UInt8](repeating: 0, count: 1 << 20), on: thread) { port in
            RawSocketReceiver<Int>(host: "127.0.0.1", port: port)
        }
        thread.shutdown()
    }

    @Test(.timeLimit(.minutes(2))) func bytesWithoutElements() async throws {
        let thread = IOThread(name: "receiver")
        try await flood(with: [UInt8](repeating: 7, count: 1 << 20), on: thread) { port in
            SocketStreamReceiver(host: "127.0.0.1", port: port) { NothingDecoder() }
        }
        thread.shutdown()
    }

    @Test(.timeLimit(.minutes(2)), arguments: [LineSplitter.LongLinePolicy.truncate, .refuse])
    func aLineWithoutEnd(_ policy: LineSplitter.LongLinePolicy) async throws {
        // Text is read on the thread of all sockets and timers.
        try await flood(with: [UInt8](repeating: 0x61, count: 1 << 20), on: .shared) { port in
            SocketReceiver(
                host: "127.0.0.1", port: port, maxLineBytes: 100, longLines: policy)
        }
    }

    @Test(.timeLimit(.minutes(2))) func aSequenceThatNeverSuspends() async throws {
        let thread = IOThread(name: "receiver")
        try await flood(with: nil, on: thread) { _ in AsyncSequenceReceiver { Endless() } }
        thread.shutdown()
    }
}
