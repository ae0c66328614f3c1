import BatchEngine
import DStreamTestKit
import StreamingContext
import Synchronization
import Testing

/// A table that others may have locked.
actor Table {
    struct Locked: Error {}
    private(set) var rows: [String] = []
    private var isLocked: Bool

    init(isLocked: Bool) { self.isLocked = isLocked }

    func unlock() { isLocked = false }

    func insert(_ new: [String], at time: BatchTime) throws {
        if isLocked { throw Locked() }
        rows += new
    }
}

/// Writes orders into a table, and keeps those that do not go in.
func save(_ orders: DStream<String>, in table: Table) {
    orders.foreachRDD { rdd, time in
        try await table.insert(try await rdd.collect(), at: time)
    }
    .named("table")
    .onFailure(
        retry: RetryPolicy(maxAttempts: 5, initialBackoff: .milliseconds(200)),
        then: .deadLetter)
}

struct NoPrice: Error {}

/// Prices; what is none is kept in dead letters.
func keptPrices(in lines: DStream<String>) -> DStream<Double> {
    let prices = lines.parse(onError: .deadLetter) { line in
        guard let price = Double(line) else { throw NoPrice() }
        return price
    }
    return prices
}

/// Prices; what is none is written into files.
func writtenPrices(in lines: DStream<String>) -> DStream<Double> {
    let prices = lines.parse { line in
        guard let price = Double(line) else { throw NoPrice() }
        return price
    } onError: { failures in
        failures.map { "\($0.record): \($0.reason)" }.saveAsTextFiles(prefix: "rejected")
    }
    return prices
}

/// The code of `Docs/Guides/FailurePolicies.md` runs.
@Suite("The guide to failure policies", .timeLimit(.minutes(5)))
struct FailureGuideTests {
    private let table = Table(isLocked: true)

    private func harness(_ directory: String, poison: String? = nil) -> StreamHarness {
        var configuration = StreamingContext.Configuration()
        configuration.deadLetterDirectory = directory
        let harness = StreamHarness(configuration: configuration)
        let orders = harness.input([["tea", "ink"]]).map { order in
            if order == poison { throw Table.Locked() }
            return order
        }
        save(orders, in: table)
        return harness
    }

    /// A program that goes on after failures.
    func runs(_ ssc: StreamingContext) async throws {
        let report = try await ssc.runUntilInterrupted()
        for batch in report.failedBatches { print("batch \(batch) runs again after a restart") }
        print("\(report.deadLetterCount) dead letters wait to be replayed")
    }

    /// Runs the batch and all its retries.
    private func fail(_ harness: StreamHarness) async throws {
        try await harness.ssc.start()
        harness.clock.advance(by: .seconds(1))
        for wait in [Int64(200), 400, 800, 1600] {
            let end = harness.clock.now + .milliseconds(wait)
            await harness.clock.waitForSleeper(until: end)
            harness.clock.set(to: end)
        }
        try await harness.listener.batchSettled(.seconds(1))
        await harness.ssc.stop()
    }

    @Test("keeps what failed, and replays it")
    func replay() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "guide")
        defer { try? FileSystem.removeTree(directory) }
        try await fail(harness(directory))
        await table.unlock()
        func makeContext() -> StreamingContext { harness(directory).ssc }
        let ssc = makeContext()
        let report = try await ssc.replayDeadLetters()
        #expect(report.replayed.map(\.attempts) == [5], "\(report)")
        #expect(await table.rows == ["tea", "ink"])
    }

    @Test("reads the inputs of what cannot be replayed")
    func read() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "guide")
        defer { try? FileSystem.removeTree(directory) }
        try await fail(harness(directory, poison: "ink"))
        func makeContext() -> StreamingContext { harness(directory).ssc }
        var lost: [String] = []
        let ssc = makeContext()
        for entry in try await ssc.deadLetters().entries where !entry.isOutput {
            let letter = try await ssc.deadLetter(entry.id)
            guard case .inputs(let inputs) = letter.contents else { continue }
            lost += try inputs.first?.elements?.decode(as: String.self) ?? []
        }
        #expect(lost == ["tea", "ink"])
    }

    @Test("keeps records that cannot be parsed")
    func parses() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "guide")
        defer { try? FileSystem.removeTree(directory) }
        var configuration = StreamingContext.Configuration()
        configuration.deadLetterDirectory = directory
        let harness = StreamHarness(configuration: configuration)
        let prices = harness.record(keptPrices(in: harness.input([["1.5", "tea", "2"]])))
        try await harness.run(batches: 1)
        #expect(prices.batches.map(\.elements) == [[1.5, 2]])
        let entries = try await harness.ssc.deadLetters().entries
        let letter = try await harness.ssc.deadLetter(try #require(entries.first).id)
        guard case .output(let elements) = letter.contents else {
            Issue.record("not the elements of the output")
            return
        }
        let kept = try elements.decode(as: ParseFailure<String>.self)
        #expect(kept == [ParseFailure(record: "tea", reason: "NoPrice()")])
    }
}
