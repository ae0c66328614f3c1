import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Synchronization
import Testing

/// Batches that cannot be given their files.
@Suite("Files of failed batches", .timeLimit(.minutes(5)))
struct FilesFailedBatchTests {
    /// An engine that cannot do one of its bodies for files.
    private final class FailingEngine: ExecutionEngine {
        private let base = LocalEngine(LocalEngine.Configuration(slots: 2))
        /// Whether a body for files is to fail.
        private let fails: @Sendable () -> Bool

        init(fails: @escaping @Sendable () -> Bool) { self.fails = fails }

        var capabilities: EngineCapabilities { base.capabilities }
        var defaultParallelism: Int { base.defaultParallelism }
        var blockStore: any BlockStore { base.blockStore }
        var stateStore: any StateStore { base.stateStore }

        func prepare(_ program: EngineProgram) async throws { try await base.prepare(program) }

        func run(
            _ request: StageRequest,
            receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
        ) async throws {
            try await base.run(request, receive: receive)
        }

        func perform(
            _ label: String, _ body: @escaping @concurrent @Sendable () async throws -> Void
        ) async throws {
            if label.contains("files of batch"), fails() {
                throw EngineError(.noThreads, "no thread can be started")
            }
            try await base.perform(label, body)
        }

        func abandon(reason: String) -> [String] { base.abandon(reason: reason) }
        func shutdown() { base.shutdown() }
    }

    @Test(
        "each file is read once, whichever step fails", arguments: 0..<3,
        [FailurePolicy.continue, .deadLetter])
    func once(step: Int, policy: FailurePolicy) async throws {
        let (root, sink) = (try WatchedDirectory(), ScriptedSink())
        let left = Locked(step)
        var run = DurableRun()
        run.policy = policy
        let fails = { @Sendable in
            left.withLock { left in
                left -= 1
                return left == -1
            }
        }
        run.engine = .made { FailingEngine(fails: fails) }
        let counts = Notes<Int>()
        func declare(_ harness: StreamHarness) {
            let lines = harness.ssc.textFileStream(root.path)
            lines.map { ($0, 1) }.reduceByKeyAndWindow(+, window: .seconds(10)).foreachRDD {
                counts.add(try await $0.count())
            }
            lines.foreachRDD { rdd, time in try sink.insert(try await rdd.collect(), at: time) }
        }
        let first = try await run.start(from: .seconds(100), declare)
        for number in 1...3 as ClosedRange<Int64> {
            try root.write("\(number)", "\(number)\n", at: 99_500 + number * 1000)
            try await first.advanceAndSettle()
        }
        await first.ssc.stop(graceful: true)
        let second = try await run.start(from: .seconds(103), declare)
        try root.write("4", "4\n", at: 103_500)
        try await second.advanceAndSettle()
        await second.ssc.stop(graceful: true)
        #expect(
            sink.rows.compactMap { $0.split(separator: ":").last }.sorted() == ["1", "2", "3", "4"])
        #expect(counts.all.last == 4 && left.withLock { $0 } < 0)
    }
}
