import BatchEngine
import StreamingContext

/// receivers: one or many of them store as fast as they can; their streams are united and counted.
enum Receivers {
    private struct Source: Receiver {
        let number: Int
        let records: Int

        static func key(_ receiver: Int, _ record: Int) -> String {
            "key\((receiver &* 7919 &+ record) % 1000)"
        }

        func run(_ output: ReceiverOutput<String>) async throws {
            for first in stride(from: 0, to: records, by: 100) {
                let last = min(records, first + 100)
                try await output.store(
                    contentsOf: (first..<last).map { Self.key(number, $0) })
            }
            try await output.untilStopped()
        }
    }

    static func run(_ arguments: Arguments) async throws {
        let count = try arguments.number("receivers", default: 4)
        let records = try arguments.number("records", default: 4_000_000) / max(1, count)
        guard count > 0 else { throw BenchError("receivers= is at least 1") }
        let tally = Tally()
        let ssc = StreamingContext(
            appName: "receivers",
            batchInterval: .milliseconds(try arguments.number("batch-ms", default: 100)),
            engine: .local(slots: try arguments.number("slots", default: 2)))
        ssc.union((0..<count).map { ssc.receiverStream(Source(number: $0, records: records)) })
            .map { ($0, 1) }
            .reduceByKey(+)
            .foreachPartition { partition, _ in tally.add(partition) }
        let watch = Stopwatch()
        try await ssc.start()
        await tally.reached(words: count * records)
        let cpu = watch.cpuSeconds
        let sums = tally.sums
        await ssc.stop(graceful: true)
        try verify(tally.sums, count, records)
        let total = count * records
        let seconds = (sums.lastOutput - watch.startWall) / .seconds(1)
        printResult([
            "receivers": count, "records": total, "seconds": seconds,
            "records_per_s": Double(total) / seconds, "cpu_s": cpu,
            "cpu_s_per_mrec": cpu / Double(total) * 1e6, "checksum": String(sums.checksum),
            "rss_mb": Double(ResourceUsage.residentBytes() ?? 0) / 1_048_576,
        ])
    }

    /// Each record was counted once, under its key.
    private static func verify(_ sums: Tally.Sums, _ count: Int, _ records: Int) throws {
        var expected: UInt64 = 0
        for receiver in 0..<count {
            for record in 0..<records {
                expected &+= UInt64(CRC32.of(Source.key(receiver, record)))
            }
        }
        guard sums.checksum == expected, sums.words == count * records else {
            throw BenchError(
                "\(sums.words) records with checksum \(sums.checksum) came out, expected "
                    + "\(count * records) with \(expected)")
        }
    }
}
