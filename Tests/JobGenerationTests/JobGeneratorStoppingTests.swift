import BatchEngine
import DStreamCore
import DStreamTestKit
import JobGeneration
import Synchronization
import Testing

/// Draining, stopping and cancelling a generator.
@Suite(.timeLimit(.minutes(5))) struct JobGeneratorStoppingTests {
    @Test func drainingTakesWhatIsLeftIntoOneMoreBatchWithoutWaitingForTheClock() async throws {
        let harness = GeneratorHarness(immediateOutcome: .completed)
        harness.allocator.looksWithBlocks.withLock { $0 = 5 }
        try await harness.run {
            harness.clock.set(to: .seconds(1))
            await harness.trace.wait(for: "clear 1000")
            try await harness.generator.drain()
        }
        #expect(
            harness.trace.all.filter { $0.hasPrefix("generate") || $0 == "probe" }
                == ["generate 1000", "probe", "generate 2000"])
        #expect(harness.trace.all.last == "release before 1000")
        #expect(harness.store?.records.withLock { $0.last?.isCompleted } == true)
    }

    @Test func drainingWithoutBlocksGeneratesNothing() async throws {
        let harness = GeneratorHarness()
        try await harness.run { try await harness.generator.drain() }
        #expect(harness.trace.all == ["probe"])
    }

    @Test func drainingWaitsForJobsAndTheLastCheckpoint() async throws {
        let gate = Gate()
        let harness = GeneratorHarness(gate: gate)
        try await harness.run {
            harness.clock.set(to: .seconds(1))
            await harness.trace.wait(for: "submit 1000 jobs 1 records 0")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await harness.generator.drain()
                    harness.trace.note("drained")
                }
                await harness.trace.wait(for: "probe")
                harness.queue.end(.seconds(1))
                gate.open(2)
                await harness.trace.wait(for: "drained")
                try await group.waitForAll()
            }
        }
        let all = harness.trace.all
        #expect(
            all.suffix(4) == [
                "checkpoint 1000 pending [] completed", "clear 1000", "release before 0",
                "drained",
            ])
    }

    @Test func batchesThatAreDueAreGeneratedBeforeDrainingLooksForBlocks() async throws {
        let harness = GeneratorHarness(
            JobGenerator.Configuration(appName: "test", maxQueuedBatches: 1), hasStore: false)
        harness.allocator.looksWithBlocks.withLock { $0 = 1 }
        try await harness.run {
            harness.clock.set(to: .seconds(2))
            await harness.trace.wait(for: "submit 1000 jobs 1 records 0")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await harness.generator.drain() }
                for second in 1...3 {
                    if second > 1 {
                        await harness.trace.wait(for: "submit \(second)000 jobs 1 records 0")
                    }
                    harness.queue.end(.seconds(Int64(second)))
                }
                try await group.waitForAll()
            }
        }
        #expect(
            harness.trace.all.filter { $0.hasPrefix("generate") || $0 == "probe" }
                == ["generate 1000", "generate 2000", "probe", "generate 3000"])
    }

    @Test func drainingTwiceOrAfterTheEndIsDone() async throws {
        let harness = GeneratorHarness()
        try await harness.run {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<3 { group.addTask { try await harness.generator.drain() } }
                try await group.waitForAll()
            }
        }
        try await harness.generator.drain()
        harness.generator.stop()
    }

    @Test func anUngracefulStopEndsAtOnceAndWhoWaitsForADrainLearnsIt() async throws {
        let started = Gate()
        let harness = GeneratorHarness { _, _ in
            started.open()
            // Never opened: only cancellation ends it.
            try await Gate().pass()
            return []
        }
        let grid = try BatchAlignment(period: .seconds(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await harness.generator.run(on: grid, from: .seconds(1)) }
            harness.clock.set(to: .seconds(1))
            try await started.pass()
            let executor = StepExecutor()
            group.addTask(executorPreference: executor) {
                await #expect(throws: CancellationError.self) {
                    try await harness.generator.drain()
                }
            }
            // It has asked, and waits.
            executor.runUntilIdle()
            harness.generator.stop()
            executor.letGo()
            try await group.waitForAll()
        }
        harness.clock.finish()
        #expect(await harness.generator.pendingBatches == [.seconds(1)])
        #expect(harness.errors.all.isEmpty, "a batch cut short did not fail")
    }

    @Test func cancellingLeavesNothingRunning() async throws {
        let gate = Gate()
        let harness = GeneratorHarness(gate: gate)
        // The body ends while a checkpoint is being written and the timer sleeps.
        try await harness.run {
            harness.clock.set(to: .seconds(1))
            await harness.trace.wait(for: "checkpoint 1000 pending [\"1000\"]")
        }
        #expect(harness.clock.sleeperCount == 0)
        #expect(harness.errors.all.isEmpty)
        // A completion that comes after the end is of no consequence.
        harness.queue.end(.seconds(1))
        #expect(!harness.trace.all.contains("clear 1000"))
    }
}
