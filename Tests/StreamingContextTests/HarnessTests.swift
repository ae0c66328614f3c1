import BatchEngine
import DStreamTestKit
import StreamingContext
import Synchronization
import Testing

@Suite("A pipeline on the harness")
struct HarnessTests {
    @Test("counts words batch by batch", .timeLimit(.minutes(5)))
    func wordCount() async throws {
        let harness = StreamHarness()
        let lines = harness.input([["a b a"], [], ["b"]])
        let counts = harness.record(
            lines.flatMap { $0.words() }.map { ($0, 1) }.reduceByKey(+))
        try await harness.run(batches: 3)
        #expect(counts.batches.map(\.time) == [.seconds(1), .seconds(2), .seconds(3)])
        let tables = counts.batches.map { batch in
            Dictionary(uniqueKeysWithValues: batch.elements.map { ($0.0, $0.1) })
        }
        #expect(tables == [["a": 2, "b": 1], [:], ["b": 1]])
        #expect(harness.errors.isEmpty)
    }

    @Test("compactMap, keyBy, keys and values do what they do on RDDs", .timeLimit(.minutes(5)))
    func pairs() async throws {
        let harness = StreamHarness()
        let pairs = harness.input([["1", "x", "22"]]).compactMap { Int($0) }
            .keyBy { String($0).count }
        let (keys, values) = (harness.record(pairs.keys()), harness.record(pairs.values()))
        try await harness.run(batches: 1)
        #expect(keys.batches.map(\.elements) == [[1, 2]])
        #expect(values.batches.map(\.elements) == [[1, 22]])
        #expect(harness.errors.isEmpty)
    }

    @Test(
        "print shows so many elements and whether there are more, as Spark does",
        .timeLimit(.minutes(5)),
        arguments: [
            (Int.min, "...\n"), (-1, "...\n"), (0, "...\n"), (1, "a\n...\n"), (2, "a\nb\n"),
            (Int.max, "a\nb\n"),
        ])
    func print(_ count: Int, _ shown: String) async throws {
        let written = Locked("")
        let harness = StreamHarness { text in written.withLock { $0 += text } }
        harness.input([["a", "b"], []], partitions: 1).print(count)
        try await harness.run(batches: 2)
        let rule = String(repeating: "-", count: 43)
        let batches = [shown, count < 0 ? "...\n" : ""].enumerated().map { number, text in
            "\(rule)\nTime: \(number + 1)000 ms\n\(rule)\n\(text)\n"
        }
        #expect(written.withLock { $0 } == batches.joined())
    }
}
