import BatchEngine
import DStreamTestKit
import StreamingContext
import Testing

/// The code of `Docs/Guides/Recovery.md` runs.
@Suite("The guide to recovery")
struct RecoveryGuideTests {
    @Test("makes a context that starts, twice on one directory", .timeLimit(.minutes(5)))
    func starts() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "guide")
        defer { try? FileSystem.removeTree(directory) }
        for _ in 0..<2 {
            let orders = FeedReceiver<(String, Int)>()
            let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                let ssc = StreamingContext(appName: "Totals", batchInterval: .seconds(1))
                ssc.receiverStream(orders, protection: .writeAheadLog)
                    .reduceByKey(+)
                    .updateStateByKey { values, total -> Int? in
                        (total ?? 0) + values.reduce(0, +)
                    }
                    .named("totals")
                    .print()
                return ssc
            }
            try await ssc.start()
            try await orders.store(block: [("tea", 2), ("tea", 3)])
            await ssc.stop(graceful: false)
        }
    }
}
