import DStreamTestKit
import StreamingContext
import Testing

/// The program: what was ordered of each article so far.
private func totals(of orders: DStream<(String, Int)>) -> DStream<String> {
    orders.updateStateByKey { values, total -> Int? in
        (total ?? 0) + values.reduce(0, +)
    }
    .named("totals")
    .map { "\($0.0) \($0.1)" }
}

/// The code of `Docs/Guides/TestingRecovery.md` runs.
@Suite("The guide to tests of recovery", .timeLimit(.minutes(5)))
struct TestingRecoveryGuideTests {
    /// The program, started on what an earlier run has left on a medium.
    private struct Run {
        static let orders = [[("tea", 1)], [("tea", 2)], [("tea", 4)], [("tea", 8)]]
        let harness: StreamHarness
        let seen: OutputRecorder<String>

        init(_ medium: SimulatedStorageMedium, from start: BatchTime = .zero) {
            var components = StreamHarness.quietComponents
            components.storageMedium = medium
            harness = StreamHarness(startTime: start, components: components)
            seen = harness.record(totals(of: harness.input(Self.orders, from: .seconds(1))))
        }

        func start() async throws {
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: "/checkpoints") {
                harness.ssc
            }
            try await harness.ssc.start()
        }
    }

    @Test("a crash between two batches")
    func crash() async throws {
        let medium = SimulatedStorageMedium()
        let first = Run(medium)
        try await first.start()
        try await first.harness.advance()
        medium.crash()
        await #expect(throws: WaitError.self) { try await first.harness.advance() }
        await first.harness.ssc.stop()

        let second = Run(medium.reopened(seed: 1), from: first.harness.clock.now)
        try await second.start()
        try await second.harness.advance()
        await second.harness.ssc.stop()
        #expect(second.harness.ssc.isRecovered)
        // The second batch was in no checkpoint, so it runs again.
        #expect(second.seen.batches.map(\.elements) == [["tea 3"], ["tea 7"]])
    }

    @Test("a crash after any operation of the medium")
    func everyCrash() async throws {
        let whole = SimulatedStorageMedium()
        try await advance(Run(whole))
        for operation in 0..<whole.operations.count {
            let medium = SimulatedStorageMedium()
            medium.crash(afterOperation: operation)
            let first = Run(medium)
            do { try await advance(first) } catch { await first.harness.ssc.stop() }

            let after = medium.reopened(seed: UInt64(operation))
            let second = Run(after, from: first.harness.clock.now)
            try await advance(second)
            let last = second.seen.batches.last ?? first.seen.batches.last
            #expect(last?.elements == ["tea 15"], "after operation \(operation)")
        }
    }

    /// Runs until all orders have been taken.
    private func advance(_ run: Run) async throws {
        try await run.start()
        while run.harness.clock.now < .seconds(4) { try await run.harness.advance() }
        await run.harness.ssc.stop()
    }

    @Test("a run that starts anew has batches of its own")
    func ownInput() async throws {
        let medium = SimulatedStorageMedium()
        for (start, amount) in [(0, 1), (1, 2)] as [(Int64, Int)] {
            var components = StreamHarness.quietComponents
            components.storageMedium = medium
            let harness = StreamHarness(startTime: .seconds(start), components: components)
            let seen = harness.record(totals(of: harness.input([[("tea", amount)]])))
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: "/checkpoints") {
                harness.ssc
            }
            try await harness.run(batches: 1)
            #expect(seen.batches.map(\.elements) == [[start == 0 ? "tea 1" : "tea 3"]])
        }
    }
}
