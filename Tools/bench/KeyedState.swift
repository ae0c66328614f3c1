import BatchEngine
import StreamingContext

/// w3: a running count per key, a million keys; checkpointed.
enum KeyedState {
    static func run(_ arguments: Arguments) async throws {
        let keys = try arguments.number("keys")
        let updates = try arguments.number("updates")
        let passes = try arguments.number("passes", default: 3)
        let ssc = StreamingContext(
            appName: "w3", batchInterval: .milliseconds(10),
            engine: .local(slots: try arguments.number("slots", default: 2)))
        try checkpoint(ssc, arguments)
        let queue = RDDQueue<String>()
        let tally = Tally()
        counts(ssc.queueStream(queue).map { ($0, 1) }).foreachRDD { rdd in
            let before = tally.sums.rows
            try await rdd.foreachPartition { partition, _ in tally.add(partition) }
            if tally.sums.rows > before { tally.endBatch() }
        }
        let batches = try WordCountFromMemory.load(
            arguments.text("file"), keys + updates,
            try arguments.number("batch-lines", default: 200_000)
        ).map { ssc.batchContext.parallelize($0) }
        let first = batches.count * keys / (keys + updates)
        try await ssc.start()
        for batch in batches.prefix(first) { queue.append(batch) }
        func pass(_ count: Int) async {
            let done = tally.sums.batches + queue.count
            for _ in 0..<count { for batch in batches.dropFirst(first) { queue.append(batch) } }
            await tally.reached(batches: done + count * (batches.count - first))
        }
        await tally.reached(batches: first)
        await pass(try arguments.number("warm", default: 1))
        let watch = Stopwatch()
        await pass(passes)
        let cpu = watch.cpuSeconds
        let sums = tally.sums
        let seconds = (sums.lastOutput - watch.startWall) / .seconds(1)
        await ssc.stop()
        let records = updates * passes
        printResult([
            "records": records, "seconds": seconds, "records_per_s": Double(records) / seconds,
            "cpu_s": cpu, "checksum": String(sums.checksum),
        ])
    }

    /// What a user writes to count by key.
    static func counts(_ ones: DStream<(String, Int)>) -> DStream<(String, Int)> {
        ones.mapWithState(
            StateSpec.function { (key: String, one: Int?, state: State<Int>) in
                let count = (state.getOption() ?? 0) + (one ?? 0)
                try state.update(count)
                return (key, count)
            })
    }

    /// Turns checkpoints on; without a directory the state is in memory alone.
    static func checkpoint(_ ssc: StreamingContext, _ arguments: Arguments) throws {
        if arguments.has("no-checkpoints") {
            ssc.graph.setCheckpointDirectory(true)
        } else {
            ssc.checkpoint(try arguments.text("ckpt"))
        }
    }
}
