import BatchEngine
import DStreamCore
import DStreamTestKit
import Dispatch
import ReceiverRuntime
import StreamingContext
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Receivers that block their threads, as those ported from other systems do.
@Suite("Receivers that block", .timeLimit(.minutes(5)))
struct BlockingReceiverTests {
    /// More than the pool that all tasks share has threads.
    private static let count = ResourceUsage.coreCount() + 2

    /// Blocks its thread, whatever it is told, until somebody signals.
    private struct Stuck: Receiver {
        let running = Notes<String>()
        let ended = Notes<Bool>()
        let semaphore = DispatchSemaphore(value: 0)

        func run(_ output: ReceiverOutput<Int>) async throws {
            running.add(Threads.name)
            block()
            ended.add(output.isStopped)
        }

        func block() { semaphore.wait() }
    }

    /// The loop of a receiver that was written for threads.
    private struct Ported: Receiver {
        func run(_ output: ReceiverOutput<Int>) async throws {
            while !output.isStopped {
                SystemThread.pause(microseconds: 1000)
                try await output.store(1)
            }
        }
    }

    /// Only ever suspends, and says so.
    private struct Suspending: Receiver {
        let mayBlock = false

        func run(_ output: ReceiverOutput<Int>) async throws { try await output.untilStopped() }
    }

    @Test("batches go on while more receivers than cores block")
    func batchesGoOn() async throws {
        let harness = StreamHarness()
        let (stuck, feed) = (Stuck(), Feed<Int>())
        let streams = (0..<Self.count).map { _ in harness.ssc.receiverStream(stuck) }
        let seen = harness.record(
            harness.ssc.union(streams + [harness.ssc.receiverStream(feed)]))
        try await harness.ssc.start()
        let names = try await stuck.running.all(atLeast: Self.count)
        #if os(Linux)
            #expect(Set(names) == ["recv-Stuck"])
        #endif
        try await feed.store(block: [1, 2])
        try await harness.advance()
        #expect(seen.batches.map(\.elements) == [[1, 2]])
        for _ in streams { stuck.semaphore.signal() }
        try await stuck.ended.all(atLeast: Self.count)
        await harness.ssc.stop()
    }

    @Test("as many as cores that ignore their end are left at the deadline, and named")
    func left() async throws {
        let harness = StreamHarness()
        let stuck = Stuck()
        let streams = (0..<Self.count).map { _ in harness.ssc.receiverStream(stuck) }
        _ = harness.record(harness.ssc.union(streams))
        try await harness.ssc.start()
        try await stuck.running.all(atLeast: Self.count)
        let report = try await harness.clock.driving {
            await harness.ssc.stop(graceful: true, deadline: .seconds(2))
        }
        // The clock may have been ahead of a batch as well.
        let receivers = report.abandoned.filter { $0.hasPrefix("receiver") }
        #expect(receivers == (0..<Self.count).map { "receiver Stuck-\($0)" })
        #expect(harness.ssc.state == .stopped)
        for _ in streams { stuck.semaphore.signal() }
        #expect(try await stuck.ended.all(atLeast: Self.count).allSatisfy { $0 })
    }

