import DStreamTestKit

@main
struct DStreamTestKitAlone {
    static func main() async throws {
        let harness = StreamHarness()
        let lines = harness.input([["a b"], ["b"]])
        let counts = harness.record(
            lines.flatMap { $0.words() }.map { ($0, 1) }.reduceByKey(+))
        try await harness.run(batches: 2)
        precondition(counts.batches.map(\.elements.count) == [2, 1])
        do {
            try await harness.advance()
            preconditionFailure("the context was stopped")
        } catch let error as WaitError {
            precondition(error.code == .stopped, "\(error)")
        }
    }
}
