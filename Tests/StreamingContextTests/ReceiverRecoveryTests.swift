import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import ReceiverRuntime
import StreamingContext
import Testing

/// What receivers stored before a crash is processed after it, in the batches it was given to.
@Suite("Recovery of received blocks", .timeLimit(.minutes(5)))
struct ReceiverRecoveryTests {
    /// A run over a log: what came out, by batch.
    private final class Run: Sendable {
        let harness: StreamHarness
        let feed = FeedReceiver<Int>()
        let seen: OutputRecorder<Int>
        let warnings = Notes<String>()

        init(
            _ directory: String, from start: BatchTime, fails: Bool = false,
            continuingAfter failed: BatchTime? = nil
        ) async throws {
            var configuration = StreamingContext.Configuration()
            configuration.receiverWriteAheadLog.isEnabled = true
            if failed != nil {
                configuration.failurePolicy = .continue
                configuration.receiverWriteAheadLog.rollingInterval = .seconds(1)
                configuration.driverWriteAheadLog.rollingInterval = .seconds(1)
            }
            var components = StreamHarness.quietComponents
            components.logger = NotingLogger(notes: warnings)
            let harness = StreamHarness(
                startTime: start, configuration: configuration, components: components)
            let stream = harness.ssc.receiverStream(feed)
            if fails || failed != nil {
                stream.foreachRDD { _, time in if fails || time == failed { throw FeedError() } }
            }
            seen = harness.record(stream)
            self.harness = harness
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                harness.ssc
            }
            try await harness.ssc.start()
        }

