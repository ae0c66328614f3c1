import BatchEngine
import StreamingContext
import Synchronization

/// Feeds prepared batches to a pipeline, one right after the other.
///
/// Some warm up, the others are timed. What comes out is compared with what a straightforward
/// computation expects.
final class BackToBack: Sendable {
    let ssc: StreamingContext
    private let warm: Int
    private let timed: Int
    private let tally = Tally()
    private let progress = Progress(Seen())
    private let inputs = Locked<[@Sendable () -> Void]>([])

    private struct Seen {
        var times: [Double] = []
        var start: (watch: Stopwatch, sums: Tally.Sums)?
        var end: (cpu: Double, sums: Tally.Sums)?
    }

    /// How many batches there will be.
    var batchCount: Int { warm + timed }

    init(_ name: String, _ arguments: Arguments, warm: Int = 10, timed: Int = 30) throws {
        self.warm = try arguments.number("warm", default: warm)
        self.timed = try arguments.number("batches", default: timed)
        ssc = StreamingContext(
            appName: name,
            batchInterval: .milliseconds(try arguments.number("batch-ms", default: 1)),
            engine: .local(slots: try arguments.number("slots", default: 2)))
    }

    /// A stream of the given batches, again and again.
    func input<Element: Sendable>(
        _ batches: [[Element]], partitions: Int? = nil
    ) -> DStream<Element> {
        let queue = RDDQueue<Element>()
        let rdds = batches.map { ssc.batchContext.parallelize($0, partitions: partitions) }
        let count = batchCount
        inputs.withLock {
            $0.append { for number in 0..<count { queue.append(rdds[number % rdds.count]) } }
        }
        return ssc.queueStream(queue)
    }

    /// Runs all batches and prints the figures.
    ///
    /// - Parameters:
    ///   - rows: what the pipeline puts out.
    ///   - records: how many records a batch has.
    ///   - fields: what else to print, in front.
    ///   - expected: the rows of each batch, in any order; again and again, as the input.
    ///   - output: what the output operation does with a batch; every row, by default.
    func measure(
        _ rows: DStream<(String, Int)>, records: Int, _ fields: [(String, Any)] = [],
        expected: [[(String, Int)]],
        output: @escaping @Sendable (RDD<(String, Int)>, Tally) async throws -> Void = {
            rdd, tally in try await rdd.foreachPartition { partition, _ in tally.add(partition) }
        }
    ) async throws {
        rows.foreachRDD { [self] rdd in
            let start = SystemTime.wall()
            // Nothing is queued any more; a window goes on for a while.
            guard tally.sums.batches < batchCount else { return }
            try await output(rdd, tally)
            tally.endBatch()
            batchEnded((SystemTime.wall() - start) / .milliseconds(1))
        }
        for fill in inputs.withLock({ $0 }) { fill() }
        try await ssc.start()
        await progress.reached { $0.end != nil }
        await ssc.stop()
        try report(fields, records, expected)
    }

    private func batchEnded(_ milliseconds: Double) {
        let sums = tally.sums
        progress.change { seen in
            if sums.batches > warm { seen.times.append(milliseconds) }
            if sums.batches == warm { seen.start = (Stopwatch(), sums) }
            if sums.batches == batchCount {
                seen.end = (seen.start?.watch.cpuSeconds ?? 0, sums)
            }
        }
    }

    private func report(
        _ fields: [(String, Any)], _ records: Int, _ expected: [[(String, Int)]]
    ) throws {
        guard let (watch, before) = progress.seen.start, let (cpu, after) = progress.seen.end
        else { throw BenchError("warm= is at least 1") }
        var sums = Tally.Sums()
        for batch in warm..<batchCount { sums.add(expected[batch % expected.count]) }
        let checksum = after.checksum &- before.checksum
        guard after.rows - before.rows == sums.rows, checksum == sums.checksum else {
            throw BenchError(
                "\(after.rows - before.rows) rows with checksum \(checksum) came out, expected "
                    + "\(sums.rows) with \(sums.checksum)")
        }
        let seconds = (after.lastOutput - watch.startWall) / .seconds(1)
        let times = progress.seen.times.sorted()
        let total = records * timed
        printResult(
            fields + [
                ("records", total), ("seconds", seconds),
                ("records_per_s", Double(total) / seconds), ("cpu_s", cpu),
                ("cpu_s_per_mrec", cpu / Double(total) * 1e6), ("batches", timed),
                ("p50_ms", percentile(0.5, of: times)), ("p99_ms", percentile(0.99, of: times)),
                ("rows", sums.rows), ("checksum", String(checksum)),
                ("rss_mb", Double(ResourceUsage.residentBytes() ?? 0) / 1_048_576),
            ])
    }
}
