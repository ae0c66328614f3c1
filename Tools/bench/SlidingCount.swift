import BatchEngine
import StreamingContext
import Synchronization

/// w2: counts by key over a sliding window of 30 batches, with an inverse; checkpointed.
enum SlidingCount {
    static func run(_ arguments: Arguments) async throws {
        let perBatch = try arguments.number("per")
        let warm = try arguments.number("warm-batches")
        let timed = try arguments.number("batches")
        let interval = Duration.milliseconds(try arguments.number("batch-ms", default: 10))
        let ssc = StreamingContext(
            appName: "w2", batchInterval: interval,
            engine: .local(slots: try arguments.number("slots", default: 2)))
        try KeyedState.checkpoint(ssc, arguments)
        let queue = RDDQueue<String>()
        let tally = Tally()
        // Every batch counts, so what is timed begins and ends between two of them.
        let start = Locked<(Stopwatch, Tally.Sums)?>(nil)
        let end = Locked<(cpu: Double, Tally.Sums)?>(nil)
        ssc.queueStream(queue)
            .map { ($0, 1) }
            .reduceByKeyAndWindow(+, inverse: -, window: interval * 30, slide: interval)
            .foreachRDD { rdd in
                if tally.sums.batches >= warm + timed { return }
                try await rdd.foreachPartition { partition, _ in tally.add(partition) }
                tally.endBatch()
                if tally.sums.batches == warm {
                    start.withLock { $0 = (Stopwatch(), tally.sums) }
                } else if tally.sums.batches == warm + timed {
                    let cpu = start.withLock { $0?.0.cpuSeconds ?? 0 }
                    end.withLock { $0 = (cpu, tally.sums) }
                }
            }
        let batches = try WordCountFromMemory.load(
            arguments.text("file"), 40 * perBatch, perBatch
        ).map { ssc.batchContext.parallelize($0) }
        for number in 0..<(warm + timed) { queue.append(batches[number % batches.count]) }
        try await ssc.start()
        await tally.reached(batches: warm + timed)
        await ssc.stop()
        guard let (watch, before) = start.withLock({ $0 }), let (cpu, after) = end.withLock({ $0 })
        else { throw BenchError("the batches were not measured") }
        let seconds = (after.lastOutput - watch.startWall) / .seconds(1)
        let records = timed * perBatch
        printResult([
            "records": records, "seconds": seconds, "records_per_s": Double(records) / seconds,
            "cpu_s": cpu, "outputs": after.rows - before.rows,
            "checksum": String(after.checksum &- before.checksum),
        ])
    }
}
