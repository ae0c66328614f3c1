import BatchEngine
import StreamingContext

/// recovery: how long a restart takes that finds a large state.
///
/// One run of the program leaves the state, `fill=1`; the next one goes on from it. With `batches=`
/// the first one then changes `touched=` random keys in each of so many batches, of which the log
/// keeps many; the second one is told the same, to check what it finds.
enum Restart {
    static func run(_ arguments: Arguments) async throws {
        let keys = try arguments.number("keys", default: 1_000_000)
        let batches = try arguments.number("batches", default: 0)
        let touched = try arguments.number("touched", default: 10_000)
        let counted = keys + batches * touched
        let queue = RDDQueue<String>()
        let seen = Progress((times: [Double](), rows: 0))
        let watch = Stopwatch()
        let slots = try arguments.number("slots", default: 2)
        let ssc = try await StreamingContext.getOrCreate(
            checkpointDirectory: try arguments.text("ckpt")
        ) {
            let ssc = StreamingContext(
                appName: "recovery", batchInterval: .milliseconds(100),
                engine: .local(slots: slots))
            KeyedState.counts(ssc.queueStream(queue).map { ($0, 1) }).foreachRDD { rdd in
                let sum = try await rdd.map { $0.1 }.fold(0) { $0 + $1 }
                let rows = try await rdd.count()
                seen.change { $0 = ($0.times + [Double(sum)], $0.rows + rows) }
            }
            return ssc
        }
        guard ssc.isRecovered != arguments.has("fill") else {
            throw BenchError("run it with fill=1 on an empty ckpt=, and then without")
        }
        try await ssc.start()
        let started = (SystemTime.wall() - watch.startWall) / .seconds(1)
        if arguments.has("fill") {
            try await LargeState.fill(keys, ssc, queue, seen)
            for batch in LargeState.updates(batches, of: touched, keys) {
                queue.append(ssc.batchContext.parallelize(batch))
            }
            await seen.reached { $0.rows >= counted }
            await ssc.stop(graceful: true)
            return printResult(["keys": keys])
        }
        await seen.reached { !$0.times.isEmpty }
        let first = (SystemTime.wall() - watch.startWall) / .seconds(1)
        let cpu = watch.cpuSeconds
        // Each key is counted once more: so the sum says how much was found.
        queue.append(ssc.batchContext.parallelize((0..<keys).map(LargeState.key)))
        await seen.reached { $0.rows >= keys }
        let found = Int(seen.seen.times.last { $0 > 0 } ?? 0) - keys
        await ssc.stop()
        guard found == counted else { throw BenchError("\(found) of \(counted) came back") }
        printResult([
            "keys": keys, "started_s": started, "first_batch_s": first, "cpu_s": cpu,
            "rss_mb": Double(ResourceUsage.residentBytes() ?? 0) / 1_048_576,
        ])
    }
}
