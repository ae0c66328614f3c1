import DStreamTestKit
import StreamingContext
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
}
