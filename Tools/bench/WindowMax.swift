import BatchEngine
import StreamingContext

/// window-max: what one slide of a window without inverse costs, slide by slide.
///
/// The graph is driven by hand, one batch after the other, so that a figure is a slide's own cost:
/// combining the batch's records into a pane, sliding, and counting what comes out. Five slides on
/// the way are not counted but compared with the maxima of the records themselves.
enum WindowMax {
    private struct NoReports: InputReporting {
        func report(_ info: StreamInputInfo, at time: BatchTime) {}
    }

    static func run(_ arguments: Arguments) async throws {
        let panes = try arguments.number("panes")
        let keys = try arguments.number("keys", default: 10_000)
        let count = try arguments.number("records", default: 10_000)
        let slides = try arguments.number("slides", default: max(1000, 3 * panes))
        let context = GenerationContext(
            batch: BatchContext(
                engine: LocalEngine(slots: try arguments.number("slots", default: 2))),
            allocator: NoBlocks(), inputInfo: NoReports(), standardOutput: { _ in })
        let warm = try arguments.number("warm", default: 2 * panes)
        let records = Records(
            batches: batches(keys, count), panes: panes, checkEvery: max(1, slides / 5))
        let inputs = records.batches.map { context.batch.parallelize($0) }
        let graph = DStreamGraph(batchInterval: .milliseconds(1))
        let input = graph.inputStream { time, _ in
            inputs[Int(time.milliseconds) % inputs.count]
        }
        let window = Duration.milliseconds(panes)
        let maxima =
            arguments.has("recompute")
            ? input.reduceByKey { max($0, $1) }.window(window).reduceByKey { max($0, $1) }
            : input.reduceByKeyAndWindow(max, window: window)
        maxima.foreachRDD { rdd, time in
            if records.isChecked(time) {
                try records.check(try await rdd.collect(), at: time)
            } else {
                _ = try await rdd.count()
            }
        }
        try graph.start(zeroTime: .zero)
        var walls: [Double] = []
        var cpus: [Double] = []
        for slide in 1...warm + slides {
            let time = BatchTime(milliseconds: Int64(slide))
            let watch = Stopwatch()
            for job in try await graph.generateJobs(at: time, context) { try await job.run() }
            graph.clearMetadata(time)
            guard slide > warm, !records.isChecked(time) else { continue }
            walls.append((SystemTime.wall() - watch.startWall) / .milliseconds(1))
            cpus.append(watch.cpuSeconds * 1000)
        }
        walls.sort()
        cpus.sort()
        printResult([
            "panes": panes, "keys": keys, "records": count, "slides": slides,
            "p50_ms": percentile(0.5, of: walls), "p99_ms": percentile(0.99, of: walls),
            "max_ms": percentile(1, of: walls), "cpu_p50_ms": percentile(0.5, of: cpus),
            "cpu_p99_ms": percentile(0.99, of: cpus), "cpu_max_ms": percentile(1, of: cpus),
            "rss_mb": Double(ResourceUsage.residentBytes() ?? 0) / 1_048_576,
        ])
    }

    /// What goes in, batch after batch, again and again.
    private struct Records {
        let batches: [[(Int, Int)]]
        let panes: Int
        let checkEvery: Int

        func isChecked(_ time: BatchTime) -> Bool { Int(time.milliseconds) % checkEvery == 0 }

        func check(_ rows: [(Int, Int)], at time: BatchTime) throws {
            let last = Int(time.milliseconds)
            var maxima: [Int: Int] = [:]
            for slide in max(1, last - panes + 1)...last {
                for (key, value) in batches[slide % batches.count] {
                    maxima[key] = max(maxima[key] ?? value, value)
                }
            }
            guard rows.count == maxima.count, rows.allSatisfy({ maxima[$0.0] == $0.1 }) else {
                throw BenchError("the maxima of slide \(last) are wrong")
            }
        }
    }

    /// Batches of random keys and numbers, the same in every run.
    private static func batches(_ keys: Int, _ records: Int) -> [[(Int, Int)]] {
        var numbers = Numbers()
        return (0..<50).map { _ in
            (0..<records).map { _ in (numbers.next(keys), numbers.next(1 << 30)) }
        }
    }
}
