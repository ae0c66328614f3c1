import BatchEngine
import StreamingContext

/// update: `updateStateByKey` over many keys of which each batch changes few.
///
/// With `whole=1` by the form over whole partitions, of which checkpoints take all states.
enum UpdatedState {
    static func run(_ arguments: Arguments) async throws {
        let keys = try arguments.number("keys", default: 100_000)
        let batches = try arguments.number("batches", default: 100)
        let ssc = StreamingContext(
            appName: "update",
            batchInterval: .milliseconds(try arguments.number("batch-ms", default: 100)),
            engine: .local(slots: try arguments.number("slots", default: 2)))
        try KeyedState.checkpoint(ssc, arguments)
        let queue = RDDQueue<String>()
        let seen = Progress((sums: [Int](), keys: keys))
        let ones = ssc.queueStream(queue).map { ($0, 1) }
        counts(ones, byPartition: arguments.has("whole")).foreachRDD { rdd in
            let sum = try await rdd.map { $0.1 }.fold(0) { $0 + $1 }
            if sum > (seen.seen.sums.last ?? 0) { seen.change { $0.sums.append(sum) } }
        }
        try await ssc.start()
        queue.append(ssc.batchContext.parallelize((0..<keys).map(LargeState.key)))
        await seen.reached { !$0.sums.isEmpty }
        let touched = try arguments.number("touched", default: 1000)
        let input = LargeState.updates(batches, of: touched, keys)
            .map { ssc.batchContext.parallelize($0) }
        let watch = Stopwatch()
        for batch in input { queue.append(batch) }
        await seen.reached { $0.sums.count > batches }
        let cpu = watch.cpuSeconds
        await ssc.stop()
        guard seen.seen.sums.last == keys + batches * touched else {
            throw BenchError("the sum of all counts is \(seen.seen.sums.last ?? 0)")
        }
        printResult([
            "keys": keys, "batches": batches, "cpu_ms_per_batch": cpu / Double(batches) * 1000,
            "rss_mb": Double(ResourceUsage.residentBytes() ?? 0) / 1_048_576,
        ])
    }

    private static func counts(
        _ ones: DStream<(String, Int)>, byPartition: Bool
    ) -> DStream<(String, Int)> {
        guard byPartition else {
            return ones.updateStateByKey { values, state in
                values.isEmpty ? state : (state ?? 0) + values.reduce(0, +)
            }
        }
        return ones.updateStateByKey(
            partitioner: HashPartitioner<String>(partitionCount: 2)
        ) { entries in
            entries.map { ($0.0, ($0.2 ?? 0) + $0.1.reduce(0, +)) }
        }
    }
}
