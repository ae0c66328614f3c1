import DStreamTestKit
import StreamingContext
import Synchronization

/// hour: an hour of stream time on the manual clock, a batch every 100 ms under a sliding window.
///
/// The whole context runs, from the tick to the output: the figure is what 36,000 batches cost. With
/// `engine=inline` on the test kit's engine, which starts no threads.
enum Hour {
    static func run(_ arguments: Arguments) async throws {
        let batches = try arguments.number("batches", default: 36_000)
        let panes = try arguments.number("panes", default: 100)
        let words = try arguments.number("words", default: 20)
        let isInline = try arguments.has("engine") && arguments.text("engine") == "inline"
        let harness = StreamHarness(
            batchInterval: .milliseconds(100),
            engine: isInline
                ? .custom(InlineEngine())
                : .local(slots: try arguments.number("slots", default: 2)))
        let elements = (0..<words).map { ("word\($0 % 10)", 1) }
        let counted = Mutex(0)
        harness.input([[(String, Int)]?](repeating: elements, count: batches))
            .reduceByKeyAndWindow(window: .milliseconds(100 * panes)) { $0 + $1 }
            .foreachRDD { rdd in
                let sum = try await rdd.collect().reduce(0) { $0 + $1.1 }
                counted.withLock { $0 += sum }
            }
        let watch = Stopwatch()
        try await harness.ssc.start()
        for _ in 0..<batches { try await harness.advance() }
        let (cpu, wall) = (watch.cpuSeconds, (SystemTime.wall() - watch.startWall) / .seconds(1))
        await harness.ssc.stop()
        let expected = (1...batches).reduce(0) { $0 + words * min($1, panes) }
        guard counted.withLock({ $0 }) == expected else {
            throw BenchError("counted \(counted.withLock { $0 }) words in windows, not \(expected)")
        }
        printResult([
            "batches": batches, "panes": panes, "words": words, "cpu_s": cpu, "wall_s": wall,
            "cpu_us_per_batch": cpu / Double(batches) * 1_000_000,
        ])
    }
}