    @Test("SIGTERM drains a program of ported receivers")
    func ported() async {
        await #expect(processExitsWith: .success) {
            let harness = StreamHarness()
            let streams = (0..<Self.count).map { _ in harness.ssc.receiverStream(Ported()) }
            let seen = harness.record(harness.ssc.union(streams))
            async let ended = harness.ssc.runUntilInterrupted()
            try await harness.listener.first(\.isStreamingStarted)
            // Each stream has been heard of.
            try await harness.advance { events in
                let streams = events.compactMap(\.completedBatch).flatMap { batch in
                    batch.streamIDToInputInfo.filter { $0.value.recordCount > 0 }.keys
                }
                return Set(streams).count == Self.count
            }
            kill(getpid(), SIGTERM)
            let report = try await ended
            let isRight =
                report.isDrained && seen.batches.flatMap(\.elements).allSatisfy { $0 == 1 }
            exit(isRight ? 0 : 3)
        }
    }

    @Test("more than may have a thread are refused by name")
    func refused() async throws {
        var configuration = StreamingContext.Configuration()
        configuration.receiver.maxReceiverThreads = 2
        let harness = StreamHarness(configuration: configuration)
        let streams = (0..<3).map { _ in harness.ssc.receiverStream(Stuck()) }
        _ = harness.record(harness.ssc.union(streams))
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        #expect(error?.code == .badConfiguration)
        let text = error.map { "\($0)" } ?? ""
        #expect(text.contains("3 receivers need a thread each"), "\(text)")
        #expect(text.contains("maxReceiverThreads allows 2: Stuck of stream 2"), "\(text)")
        #expect(text.contains("receiverStream at StreamingContextTests/"), "\(text)")

        configuration.receiver.maxReceiverThreads = 1
        let other = StreamHarness(configuration: configuration)
        let suspending = (0..<3).map { _ in other.ssc.receiverStream(Suspending()) }
        _ = other.record(other.ssc.union(suspending))
        try await other.run(batches: 1)
        #expect(other.errors.isEmpty)
    }

    @Test("handlers of received blocks may block as well")
    func handlers() async throws {
        let blocking = BlockingHandler()
        var components = StreamHarness.quietComponents
        components.makeReceivedBlockHandler = { _, _, _ in blocking }
        let harness = StreamHarness(components: components)
        let feeds = (0..<Self.count).map { _ in Feed<Int>() }
        _ = harness.record(harness.ssc.union(feeds.map { harness.ssc.receiverStream($0) }))
        try await harness.ssc.start()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for feed in feeds { group.addTask { try? await feed.store(block: [1]) } }
            try await blocking.running.all(atLeast: Self.count)
            try await harness.advance()
            for _ in feeds { blocking.semaphore.signal() }
            try await group.waitForAll()
        }
        await harness.ssc.stop()
    }

    /// Blocks its caller's thread until somebody signals, and stores nothing.
    private struct BlockingHandler: ReceivedBlockHandler {
        struct Refused: Error {}
        let running = Notes<Void>()
        let semaphore = DispatchSemaphore(value: 0)

        func store(_ block: ReceivedBlock) async throws -> StoredBlock {
            running.add(())
            wait()
            throw Refused()
        }

        func wait() { semaphore.wait() }

        func remove(_ blocks: [StoredBlock]) async {}
    }

    @Test("calls that never return take no thread from the contexts that follow")
    func replaced() async {
        await #expect(processExitsWith: .success) {
            let (running, semaphore) = (Notes<Void>(), DispatchSemaphore(value: 0))
            let block: @Sendable () -> Void = {
                running.add(())
                semaphore.wait()
            }
            for _ in 0..<UserThreads.limit { Task { await UserThreads.run { block() } } }
            try await running.all(atLeast: UserThreads.limit)
            let harness = StreamHarness()
            harness.ssc.queueStream(RDDQueue<Int>()).foreachRDD { _ in block() }
            try await harness.ssc.start()
            harness.clock.advance(by: .seconds(1))
            try await running.all(atLeast: UserThreads.limit + 1)
            _ = try await harness.clock.driving { await harness.ssc.stop() }
            await UserThreads.run {}
            exit(0)
        }
    }

    @Test("an input that blocks while its batch is made is left at the deadline, and named")
    func inputs() async throws {
        let harness = StreamHarness()
        let (isRunning, semaphore) = (TestGate(), DispatchSemaphore(value: 0))
        let block: @Sendable () -> Void = {
            isRunning.open()
            semaphore.wait()
        }
        let line = #line + 1
        let stream: DStream<Int> = harness.ssc.inputStream { _, _ in
            block()
            return nil
        }
        _ = harness.record(stream)
        try await harness.ssc.start()
        harness.clock.advance(by: .seconds(1))
        try await isRunning.wait()
        let report = try await harness.clock.driving { await harness.ssc.stop() }
        let site = "inputStream at StreamingContextTests/BlockingReceiverTests.swift:\(line)"
        #expect(report.abandoned.contains { $0.contains(site) }, "\(report)")
        semaphore.signal()
    }

    #if os(Linux)
        @Test("what the user supplies runs on threads for that, never on the pool")
        func threads() async throws {
            let parts = Parts()
            var components = StreamHarness.quietComponents
            components.checkpointStore = parts
            let harness = StreamHarness(components: components)
            let sum = Accumulator(0) { parts.combine($0, $1) }
            harness.ssc.directStream(parts).stream.foreachRDD { _ in sum.add(1) }
            let feed = Feed<Int>()
            harness.ssc.receiverStream(feed).write(to: parts)
            try await harness.run(batches: 1)
            let calls = [
                "write", "latestOffsets", "startingOffset", "recover", "commit", "close",
                "combine",
            ]
            let names = try await parts.calls.all(atLeast: calls.count)
            for call in calls {
                let threads = Set(names.filter { $0.call == call }.map(\.thread))
                #expect(!threads.isEmpty, "\(call)")
                #expect(
                    threads.isSubset(of: ["dstream-user", "dstream-body"]), "\(call): \(threads)")
            }
        }

        /// An element that notes on which threads it is encoded.
        private struct Noting: StreamCodable {
            static let threads = Notes<String>()
            static var codecShape: String { "Noting" }

            func encode(to writer: inout ByteWriter) { Self.threads.add(Threads.name) }

            static func decode(from reader: inout ByteReader) throws -> Noting { Noting() }
        }

        /// Stores elements in each way.
        private struct Storing: Receiver {
            let hasStored = TestGate()

            func run(_ output: ReceiverOutput<Noting>) async throws {
                for count in [1, 100, 2000] {
                    let elements = [Noting](repeating: Noting(), count: count)
                    try await output.store(block: elements)
                    try await output.store(contentsOf: elements)
                }
                try await output.store(Noting())
                hasStored.open()
                try await output.untilStopped()
            }
        }

        @Test("elements are measured where their receiver or their tasks run, never on the pool")
        func measuring() async throws {
            let (harness, receiver) = (StreamHarness(engine: .local(slots: 2)), Storing())
            _ = harness.record(harness.ssc.receiverStream(receiver))
            try await harness.ssc.start()
            try await receiver.hasStored.wait()
            try await harness.advance()
            await harness.ssc.stop()
            let threads = Set(Noting.threads.all)
            #expect(threads.contains("recv-Storing"))
            #expect(
                threads.isSubset(of: ["recv-Storing", "dstream-body", "dstream-task"]), "\(threads)"
            )
        }

        /// A source, a sink and a store that note on which threads they are called.
        private struct Parts: DirectSource, TransactionalSink, CheckpointStore {
            let id = "parts"
            let calls = Notes<(call: String, thread: String)>()

            private func note(_ call: String) { calls.add((call, Threads.name)) }

            func combine(_ left: Int, _ right: Int) -> Int {
                note("combine")
                return left + right
            }

            func latestOffsets() async throws -> [TopicPartition: Int64] {
                note("latestOffsets")
                return [TopicPartition(topic: "t", partition: 0): 0]
            }

            func startingOffset(of partition: TopicPartition) async throws -> Int64 {
                note("startingOffset")
                return 0
            }

            func read(_ range: OffsetRange, _ body: (Int) throws -> Void) throws {}

            func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
                note("write")
            }

            func recover() async throws -> RecoveredCheckpoint? {
                note("recover")
                return nil
            }

            func recover(slide: Duration) async throws -> CommittedBatches {
                note("recover")
                return CommittedBatches()
            }

            func prepare(_ elements: PartitionChunks<Int>, _ task: TaskContext) async throws -> Int
            {
                0
            }

            func commit(_ prepared: [Int], batch: BatchTime) async throws { note("commit") }

            func close() async { note("close") }
        }
    #endif
}

/// The threads of this process.
enum Threads {
    /// The name of the calling one, where the system tells it.
    static var name: String {
        let bytes = (try? FileSystem.readAll("/proc/thread-self/comm")) ?? []
        return String(decoding: bytes.dropLast(), as: UTF8.self)
    }
}
