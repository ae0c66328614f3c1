import BatchEngine
import DStreamCore
import Synchronization

extension HotPath {
    /// Windows and state: a batch of as many keys as there are elements.
    static let stateful = [
        graph("window-merge") { $0.reduceByKeyAndWindow(max, window: .milliseconds(10)) },
        graph("window-inverse") {
            $0.reduceByKeyAndWindow(+, inverse: -, window: .milliseconds(10))
        },
        graph("map-with-state") {
            $0.mapWithState(
                StateSpec.function { (key: String, one: Int?, count: State<Int>) in
                    try count.update((count.getOption() ?? 0) + (one ?? 0))
                    return (key, 1)
                })
        },
        graph("update-state") {
            $0.updateStateByKey { values, sum in (sum ?? 0) &+ values.reduce(0, &+) }
        },
    ]

    /// Runs a graph by hand, a batch at a time.
    private static func graph(
        _ name: String,
        _ operation: @escaping @Sendable (DStream<(String, Int)>) -> DStream<(String, Int)>
    ) -> HotPath {
        HotPath(name) { count in
            let context = GenerationContext(
                batch: BatchContext(engine: LocalEngine(slots: 1)), allocator: NoBlocks(),
                inputInfo: NoReports(), standardOutput: { _ in })
            let pairs = words(count, distinct: count).map { ($0, 1) }
            let input = context.batch.parallelize(pairs, partitions: 1)
            let graph = DStreamGraph(batchInterval: .milliseconds(1))
            graph.setCheckpointDirectory(true)
            let rows = operation(graph.inputStream { _, _ in input })
            rows.foreachRDD { rdd in
                let rows = try await rdd.count()
                guard rows == count else { throw BudgetError("\(rows) of \(count) keys came out") }
            }
            try graph.start(zeroTime: .zero)
            let batches = Batches()
            let run: @Sendable () async throws -> Void = {
                let time = batches.next()
                for job in try await graph.generateJobs(at: time, context) { try await job.run() }
                graph.clearMetadata(time)
            }
            // Until windows are full, each slide has more to do than the one before.
            for _ in 0..<30 { try await run() }
            return run
        }
    }

    private struct NoReports: InputReporting {
        func report(_ info: StreamInputInfo, at time: BatchTime) {}
    }

    /// The times of the batches.
    private final class Batches: Sendable {
        private let last = Locked(BatchTime.zero)

        func next() -> BatchTime {
            last.withLock {
                $0 = $0 + .milliseconds(1)
                return $0
            }
        }
    }
}
