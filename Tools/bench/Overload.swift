import BatchEngine
import StreamingContext
import Synchronization

/// overload: three times the input that the pipeline can take, and then a third of it.
///
/// Back-pressure is on. A source without limit shows first what the pipeline can take. The run fails
/// when a record is lost, when memory or delays were not bounded in the overload, or when the first
/// batch without delay comes later than five batches after the load fell.
enum Overload {
    private final class Batches: StreamingListener {
        let seen = Locked<[BatchInfo]>([])

        func onBatchCompleted(_ batch: BatchInfo) { seen.withLock { $0.append(batch) } }

        var all: [BatchInfo] { seen.withLock { $0 } }
    }

    private static let interval = Duration.milliseconds(200)

    static func run(_ arguments: Arguments) async throws {
        let seconds = try arguments.number("seconds", default: 15)
        let rounds = try arguments.number("rounds", default: 20_000)
        let before = ResourceUsage.residentBytes() ?? 0
        let tally = Tally()
        let batches = Batches()
        let source = PacedSource(rate: 10_000_000, keepsUp: false) { $0 }
        let ssc = try context(arguments)
        ssc.addStreamingListener(batches)
        ssc.receiverStream(source)
            .map { ("key\(work(rounds, $0) % 1000)", $0) }
            .reduceByKey(+)
            .foreachPartition { partition, _ in tally.add(partition) }
        try await ssc.start()
        try await Task.sleep(for: .seconds(seconds))
        let capacity = rate(of: batches.all.suffix(seconds * 5 / 2))
        source.setRate(capacity / 3)
        try await Task.sleep(for: .seconds(5))

        source.setRate(3 * capacity)
        let first = batches.all.count
        var most = before
        for _ in 0..<10 * seconds {
            try await Task.sleep(for: .milliseconds(100))
            most = max(most, ResourceUsage.residentBytes() ?? 0)
        }
        let overload = batches.all.dropFirst(first)
        source.setRate(capacity / 3)
        let fell = BatchTime(milliseconds: Int64(SystemTime.wall() / .milliseconds(1)))
        try await Task.sleep(for: .seconds(5))
        await source.finish()
        await ssc.stop(graceful: true)

        let outcome = Outcome(
            capacity: capacity, held: rate(of: overload.suffix(overload.count / 2)),
            delay: overload.compactMap { $0.totalDelay }.max() ?? Duration.zero,
            grown: most - before,
            recovery: batchesToRecover(batches.all.filter { $0.batchTime > fell }))
        printResult(outcome.fields + [("records", source.sent), ("sum", tally.sums.words)])
        try outcome.check(sent: source.sent, sum: tally.sums.words)
    }

    private static func context(_ arguments: Arguments) throws -> StreamingContext {
        var configuration = StreamingContext.Configuration()
        configuration.backpressure.isEnabled = true
        // Without it the first batch takes all that comes until a rate is known.
        configuration.backpressure.initialRate = 50_000
        configuration.receiver.receivedBytesLimit = 64 << 20
        configuration.blockInterval = .milliseconds(50)
        return StreamingContext(
            appName: "overload", batchInterval: interval,
            engine: .local(slots: try arguments.number("slots", default: 2)),
            configuration: configuration)
    }

    /// Something to do, with a result that cannot be foreseen.
    private static func work(_ rounds: Int, _ number: Int) -> Int {
        var value = UInt64(number)
        for _ in 0..<rounds { value = value &* 6_364_136_223_846_793_005 &+ 1 }
        return Int(value >> 40)
    }

    /// Records per second that batches went through.
    private static func rate(of batches: some Collection<BatchInfo>) -> Double {
        let records = batches.reduce(0) { $0 + $1.recordCount }
        let busy = batches.compactMap { $0.processingDelay }.reduce(Duration.zero, +)
        return Double(records) / max(0.001, busy / .seconds(1))
    }

    /// How many batches after the load fell the first one comes that ends before the next is due.
    private static func batchesToRecover(_ batches: [BatchInfo]) -> Int {
        let index = batches.firstIndex { ($0.totalDelay ?? .seconds(1000)) <= interval }
        return (index ?? batches.count) + 1
    }

    private struct Outcome {
        let capacity: Double
        let held: Double
        let delay: Duration
        let grown: Int
        let recovery: Int

        var fields: [(String, Any)] {
            [
                ("capacity_per_s", capacity.rounded()),
                ("offered_per_s", (3 * capacity).rounded()), ("held_per_s", held.rounded()),
                ("max_delay_ms", delay / .milliseconds(1)),
                ("grown_mb", Double(grown) / 1_048_576), ("recovered_after_batches", recovery),
            ]
        }

        func check(sent: Int, sum: Int) throws {
            var faults: [String] = []
            if sum != sent * (sent - 1) / 2 { faults.append("\(sent) records have the sum \(sum)") }
            // What may be stored, and as much again for what is being worked on.
            if grown > 128 << 20 { faults.append("memory grew by \(grown >> 20) MB") }
            if delay > .seconds(5) { faults.append("a batch was late by \(delay)") }
            if recovery > 5 { faults.append("it took \(recovery) batches to recover") }
            if !faults.isEmpty { throw BenchError(faults.joined(separator: "; ")) }
        }
    }
}
