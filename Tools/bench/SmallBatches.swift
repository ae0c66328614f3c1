import BatchEngine
import DStreamCore
import DStreamTestKit
import ProcessEngine
import StreamingContext
import Synchronization

/// small: how long a word count of 100 lines takes, from the tick to the batch's end; with
/// `engine=processes kill=1` every second batch's worker is killed as its task begins.
///
/// On the manual clock, so that nothing waits.
struct SmallBatches: StreamingApplication {
    private static let clock = ManualClock(now: .zero)
    private static let listener = RecordingListener()

    static func makeContext() throws -> StreamingContext {
        var components = StreamingContext.Components()
        components.clock = clock
        let ssc = StreamingContext(
            appName: "small", batchInterval: .milliseconds(1), engine: try Arguments.given.engine,
            components: components)
        ssc.addStreamingListener(listener)
        return ssc
    }

    static func build(_ ssc: StreamingContext) {
        let lines = (0..<100).map { "the number \($0) of a hundred lines \($0 % 7)" }
        ssc.graph.inputStream("lines", isReplayable: true) { _, context in
            context.batch.parallelize(lines, partitions: 1)
        }
        .flatMap { $0.words() }
        .map { ($0, 1) }
        .reduceByKey(partitions: 1, +)
        .foreachPartition { _, _ in }
    }

    static func run(_ arguments: Arguments) async throws {
        let batches = try arguments.number("batches", default: 2000)
        let isKilling = arguments.has("kill")
        let ssc = try await context()
        try await ssc.start()
        let engine = ssc.batchContext.engine as? ProcessEngine
        var times: [[Double]] = [[], []]
        for number in 1...(batches + batches / 10) {
            let kills = isKilling && number % 2 == 0
            let isFirst = CancellationFlag()
            engine?.killing.withLock {
                $0 = { _ in
                    guard kills, !isFirst.isCancelled else { return nil }
                    isFirst.cancel()
                    return 0
                }
            }
            let start = SystemTime.wall()
            clock.advance(by: .milliseconds(1))
            try await listener.batchSettled(.milliseconds(Int64(number)))
            let milliseconds = (SystemTime.wall() - start) / .milliseconds(1)
            if number > batches / 10 { times[kills ? 1 : 0].append(milliseconds) }
        }
        await ssc.stop()
        if let error = ssc.reportedErrors.first { throw error }
        let (usual, killed) = (times[0].sorted(), times[1].sorted())
        printResult([
            "batches": batches, "p50_ms": percentile(0.5, of: usual),
            "p99_ms": percentile(0.99, of: usual), "killed": killed.count,
            "killed_p50_ms": percentile(0.5, of: killed),
            "killed_p99_ms": percentile(0.99, of: killed),
        ])
    }
}
