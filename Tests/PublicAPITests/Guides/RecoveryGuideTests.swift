import BatchEngine
import DStreamTestKit
import StreamingContext
import Synchronization
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

    @Test("a changed program goes on with migrated state", .timeLimit(.minutes(5)))
    func migrates() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "guide")
        defer { try? FileSystem.removeTree(directory) }
        for isChanged in [false, true] {
            let harness = StreamHarness(startTime: .seconds(isChanged ? 2 : 0))
            let orders = harness.input(Array(repeating: [("tea", 2)], count: 4))
            let output = harness.record(totals(orders, isChanged: isChanged))
            let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                harness.ssc
            }
            try await ssc.start()
            try await harness.advance()
            try await harness.advance()
            await ssc.stop(graceful: true)
            #expect(output.batches.last?.elements == [isChanged ? "tea 8.0" : "tea 4"])
        }
    }

    @Test("a direct stream's results are kept with its offsets", .timeLimit(.minutes(5)))
    func keepsOffsets() async throws {
        let harness = StreamHarness()
        let kept = Mutex<[String: Int64]>([:])
        @Sendable func store(_ elements: [String], upTo ranges: [OffsetRange]) async throws {
            for element in elements { kept.withLock { $0[element] = ranges[0].untilOffset } }
        }
        func declare(_ ssc: StreamingContext, _ topic: Topic) {
            let direct = ssc.directStream(topic, maxRatePerPartition: 1000)
            direct.stream.foreachRDD { rdd, time in
                let ranges = direct.offsetRanges(of: time)
                try await store(try await rdd.collect(), upTo: ranges)
            }
        }
        declare(harness.ssc, Topic())
        try await harness.run(batches: 2)
        #expect(kept.withLock { $0 } == ["record 0": 2, "record 1": 2])
    }

    private struct Topic: DirectSource {
        func latestOffsets() async throws -> [TopicPartition: Int64] {
            [TopicPartition(topic: "orders", partition: 0): 2]
        }
        func startingOffset(of partition: TopicPartition) async throws -> Int64 { 0 }
        func read(_ range: OffsetRange, _ body: (String) throws -> Void) throws {
            for offset in range.fromOffset..<range.untilOffset { try body("record \(offset)") }
        }
    }

    private func totals(_ orders: DStream<(String, Int)>, isChanged: Bool) -> DStream<String> {
        if isChanged {
            return
                orders
                .updateStateByKey { values, total -> Double? in
                    (total ?? 0) + values.reduce(0) { $0 + Double($1) }
                }
                .migrateState { (total: Int) in Double(total) }
                .named("totals")
                .map { "\($0) \($1)" }
        }
        return orders.updateStateByKey { values, total -> Int? in
            (total ?? 0) + values.reduce(0, +)
        }.named("totals").map { "\($0) \($1)" }
    }
}
