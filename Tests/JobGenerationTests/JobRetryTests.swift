import BatchEngine
import DStreamCore
import DStreamTestKit
import JobGeneration
import Synchronization
import Testing

/// Retries with back-off, and what follows them.
@Suite("Retries of jobs", .timeLimit(.minutes(5)))
struct JobRetryTests {
    private static let retry = RetryPolicy(
        maxAttempts: 3, initialBackoff: .seconds(2), multiplier: 2)

    /// A job that fails so often, and notes when it runs.
    private func failing(
        _ harness: SchedulerHarness, times: Int, then policy: FailurePolicy,
        retry: RetryPolicy = JobRetryTests.retry
    ) -> OutputJob {
        let runs = Locked(0)
        var job = OutputJob.scripted(0) { [clock = harness.clock, trace = harness.trace] in
            let run = runs.withLock { runs in
                runs += 1
                return runs
            }
            let number = JobAttempt.current.number
            trace.note("run \(run) at \(clock.now.milliseconds), number \(number)")
            if run <= times { throw Boom("boom \(run)") }
        }
        job.failure = FailureHandling(retry: retry, policy: policy)
        return job
    }

    /// Moves the clock to each wait's end.
    private func waitAndAdvance(_ harness: SchedulerHarness, _ count: Int) async {
        for _ in 0..<count { harness.clock.set(to: await harness.clock.nextSleeper()) }
    }

    @Test func theScheduleIsExact() async throws {
        let harness = SchedulerHarness()
        try await harness.run {
            try await harness.submit(1, [failing(harness, times: 2, then: .stop)])
            await waitAndAdvance(harness, 2)
            await harness.trace.wait(for: "1000 completed")
        }
        #expect(
            harness.trace.all == [
                "run 1 at 0, number 0", "run 2 at 2000, number 1", "run 3 at 6000, number 2",
                "1000 completed",
            ])
        let retries = harness.events.all.compactMap { event in
            if case .outputOperationRetrying(let info, let failures, let delay, let reason) = event
            {
                "\(info.batchTime) \(failures) \(delay) \(reason)"
            } else {
                nil
            }
        }
        #expect(
            retries == ["1000 ms 1 2.0 seconds boom 1", "1000 ms 2 4.0 seconds boom 2"])
        #expect(harness.errors.all.isEmpty)
    }

    @Test func theLastFailureCounts() async throws {
        let harness = SchedulerHarness()
        try await harness.run {
            try await harness.submit(1, [failing(harness, times: 3, then: .stop)])
            await waitAndAdvance(harness, 2)
            await harness.trace.wait(for: "1000 failed")
            try await harness.submit(2, [harness.output(0, of: 2)])
            await harness.trace.wait(for: "2000 notRun")
        }
        let error = try #require(harness.errors.all.first)
        #expect(error.underlying as? Boom == Boom("boom 3"))
        #expect(error.message.contains("in each of 3 attempts"))
        #expect(harness.errors.all.count == 1)
    }

    @Test func underContinueLaterBatchesGoOn() async throws {
        let harness = SchedulerHarness(policy: .stop)
        try await harness.run {
            try await harness.submit(
                1, [failing(harness, times: 9, then: .continue, retry: .none)])
            try await harness.submit(2, [harness.output(0, of: 2)])
            await harness.trace.wait(for: "2000 completed")
        }
        #expect(harness.trace.all.contains("1000 failed"))
        #expect(await harness.scheduler.pendingBatches == [.seconds(1)])
    }

    @Test func cancellationEndsTheWait() async throws {
        let harness = SchedulerHarness()
        try await harness.run {
            try await harness.submit(1, [failing(harness, times: 9, then: .stop)])
            _ = await harness.clock.nextSleeper()
        }
        #expect(harness.trace.all == ["run 1 at 0, number 0", "1000 notRun"])
        #expect(harness.errors.all.isEmpty)
        #expect(await harness.scheduler.pendingBatches == [.seconds(1)])
    }

    @Test func anotherOutputDoesNotWait() async throws {
        let harness = SchedulerHarness(concurrentJobs: 2)
        try await harness.run {
            try await harness.submit(
                1, [failing(harness, times: 1, then: .stop), harness.output(1, of: 1)])
            await harness.trace.wait(for: "end 1000/1")
            await waitAndAdvance(harness, 1)
            await harness.trace.wait(for: "1000 completed")
        }
        #expect(harness.errors.all.isEmpty)
    }

    @Test func withoutAPlaceForDeadLettersTheStreamStops() async throws {
        let harness = SchedulerHarness()
        try await harness.run {
            try await harness.submit(
                1, [failing(harness, times: 9, then: .deadLetter, retry: .none)])
            await harness.trace.wait(for: "1000 failed")
        }
        let error = try #require(harness.errors.all.first)
        #expect(error.underlying as? Boom == Boom("boom 1"))
        #expect(error.message.contains("no place for dead letters"))
    }
}
