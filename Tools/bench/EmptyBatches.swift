import DStreamTestKit
import StreamingContext

/// empty: what batches without any input cost, with ten operators between input and output.
///
/// On the manual clock, so that nothing waits: the whole context runs, from the tick to the output.
enum EmptyBatches {
    static func run(_ arguments: Arguments) async throws {
        let batches = try arguments.number("batches", default: 10_000)
        let harness = StreamHarness(
            batchInterval: .milliseconds(1),
            engine: .local(slots: try arguments.number("slots", default: 2)))
        let lines: DStream<String> = harness.input([])
        let words = lines.flatMap { $0.words() }.filter { !$0.isEmpty }
        let pairs = words.map { ($0, 1) }.mapValues { $0 * 2 }
        let counts = pairs.reduceByKey(+).mapValues { $0 / 2 }.filter { $0.1 > 1 }
        let lengths = counts.map { ($0.0.utf8.count, $0.1) }.reduceByKey(+).map { $0.1 }
        let seen = harness.record(lengths)
        try await harness.ssc.start()
        for _ in 0..<batches / 10 { try await harness.advance() }
        let watch = Stopwatch()
        for _ in 0..<batches { try await harness.advance() }
        let cpu = watch.cpuSeconds
        await harness.ssc.stop()
        guard seen.batches.count == batches + batches / 10, harness.errors.isEmpty else {
            throw BenchError("\(seen.batches.count) batches came out: \(harness.errors)")
        }
        printResult([
            "batches": batches, "cpu_s": cpu,
            "cpu_us_per_batch": cpu / Double(batches) * 1_000_000,
        ])
    }
}
