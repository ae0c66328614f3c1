import DStreamCore
import DStreamTestKit
import StreamingContext
import Testing

/// Reading batches takes turns with making them.
@Suite struct SliceTurnTests {
    @Test("a task that was started in an earlier turn waits for its own", .timeLimit(.minutes(5)))
    func aTaskFromAnEarlierTurn() async throws {
        let harness = StreamHarness()
        let input = harness.input([[1], [2]]).remember(.seconds(5))
        let isSecond = TestGate()
        let order = Notes<String>()
        let readers = Notes<Task<Void, any Error>>()
        let seen = harness.record(
            input.transform { rdd, time in
                if time == .seconds(1) {
                    readers.add(Self.read(input, after: isSecond, order))
                } else {
                    isSecond.open()
                    // Long enough for a task that does not wait.
                    for _ in 0..<1000 { await Task.yield() }
                    order.add("generated")
                }
                return rdd
            })
        try await harness.ssc.start()
        try await harness.advance()
        try await harness.advance()
        for reader in readers.all { try await reader.value }
        #expect(order.all == ["generated", "read"])
        #expect(seen.batches.map(\.elements) == [[1], [2]])
        await harness.ssc.stop()
    }

    private static func read(
        _ input: DStream<Int>, after gate: TestGate, _ order: Notes<String>
    ) -> Task<Void, any Error> {
        Task {
            try await gate.wait()
            _ = try await input.slice(from: .seconds(1), through: .seconds(1))
            order.add("read")
        }
    }
}
