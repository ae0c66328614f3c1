import BatchEngine
import DStreamCore
import JobGeneration
import Testing

/// Failed outputs under both policies, and what their errors say.
@Suite(.timeLimit(.minutes(5))) struct JobSchedulerFailureTests {
    @Test func underContinueLaterBatchesGoOnAndTheFailedOneStaysPending() async throws {
        let harness = SchedulerHarness(policy: .continue)
        try await harness.run {
            try await harness.submit(1, [harness.output(0, of: 1, error: Boom("boom"))])
            try await harness.submit(2, [harness.output(0, of: 2)])
            await harness.trace.wait(for: "2000 completed")
            #expect(await harness.scheduler.pendingBatches == [.seconds(1)])
            #expect(await harness.scheduler.statistics.failedBatches == 1)
        }
        #expect(harness.errors.all.map(\.code) == [.outputFailed])
    }

    @Test func underStopNoLaterBatchStartsButTheFailedOneGoesToItsEnd() async throws {
        let harness = SchedulerHarness(policy: .stop)
        let gate = Gate()
        try await harness.run {
            try await harness.submit(
                1,
                [
                    harness.output(0, of: 1, gate: gate, error: Boom("boom")),
                    harness.output(1, of: 1),
                ])
            try await harness.submit(2, [harness.output(0, of: 2)])
            await harness.trace.expect(["start 1000/0"])
            gate.open()
            await harness.trace.expect([
                "end 1000/0", "2000 notRun", "start 1000/1", "end 1000/1", "1000 failed",
            ])
            try await harness.submit(3, [])
            await harness.trace.expect(["3000 notRun"])
        }
        #expect(await harness.scheduler.pendingBatches == [.seconds(1), .seconds(2), .seconds(3)])
    }

    @Test func underStopABatchThatHasStartedGoesOnToItsEnd() async throws {
        let harness = SchedulerHarness(concurrentJobs: 2, policy: .stop)
        let (first, second) = (Gate(), Gate())
        try await harness.run {
            try await harness.submit(
                1, [harness.output(0, of: 1, gate: first, error: Boom("boom"))])
            await harness.trace.expect(["start 1000/0"])
            try await harness.submit(
                2, [harness.output(0, of: 2, gate: second), harness.output(1, of: 2)])
            await harness.trace.expect(["start 2000/0"])
            first.open()
            await harness.trace.expect([
                "end 1000/0", "1000 failed", "start 2000/1", "end 2000/1",
            ])
            second.open()
            await harness.trace.expect(["end 2000/0", "2000 completed"])
        }
    }

    @Test func theErrorNamesBatchOutputOperatorTaskAndCause() async throws {
        let harness = SchedulerHarness(policy: .continue)
        let site = OperatorSite("map", file: "App/Main.swift", line: 3)
        let failures: [any Error] = [
            Boom("plain"), OperatorFailure(Boom("in operator"), at: site),
            EngineError(
                .taskFailed, "the task failed", site: site, partition: 2, attempts: 4,
                underlying: Boom("in task")),
            EngineError(.abandoned, "given up"),
        ]
        try await harness.run {
            for (index, failure) in failures.enumerated() {
                try await harness.submit(
                    Int64(index + 1), [.scripted(0), .scripted(1) { throw failure }])
                await harness.trace.wait(for: "\(index + 1)000 failed")
            }
        }
        let errors = harness.errors.all
        #expect(errors.map(\.code) == Array(repeating: .outputFailed, count: 4))
        #expect(errors.map(\.batchTime) == (1...4).map { .seconds($0) })
        #expect(errors.map(\.outputOperation) == [1, 1, 1, 1])
        #expect(errors.map { $0.site?.name } == ["foreachRDD", "map", "map", "foreachRDD"])
        #expect(
            errors.prefix(3).map { ($0.underlying as? Boom)?.description } == [
                "plain", "in operator", "in task",
            ])
        #expect((errors[3].underlying as? EngineError)?.code == .abandoned)
        #expect(errors[2].message.contains("partition 2, tried 4 times"))
        #expect(errors.allSatisfy { $0.message.contains("foreachRDD at App/Main.swift:11") })
    }
}
