import BatchEngine
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Synchronization
import Testing

/// Promises S17 to S19 of `Docs/Semantics.md`: a run ends without draining, another goes on.
@Suite("Surviving crashes", .timeLimit(.minutes(5)))
struct CrashPromises {
    /// Declares streams on a context that goes on from a directory, and starts it.
    private func start(
        _ directory: String, from start: BatchTime, _ declare: (StreamHarness) -> Void
    ) async throws -> StreamHarness {
        let harness = StreamHarness(startTime: start)
        _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
            declare(harness)
            return harness.ssc
        }
        try await harness.ssc.start()
        return harness
    }

    private func inDirectory(_ body: (String) async throws -> Void) async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "crash")
        defer { try? FileSystem.removeTree(directory) }
        try await body(directory)
    }

    @Test("S17: what was acknowledged is processed after a restart")
    func acknowledged() async throws {
        try await inDirectory { directory in
            let feed = FeedReceiver<Int>()
            let first = try await start(directory, from: .zero) { harness in
                _ = harness.record(
                    harness.ssc.receiverStream(feed, protection: .writeAheadLog))
            }
            for number in 0..<10 { try await feed.store(block: [number]) }
            await first.ssc.stop()

            let seen = Locked<OutputRecorder<Int>?>(nil)
            let second = try await start(directory, from: .zero) { harness in
                let recorder = harness.record(
                    harness.ssc.receiverStream(FeedReceiver<Int>(), protection: .writeAheadLog))
                seen.withLock { $0 = recorder }
            }
            try await second.advance()
            await second.ssc.stop()
            #expect(seen.withLock { $0 }?.batches.flatMap(\.elements) == Array(0..<10))
        }
    }

    @Test("S18: a batch that runs again has the same input")
    func sameInput() async throws {
        try await inDirectory { directory in
            let inputs = Locked<[[Int]]>([])
            func run(_ blocks: [[Int]], fails: Bool) async throws {
                let feed = FeedReceiver<Int>()
                let harness = try await start(directory, from: .zero) { harness in
                    harness.ssc.receiverStream(feed, protection: .writeAheadLog)
                        .foreachRDD { rdd, time in
                            guard time == .seconds(1) else { return }
                            let input = try await rdd.collect()
                            inputs.withLock { $0.append(input) }
                            if fails { throw Boom() }
                        }
                }
                for block in blocks { try await feed.store(block: block) }
                if fails {
                    await #expect(throws: StreamError.self) { try await harness.advance() }
                } else {
                    try await harness.advance()
                }
                await harness.ssc.stop()
            }
            try await run([[1, 2], [3]], fails: true)
            try await run([[4]], fails: true)
            try await run([], fails: false)
            #expect(inputs.withLock { $0 } == [[1, 2, 3], [1, 2, 3], [1, 2, 3]])
        }
    }

    @Test("S19: state counts every batch once, also one that failed at first")
    func stateOnce() async throws {
        try await inDirectory { directory in
            let last = Locked<[String: Int]>([:])
            let batches = [["a"], ["a", "b"], ["a"], ["b"]].map { $0.map { ($0, 1) } }
            func run(from begin: BatchTime, batches count: Int, failing: BatchTime?) async throws {
                let harness = try await start(directory, from: begin) { harness in
                    let input = harness.input(batches, from: .seconds(1))
                    input.updateStateByKey { values, state -> Int? in
                        (state ?? 0) + values.reduce(0, +)
                    }.foreachRDD { rdd, time in
                        let states = try await rdd.collect()
                        if time == failing { throw Boom() }
                        last.withLock { $0 = Dictionary(uniqueKeysWithValues: states) }
                    }
                }
                for _ in 0..<count {
                    do { try await harness.advance() } catch { #expect(failing != nil) }
                }
                await harness.ssc.stop()
            }
            try await run(from: .zero, batches: 2, failing: .seconds(2))
            #expect(last.withLock { $0 } == ["a": 1])
            try await run(from: .seconds(1), batches: 3, failing: nil)
            #expect(last.withLock { $0 } == ["a": 3, "b": 2])
        }
    }
}
