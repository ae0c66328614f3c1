import BatchEngine
import DStreamCore
import DStreamTestKit
import JobGeneration
import Synchronization
import Testing

/// Failures of generation, of jobs and of checkpoints.
@Suite(.timeLimit(.minutes(5))) struct JobGeneratorFailureTests {
    private let site = OperatorSite("transform", file: "App/Main.swift", line: 7)

    private func failing(at batch: BatchTime, policy: FailurePolicy) -> GeneratorHarness {
        let site = site
        return GeneratorHarness(
            JobGenerator.Configuration(appName: "test", failurePolicy: policy),
            immediateOutcome: .completed
        ) { time, _ in
            if time == batch { throw OperatorFailure(Boom("gen"), at: site) }
            return [.scripted(0)]
        }
    }

    private func expectFailure(_ harness: GeneratorHarness) throws {
        let error = try #require(harness.errors.all.first)
        #expect(harness.errors.all.count == 1)
        #expect(error.code == .generationFailed)
        #expect(error.batchTime == .seconds(2))
        #expect(error.site == site)
        #expect(error.underlying as? Boom == Boom("gen"))
        #expect(
            harness.events.all == [
                .batchGenerationFailed(time: .seconds(2), message: "\(site): gen")
            ])
    }

    @Test func afterAFailedGenerationUnderContinueLaterBatchesGoOn() async throws {
        let harness = failing(at: .seconds(2), policy: .continue)
        try await harness.run {
            for second in 1...3 {
                harness.clock.set(to: .seconds(Int64(second)))
                await harness.trace.wait(for: "generate \(second)000")
            }
            await harness.trace.wait(for: "checkpoint 3000 pending [\"2000\"] completed")
            await harness.trace.wait(for: "release before 2000 keeping [\"2000\"]")
            #expect(await harness.generator.pendingBatches == [.seconds(2)])
        }
        try expectFailure(harness)
    }

    @Test func afterAFailedGenerationUnderStopNoLaterBatchIsGenerated() async throws {
        let harness = failing(at: .seconds(2), policy: .stop)
        try await harness.run {
            for second in 1...2 {
                harness.clock.set(to: .seconds(Int64(second)))
                await harness.trace.wait(for: "generate \(second)000")
            }
            await harness.trace.wait(for: "checkpoint 2000 pending [\"2000\"]")
            harness.clock.set(to: .seconds(5))
            try await harness.generator.drain()
        }
        #expect(!harness.trace.all.contains("allocate 3000"))
        #expect(await harness.generator.pendingBatches == [.seconds(2)])
        try expectFailure(harness)
    }

    @Test func afterAFailedOutputUnderStopNoLaterBatchIsGenerated() async throws {
        let harness = GeneratorHarness()
        try await harness.run {
            harness.clock.set(to: .seconds(1))
            await harness.trace.wait(for: "submit 1000 jobs 1 records 0")
            harness.queue.end(.seconds(1), .failed(.stop))
            try await harness.generator.drain()
            harness.clock.set(to: .seconds(2))
        }
        #expect(!harness.trace.all.contains("allocate 2000"))
        #expect(!harness.trace.all.contains("clear 1000"))
        #expect(await harness.generator.pendingBatches == [.seconds(1)])
    }

    @Test func aFailedAllocationIsAFailedGeneration() async throws {
        let harness = GeneratorHarness()
        harness.allocator.allocationError.withLock { $0 = Boom("log") }
        try await harness.run {
            harness.clock.set(to: .seconds(1))
            await harness.trace.wait(for: "checkpoint 1000 pending [\"1000\"]")
        }
        #expect(harness.errors.all.map(\.code) == [.generationFailed])
        #expect(harness.errors.all.first?.underlying as? Boom == Boom("log"))
        #expect(!harness.trace.all.contains("generate 1000"))
    }

    @Test func tooManyFailedBatchesAreSetAsideForGood() async throws {
        var configuration = JobGenerator.Configuration(appName: "test", failurePolicy: .continue)
        configuration.maxFailedBatches = 2
        let harness = GeneratorHarness(configuration, immediateOutcome: .failed(.continue))
        try await harness.run {
            harness.clock.set(to: .seconds(3))
            await harness.trace.wait(for: "set aside 1000")
        }
        #expect(await harness.generator.pendingBatches == [.seconds(2), .seconds(3)])
        let setAside = harness.events.all.compactMap { event in
            if case .batchSetAside(let time, _) = event { time } else { nil }
        }
        #expect(setAside == [.seconds(1)])
    }

    @Test func aLostCheckpointIsReportedAndTheNextOneSettlesIt() async throws {
        let harness = GeneratorHarness()
        let store = try #require(harness.store)
        let failed = StreamEvent.checkpointFailed(
            time: .seconds(1), message: "no checkpoint could be written: disk full")
        store.error.withLock { $0 = Boom("disk full") }
        try await harness.run {
            harness.clock.set(to: .seconds(1))
            _ = await harness.events.first {
                $0 == failed
            }
            harness.queue.end(.seconds(1))
            _ = await harness.events.first {
                $0 == failed
            }
            store.error.withLock { $0 = nil }
            harness.clock.set(to: .seconds(2))
            await harness.trace.wait(for: "clear 1000")
        }
        #expect(harness.errors.all.isEmpty)
    }

    @Test func aLostFinalCheckpointIsAnError() async throws {
        let harness = GeneratorHarness(immediateOutcome: .completed)
        try #require(harness.store).error.withLock { $0 = Boom("disk full") }
        try await harness.run {
            harness.clock.set(to: .seconds(1))
            await harness.trace.wait(for: "submit 1000 jobs 1 records 0")
            try await harness.generator.drain()
        }
        #expect(harness.errors.all.map(\.code) == [.checkpointUnwritable])
        #expect(!harness.trace.all.contains("clear 1000"))
    }

    @Test func aFailedCleanUpIsReportedAndDoesNotHoldUpTheStream() async throws {
        let harness = GeneratorHarness(immediateOutcome: .completed)
        harness.allocator.releaseError.withLock { $0 = Boom("busy") }
        try await harness.run {
            harness.clock.set(to: .seconds(1))
            _ = await harness.events.first {
                $0
                    == .checkpointFailed(
                        time: .seconds(1), message: "old batches could not be released: busy")
            }
            harness.clock.set(to: .seconds(2))
            await harness.trace.wait(for: "clear 2000")
        }
        #expect(harness.errors.all.isEmpty)
    }
}