        var output: [Int64: [Int]] {
            Dictionary(
                uniqueKeysWithValues: seen.batches.map { ($0.time.milliseconds, $0.elements) })
        }
    }

    private struct FeedError: Error {}

    private func inDirectory(_ body: (String) async throws -> Void) async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "recovery")
        defer { try? FileSystem.removeTree(directory) }
        try await body(directory)
    }

    @Test("a block that no batch had is in the first batch after the restart")
    func unallocated() async throws {
        try await inDirectory { directory in
            let first = try await Run(directory, from: .zero)
            try await first.feed.store(block: [1, 2])
            try await first.harness.advance()
            try await first.feed.store(block: [3])
            try await first.feed.store(block: [4, 5])
            await first.harness.ssc.stop()
            #expect(first.output == [1000: [1, 2]])

            let second = try await Run(directory, from: .seconds(1))
            try await second.feed.store(block: [6])
            try await second.harness.advance()
            try await second.harness.advance()
            await second.harness.ssc.stop()
            #expect(second.output == [2000: [3, 4, 5, 6], 3000: []])
            #expect(second.harness.errors.isEmpty, "\(second.harness.errors)")
        }
    }

    @Test(
        "what batches lack that run again without their input is told",
        arguments: [(damaged: 1, isTold: false), (damaged: 9, isTold: true)])
    func releasedInput(damaged: Int, isTold: Bool) async throws {
        try await inDirectory { directory in
            let first = try await Run(directory, from: .zero)
            for number in 1...8 {
                try await first.feed.store(block: [number])
                try await first.harness.advance()
            }
            await first.harness.ssc.stop()
            let files = try FileSystem.list(directory).filter { $0.hasPrefix("checkpoint-") }
            try #require(files.count == 10)
            for name in files.suffix(damaged) {
                try FileSystem.writeAtomically(
                    directory + "/" + name, [], durability: .handedOver)
            }

            let second = try await Run(directory, from: .seconds(8))
            try await second.harness.advance()
            await second.harness.ssc.stop()
            let told = second.warnings.all.filter { $0.contains("has been released") }
            #expect(told.isEmpty != isTold, "\(told)")
            let lost = second.output.filter { $0.key <= 8000 && $0.value.isEmpty }.keys.min()
            #expect((lost != nil) == isTold, "\(second.output)")
            if let lost { #expect(told.allSatisfy { $0.contains("that batch \(lost) ms and") }) }
        }
    }

    @Test("a batch that failed runs again with the blocks it had, then those missed, then new ones")
    func pending() async throws {
        try await inDirectory { directory in
            let first = try await Run(directory, from: .zero)
            try await first.feed.store(block: [1])
            try await first.harness.advance()
            await first.harness.ssc.stop()

            let second = try await Run(directory, from: .seconds(1), fails: true)
            try await second.feed.store(block: [2])
            try await second.feed.store(block: [3])
            await #expect(throws: StreamError.self) { try await second.harness.advance() }
            try await second.feed.store(block: [4])
            await second.harness.ssc.stop()
            #expect(second.harness.errors.count == 1)

            let third = try await Run(directory, from: .seconds(5))
            for batch in Int64(2)...5 {
                try await third.harness.listener.batchSettled(.seconds(batch))
            }
            try await third.feed.store(block: [5])
            try await third.harness.advance()
            await third.harness.ssc.stop(graceful: true)
            var output = third.output
            // Which of the missed batches takes the block that was left is open.
            #expect(output.removeValue(forKey: 2000) == [2, 3])
            #expect(output.removeValue(forKey: 3000) == [4])
            #expect(output.values.flatMap { $0 } == [5])
        }
    }

    @Test("a batch that failed has its blocks after a restart, however many batches came after it")
    func failedLongAgo() async throws {
        try await inDirectory { directory in
            let first = try await Run(directory, from: .zero, continuingAfter: .seconds(2))
            for batch in 1...20 {
                try await first.feed.store(block: [batch])
                try await first.harness.advance()
            }
            let report = await first.harness.ssc.stop(graceful: true)
            #expect(report.pendingBatches == [.seconds(2)])
            // What is kept for a restart takes no memory, but it counts as not drained.
            #expect(report.undrainedRecordCount == 1)

            let second = try await Run(directory, from: .seconds(20))
            try await second.harness.listener.batchSettled(.seconds(2))
            try await second.harness.advance()
            await second.harness.ssc.stop(graceful: true)
            #expect(second.output == [2000: [2], 21_000: []])

            let third = try await Run(directory, from: .seconds(21))
            try await third.harness.advance()
            let end = await third.harness.ssc.stop(graceful: true)
            #expect(end.isDrained && third.output == [22_000: []])
        }
    }

    @Test("blocks whose checkpoint was taken away are in the first batch after the restart")
    func withoutCheckpoint() async throws {
        try await inDirectory { directory in
            var output: [[Int]] = []
            for run in 0..<2 {
                var components = StreamHarness.quietComponents
                // Each run has its own: that of the first is gone.
                components.checkpointStore = InMemoryCheckpointStore()
                let harness = StreamHarness(startTime: .seconds(Int64(run)), components: components)
                if run == 1 { harness.ssc.acceptLoss(in: "checkpoints") }
                let feed = FeedReceiver<Int>()
                let stream = harness.ssc.receiverStream(feed, protection: .writeAheadLog)
                if run == 0 { stream.foreachRDD { _ in throw FeedError() } }
                let seen = harness.record(stream)
                _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                    harness.ssc
                }
                try await harness.ssc.start()
                if run == 0 { for number in 1...3 { try await feed.store(block: [number]) } }
                if run == 0 {
                    await #expect(throws: StreamError.self) { try await harness.advance() }
                } else {
                    try await harness.advance()
                    try await feed.store(block: [4])
                }
                await harness.ssc.stop()
                output = seen.batches.map(\.elements)
            }
            #expect(output == [[1, 2, 3]])
        }
    }

    @Test("blocks that are done with leave the log")
    func cleaned() async throws {
        try await inDirectory { directory in
            let run = try await Run(directory, from: .zero)
            for batch in 0..<300 {
                try await run.feed.store(block: [batch])
                try await run.harness.advance()
            }
            await run.harness.ssc.stop(graceful: true)
            let names = try FileSystem.list(directory + "/received/stream-0")
            let segments = names.filter { $0.hasPrefix("log-") }
            #expect(segments.count <= 2, "\(segments)")
        }
    }

    @Test("the log stays short over runs that are shorter than a window")
    func cleanedAcrossRuns() async throws {
        var medium = SimulatedStorageMedium()
        var most = 0
        for run in 0..<30 {
            var components = StreamHarness.quietComponents
            components.storageMedium = medium
            var configuration = StreamingContext.Configuration()
            configuration.receiverWriteAheadLog.rollingInterval = .seconds(1)
            configuration.driverWriteAheadLog.rollingInterval = .seconds(1)
            let harness = StreamHarness(
                startTime: .seconds(Int64(run * 2)), configuration: configuration,
                components: components)
            let feed = FeedReceiver<Int>()
            let stream = harness.ssc.receiverStream(feed, protection: .writeAheadLog)
            let sums = harness.record(stream.reduceByWindow(+, window: .seconds(6)))
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: "/c") { harness.ssc }
            try await harness.ssc.start()
            for _ in 0..<2 {
                try await feed.store(block: [1])
                try await harness.advance()
            }
            await harness.ssc.stop()
            #expect(sums.batches.last?.elements == [min(6, run * 2 + 2)])
            for log in ["stream-0", "events"] {
                let names = try medium.list("/c/received/" + log)
                most = max(most, names.count { $0.hasPrefix("log-") })
            }
            medium = medium.restarted()
        }
        // Blocks are held for as long as the window may need them.
        #expect(most <= 12, "\(most) segments")
    }

    @Test(
        "a window right over received blocks comes back, with a log and without",
        arguments: [false, true])
    func windowOverBlocks(isLogged: Bool) async throws {
        var medium = SimulatedStorageMedium()
        for run in 0..<6 {
            var components = StreamHarness.quietComponents
            components.storageMedium = medium
            let harness = StreamHarness(
                startTime: .seconds(Int64(run * 2)), components: components)
            let feed = FeedReceiver<Int>()
            let stream = harness.ssc.receiverStream(
                feed, protection: isLogged ? .writeAheadLog : .ignore)
            let seen = harness.record(stream.window(.seconds(5)))
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: "/c") { harness.ssc }
            try await harness.ssc.start()
            for batch in 1...2 {
                try await feed.store(block: [run * 2 + batch])
                try await harness.advance()
            }
            await harness.ssc.stop(graceful: true)
            #expect(harness.errors.isEmpty, "\(harness.errors)")
            let last = run * 2 + 2
            #expect(seen.batches.last?.elements == Array(max(1, last - 4)...last))
            medium = medium.restarted()
        }
    }

    @Test("a stream that asks for what cannot be had is refused by name")
    func refused() async throws {
        let harness = StreamHarness(engine: .local(slots: 2))
        _ = harness.record(
            harness.ssc.receiverStream(FeedReceiver<Int>(), protection: .writeAheadLog))
        _ = harness.record(harness.ssc.receiverStream(FeedReceiver<Int>(), protection: .replicated))
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        let text = "\(error as Any)"
        #expect(text.contains("needs a checkpoint directory"))
        #expect(text.contains(".replicated"))
    }
}
