import BatchEngine
import StreamingContext
import Synchronization

/// state: many keys of which each batch touches few; how long batches take.
enum LargeState {
    static func run(_ arguments: Arguments) async throws {
        let keys = try arguments.number("keys", default: 10_000_000)
        let batches = try arguments.number("batches", default: 600)
        let ssc = StreamingContext(
            appName: "state",
            batchInterval: .milliseconds(try arguments.number("batch-ms", default: 50)),
            engine: .local(slots: try arguments.number("slots", default: 2)))
        try KeyedState.checkpoint(ssc, arguments)
        let queue = RDDQueue<String>()
        let seen = Progress((times: [Double](), rows: 0))
        let tally = Tally()
        KeyedState.counts(ssc.queueStream(queue).map { ($0, 1) }).foreachRDD { rdd in
            let start = SystemTime.wall()
            let before = tally.sums.rows
            try await rdd.foreachPartition { partition, _ in tally.add(partition) }
            let rows = tally.sums.rows - before
            let time = (SystemTime.wall() - start) / .milliseconds(1)
            if rows > 0 { seen.change { $0 = ($0.times + [time], $0.rows + rows) } }
        }
        try await ssc.start()
        try await fill(keys, ssc, queue, seen)
        let filled = seen.seen.times.count
        let filledSums = tally.sums
        let filledBytes = ResourceUsage.residentBytes() ?? 0
        let updates = updates(batches, of: try arguments.number("touched", default: 1000), keys)
        let input = updates.map { ssc.batchContext.parallelize($0) }
        // What the last large batches left to be written is not what is measured.
        try await Task.sleep(for: .seconds(try arguments.number("rest-s", default: 5)))
        let watch = Stopwatch()
        for batch in input { queue.append(batch) }
        await seen.reached { $0.times.count >= filled + batches }
        let cpu = watch.cpuSeconds
        let times = seen.seen.times.dropFirst(filled).sorted()
        await ssc.stop()
        let checksum = tally.sums.checksum &- filledSums.checksum
        guard checksum == checksumOfCounts(updates) else {
            throw BenchError("the counts that came out have the wrong checksum \(checksum)")
        }
        printResult([
            "keys": keys, "batches": batches, "cpu_ms_per_batch": cpu / Double(batches) * 1000,
            "p50_ms": percentile(0.5, of: times), "p99_ms": percentile(0.99, of: times),
            "max_ms": percentile(1, of: times), "checksum": String(checksum),
            "filled_rss_mb": Double(filledBytes) / 1_048_576,
            "rss_mb": Double(ResourceUsage.residentBytes() ?? 0) / 1_048_576,
        ])
    }

    /// What counting gives, update by update, of keys that were counted once before.
    private static func checksumOfCounts(_ updates: [[String]]) -> UInt64 {
        var counts: [String: Int] = [:]
        var sums = Tally.Sums()
        for key in updates.joined() {
            counts[key, default: 1] += 1
            sums.add(CollectionOfOne((key, counts[key] ?? 0)))
        }
        return sums.checksum
    }

    /// Gives every key a state, in batches of 200,000.
    static func fill(
        _ keys: Int, _ ssc: StreamingContext, _ queue: RDDQueue<String>,
        _ seen: Progress<(times: [Double], rows: Int)>
    ) async throws {
        var first = 0
        while first < keys {
            let last = min(keys, first + 200_000)
            queue.append(ssc.batchContext.parallelize((first..<last).map(key)))
            first = last
            await seen.reached { $0.rows >= last }
        }
    }

    static func key(_ number: Int) -> String { "u\(number)" }

    /// Batches of random keys, the same in every run.
    static func updates(_ count: Int, of size: Int, _ keys: Int) -> [[String]] {
        var numbers = Numbers()
        return (0..<count).map { _ in (0..<size).map { _ in key(numbers.next(keys)) } }
    }
}
