import BatchEngine
import StreamingContext

/// w5: time to the first output, memory and CPU when idle.
enum Footprint {
    static func run(_ arguments: Arguments) async throws {
        let tally = Tally()
        let ssc = StreamingContext(appName: "w5", batchInterval: .milliseconds(100))
        ssc.socketTextStream("127.0.0.1", port: try arguments.number("port"))
            .flatMap { $0.words() }
            .map { ($0, 1) }
            .reduceByKey(+)
            .foreachPartition { partition, _ in tally.add(partition) }
        try await ssc.start()
        await tally.reached(words: 1)
        let first = tally.sums.lastOutput
        try await Task.sleep(for: .seconds(5))
        let watch = Stopwatch()
        try await Task.sleep(for: .seconds(5))
        let idle = watch.cpuSeconds / 5
        printResult([
            "first_output_ns": Int64(first / .nanoseconds(1)),
            "rss_idle_mb": Double(ResourceUsage.residentBytes() ?? 0) / 1_048_576,
            "idle_cpu_frac": idle, "words": tally.sums.words,
        ])
        await ssc.stop()
    }
}
