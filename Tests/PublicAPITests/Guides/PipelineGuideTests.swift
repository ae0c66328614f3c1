import BatchEngine
import DStreamTestKit
import StreamingContext
import Testing

/// The numbers among the lines.
func numbers(in lines: DStream<String>) -> DStream<Int> {
    lines.compactMap { Int($0) }
}

/// The words of the lines that are no comments, with their lengths.
func lengths(in lines: DStream<String>) -> DStream<(String, Int)> {
    lines.flatMap { line -> [(String, Int)] in
        guard !line.hasPrefix("#") else { return [] }
        return line.split(separator: " ").map { (String($0), $0.count) }
    }
}

/// A city at an hour of the day.
struct City: StreamKey, Codable {
    var name: String
    var hour: Int
}

/// The mean length of each sender's lines.
func meanLengths(of lines: DStream<(String, String)>) -> DStream<(String, Double)> {
    lines.mapValues { ($0.count, 1) }
        .reduceByKey { ($0.0 + $1.0, $0.1 + $1.1) }
        .mapValues { Double($0.0) / Double($0.1) }
}

/// The sum of the third field by the first.
func sums(of lines: DStream<String>) -> DStream<(String, Double)> {
    let rows = lines.map { $0.split(separator: ",") }.filter { $0.count == 3 }
    return rows.map { (String($0[0]), Double($0[2]) ?? 0) }.reduceByKey(+)
}

/// The code of `Docs/Guides/Pipelines.md` runs.
@Suite("The guide to pipelines", .timeLimit(.minutes(5)))
struct PipelineGuideTests {
    @Test("leaves elements out")
    func leavingOut() async throws {
        let harness = StreamHarness()
        let lines = harness.input([["1", "# 2", "x yy"]], partitions: 1)
        let found = harness.record(numbers(in: lines))
        let words = harness.record(lengths(in: lines).map { "\($0.0) \($0.1)" })
        try await harness.run(batches: 1)
        #expect(found.batches.map(\.elements) == [[1]])
        #expect(words.batches.map(\.elements) == [["1 1", "x 1", "yy 2"]])
    }

    @Test("groups by a struct")
    func keys() async throws {
        let harness = StreamHarness()
        let places = harness.input([["Bonn", "Bonn", "Ulm"]]).map { (City(name: $0, hour: 7), 1) }
        let counts = harness.record(places.reduceByKey(+).map { "\($0.0.name) \($0.1)" })
        try await harness.run(batches: 1)
        #expect(counts.batches.map { $0.elements.sorted() } == [["Bonn 2", "Ulm 1"]])
    }

    @Test("sums tuples, and cuts chains")
    func sums() async throws {
        let harness = StreamHarness()
        let sent = harness.input([[("a", "x"), ("a", "xxx"), ("b", "xx")]])
        let means = harness.record(meanLengths(of: sent).map { "\($0.0) \($0.1)" })
        let rows = harness.input([["a,x,1.5", "a,y,2", "no row"]])
        let totals = harness.record(PublicAPITests.sums(of: rows).map { "\($0.0) \($0.1)" })
        try await harness.run(batches: 1)
        #expect(means.batches.map { $0.elements.sorted() } == [["a 2.0", "b 2.0"]])
        #expect(totals.batches.map(\.elements) == [["a 3.5"]])
    }
}
