import BatchEngine
import StreamingContext

/// w4: how long a record takes from its scheduled sending to the output operation; with `keyed=1` a
/// running count of each key is kept in between.
enum Latency {
    private struct Seen {
        var first: Int64?
        var milliseconds: [Double] = []
        var records = 0
    }

    static func run(_ arguments: Arguments) async throws {
        let records = try arguments.number("records")
        let warm = Int64(try arguments.number("warm-s")) * 1_000_000_000
        let watch = Stopwatch()
        let progress = Progress(Seen())
        let ssc = StreamingContext(
            appName: "w4",
            batchInterval: .milliseconds(try arguments.number("batch-ms", default: 10)),
            engine: .local(slots: try arguments.number("slots", default: 1)))
        let lines = ssc.socketTextStream("127.0.0.1", port: try arguments.number("port"))
        if arguments.has("ckpt") { ssc.checkpoint(try arguments.text("ckpt")) }
        (arguments.has("keyed") ? counted(lines) : lines.map { stamp($0) })
            .foreachPartition { partition, _ in
                let now = Int64(SystemTime.wall() / .nanoseconds(1))
                progress.change { seen in
                    for chunk in partition {
                        for stamp in chunk {
                            let first = seen.first ?? stamp
                            seen.first = first
                            seen.records += 1
                            guard stamp >= first + warm else { continue }
                            seen.milliseconds.append(Double(now - stamp) / 1e6)
                        }
                    }
                }
            }
        progress.change { $0.milliseconds.reserveCapacity(records) }
        try await ssc.start()
        await progress.reached { $0.records >= records }
        let cpu = watch.cpuSeconds
        await ssc.stop()
        let seen = progress.seen
        let latencies = seen.milliseconds.sorted()
        printResult([
            "records": seen.records, "measured": latencies.count, "cpu_s": cpu,
            "p50_ms": percentile(0.5, of: latencies), "p90_ms": percentile(0.9, of: latencies),
            "p99_ms": percentile(0.99, of: latencies), "p999_ms": percentile(0.999, of: latencies),
            "max_ms": percentile(1, of: latencies),
        ])
    }

    /// The stamps, each once its line has been counted under its key.
    private static func counted(_ lines: DStream<String>) -> DStream<Int64> {
        lines
            .map { line in
                var fields = line.fields(separator: " ").dropFirst().makeIterator()
                return (fields.next() ?? "", stamp(line))
            }
            .mapWithState(
                StateSpec.function { (_: String, stamp: Int64?, count: State<Int>) in
                    try count.update((count.getOption() ?? 0) + 1)
                    return stamp ?? 0
                })
    }

    /// The number a line begins with.
    private static func stamp(_ line: String) -> Int64 {
        var value: Int64 = 0
        for byte in line.utf8 {
            guard byte >= 48, byte <= 57 else { break }
            value = value &* 10 &+ Int64(byte &- 48)
        }
        return value
    }
}
