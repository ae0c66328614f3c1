import BatchEngine
import StreamingContext
import Synchronization

/// w4: how long a record takes from its scheduled sending to the output operation.
enum Latency {
    private struct State {
        var first: Int64?
        var latencies: [Int64] = []
        var records = 0
        var waiter: (records: Int, continuation: CheckedContinuation<Void, Never>)?
    }

    static func run(_ arguments: Arguments) async throws {
        let records = try arguments.number("records")
        let warm = Int64(try arguments.number("warm-s")) * 1_000_000_000
        if arguments.has("keyed") { throw BenchError("keyed=1 needs mapWithState") }
        let watch = Stopwatch()
        let state = Mutex(State())
        let ssc = StreamingContext(
            appName: "w4",
            batchInterval: .milliseconds(try arguments.number("batch-ms", default: 10)),
            engine: .local(slots: try arguments.number("slots", default: 2)))
        ssc.socketTextStream("127.0.0.1", port: try arguments.number("port"))
            .map { line in stamp(line) }
            .foreachPartition { partition, _ in
                let now = Int64(SystemTime.wall() / .nanoseconds(1))
                let ready = state.withLock { state -> CheckedContinuation<Void, Never>? in
                    for chunk in partition {
                        for stamp in chunk {
                            let first = state.first ?? stamp
                            state.first = first
                            state.records += 1
                            if stamp >= first + warm { state.latencies.append(now - stamp) }
                        }
                    }
                    guard let waiter = state.waiter, state.records >= waiter.records else {
                        return nil
                    }
                    state.waiter = nil
                    return waiter.continuation
                }
                ready?.resume()
            }
        state.withLock { $0.latencies.reserveCapacity(records) }
        try await ssc.start()
        await withCheckedContinuation { continuation in
            state.withLock { $0.waiter = (records, continuation) }
        }
        let cpu = watch.cpuSeconds
        await ssc.stop()
        let (seen, latencies) = state.withLock { ($0.records, $0.latencies.sorted()) }
        func percentile(_ fraction: Double) -> Double {
            guard !latencies.isEmpty else { return 0 }
            let index = min(latencies.count - 1, Int(Double(latencies.count) * fraction))
            return Double(latencies[index]) / 1e6
        }
        printResult([
            "records": seen, "measured": latencies.count, "cpu_s": cpu, "p50_ms": percentile(0.5),
            "p90_ms": percentile(0.9), "p99_ms": percentile(0.99),
            "p999_ms": percentile(0.999), "max_ms": percentile(1),
        ])
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
