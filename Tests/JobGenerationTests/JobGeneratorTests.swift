import BatchEngine
import DStreamCore
import DStreamTestKit
import JobGeneration
import Synchronization
import Testing

/// The way of a batch through the generator, between doubles and on a manual clock.
@Suite(.timeLimit(.minutes(5))) struct JobGeneratorTests {
    @Test func aBatchTakesTheFiveStepsInOrderAndIsForgottenAfterTheSecondCheckpoint() async throws {
        let harness = GeneratorHarness { time, context in
            context.inputInfo.report(
                StreamInputInfo(inputStreamID: StreamID(0), recordCount: 3), at: time)
            return [.scripted(0), .scripted(1)]
        }
        try await harness.run {
            harness.clock.set(to: .seconds(1))
            await harness.trace.expect([
                "allocate 1000", "generate 1000", "submit 1000 jobs 2 records 3",
                "checkpoint 1000 pending [\"1000\"]",
            ])
            harness.queue.end(.seconds(1))
            await harness.trace.expect([
                "checkpoint 1000 pending [] completed", "clear 1000", "release before 0",
            ])
            harness.clock.set(to: .seconds(2))
            await harness.trace.expect([
                "allocate 2000", "generate 2000", "submit 2000 jobs 2 records 3",
                "checkpoint 2000 pending [\"2000\"]",
            ])
            harness.queue.end(.seconds(2))
            await harness.trace.wait(for: "release before 1000")
        }
        #expect(harness.errors.all.isEmpty)
        #expect(harness.inputInfo.times == [.seconds(1), .seconds(2)])
    }

    @Test func withoutCheckpointsABatchIsForgottenAtCompletion() async throws {
        let harness = GeneratorHarness(hasStore: false, immediateOutcome: .completed)
        try await harness.run {
            harness.clock.set(to: .seconds(1))
            await harness.trace.expect([
                "allocate 1000", "generate 1000", "submit 1000 jobs 1 records 0", "clear 1000",
                "release before 0",
            ])
        }
    }

    @Test func nothingIsForgottenWhileTheSecondCheckpointIsNotDurable() async throws {
        let gate = Gate()
        let harness = GeneratorHarness(gate: gate)
        try await harness.run {
            gate.open()
            harness.clock.set(to: .seconds(1))
            await harness.trace.wait(for: "checkpoint 1000 pending [\"1000\"]")
            harness.queue.end(.seconds(1))
            await harness.trace.expect(["checkpoint 1000 pending [] completed"])
            // Generation goes on beside the write.
            harness.clock.set(to: .seconds(2))
            await harness.trace.expect([
                "allocate 2000", "generate 2000", "submit 2000 jobs 1 records 0",
            ])
            gate.open()
            await harness.trace.wait(for: "clear 1000")
        }
        let all = harness.trace.all
        let cleared = try #require(all.firstIndex(of: "clear 1000"))
        let submitted = try #require(all.firstIndex(of: "submit 2000 jobs 1 records 0"))
        #expect(submitted < cleared)
    }

    @Test func aNewerCheckpointReplacesThoseThatWait() async throws {
        let gate = Gate()
        let harness = GeneratorHarness(gate: gate, immediateOutcome: .completed)
        try await harness.run {
            harness.clock.set(to: .seconds(1))
            await harness.trace.wait(for: "submit 1000 jobs 1 records 0")
            for second in 2...4 {
                harness.clock.set(to: .seconds(Int64(second)))
                await harness.trace.wait(for: "submit \(second)000 jobs 1 records 0")
            }
            gate.open(10)
            try await harness.generator.drain()
        }
        // Only the newest says what all of them said, and it settles them all.
        let records = try #require(harness.store).records.withLock { $0 }
        #expect(records.count < 8)
        #expect(records.last?.time == .seconds(4))
        #expect(records.last?.pendingBatches == [])
        #expect(records.last?.isCompleted == true)
        #expect(harness.trace.all.contains("clear 4000"))
    }

    @Test func lateBatchesAreGeneratedLateAndReported() async throws {
        let harness = GeneratorHarness(hasStore: false)
        try await harness.run {
            harness.clock.set(to: .milliseconds(3100))
            await harness.trace.expect(
                (1...3).flatMap { second in
                    [
                        "allocate \(second)000", "generate \(second)000",
                        "submit \(second)000 jobs 1 records 0",
                    ]
                })
        }
        #expect(
            harness.events.all == [
                .batchLate(time: .seconds(1), by: .milliseconds(2100)),
                .batchLate(time: .seconds(2), by: .milliseconds(1100)),
            ])
    }

    @Test func lateBatchesAreLeftOutWhenThePolicySaysSo() async throws {
        let harness = GeneratorHarness(
            JobGenerator.Configuration(appName: "test", lateBatches: .skip), hasStore: false)
        try await harness.run {
            harness.clock.set(to: .milliseconds(3100))
            await harness.trace.expect([
                "allocate 3000", "generate 3000", "submit 3000 jobs 1 records 0",
            ])
        }
        #expect(
            harness.events.all == [
                .batchLate(time: .seconds(1), by: .milliseconds(2100)),
                .batchLate(time: .seconds(2), by: .milliseconds(1100)),
            ])
    }

    @Test func manyBatchesThatAreLeftOutAreToldTogether() async throws {
        let harness = GeneratorHarness(
            JobGenerator.Configuration(appName: "test", lateBatches: .skip), hasStore: false)
        try await harness.run {
            harness.clock.set(to: .milliseconds(1_500_100))
            await harness.trace.wait(for: "submit 1500000 jobs 1 records 0")
        }
        #expect(harness.events.all.count == 1001)
        #expect(harness.events.all.last == .batchesSkipped(from: .seconds(1001), count: 499))
    }

    @Test func generationWaitsForAFullQueue() async throws {
        let harness = GeneratorHarness(
            JobGenerator.Configuration(appName: "test", maxQueuedBatches: 2), hasStore: false)
        try await harness.run {
            harness.clock.set(to: .seconds(4))
            await harness.trace.wait(for: "submit 2000 jobs 1 records 0")
            harness.queue.end(.seconds(1))
            await harness.trace.wait(for: "submit 3000 jobs 1 records 0")
            harness.queue.end(.seconds(3))
            await harness.trace.wait(for: "submit 4000 jobs 1 records 0")
            harness.queue.end(.seconds(4))
            await harness.trace.wait(for: "clear 4000")
            await harness.trace.wait(for: "release before 2000")
        }
        // Batch 2000 is pending, so its input was kept however many later ones are done.
        #expect(!harness.trace.all.contains("release before 3000"))
    }

    @Test func pendingBatchesRunAgainFirstAndInOrder() async throws {
        let second = Gate()
        let harness = GeneratorHarness { batch, _ in
            if batch == .seconds(3) { try await second.pass() }
            return [.scripted(0)]
        }
        harness.clock.set(to: .seconds(4))
        try await harness.run(from: .seconds(4), rerun: [.seconds(3), .seconds(1)]) {
            await harness.trace.wait(for: "submit 1000 jobs 1 records 0")
            // Before a later one takes its place.
            await harness.trace.wait(for: "checkpoint 3000 pending [\"1000\", \"3000\"]")
            second.open()
            await harness.trace.wait(for: "submit 3000 jobs 1 records 0")
            await harness.trace.wait(for: "submit 4000 jobs 1 records 0")
            for second in [1, 3, 4] { harness.queue.end(.seconds(Int64(second))) }
            try await harness.generator.drain()
        }
        let records = try #require(harness.store).records.withLock { $0 }
        #expect(records.first?.time == .seconds(3))
        #expect(records.first?.pendingBatches.first == .seconds(1))
        #expect(records.last?.time == .seconds(4))
        #expect(records.last?.isCompleted == true)
        #expect(harness.events.all.isEmpty, "a re-run is not late")
    }
}
