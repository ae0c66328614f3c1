import DStreamCore
import DStreamTestKit
import JobGeneration
import Testing

/// Order, concurrency, delays and ends of job sets.
@Suite(.timeLimit(.minutes(5))) struct JobSchedulerTests {
    @Test func jobsRunOneAtATimeInBatchAndDeclarationOrder() async throws {
        let harness = SchedulerHarness()
        try await harness.run {
            for second in 1...3 as ClosedRange<Int64> {
                try await harness.submit(
                    second, (0..<2).map { harness.output($0, of: second) })
            }
            await harness.trace.expect(
                (1...3).flatMap { second in
                    [
                        "start \(second)000/0", "end \(second)000/0", "start \(second)000/1",
                        "end \(second)000/1", "\(second)000 completed",
                    ]
                })
        }
        #expect(await harness.scheduler.statistics.completedBatches == 3)
        #expect(await harness.scheduler.pendingBatches == [])
    }

    @Test func concurrentJobsOverlapAcrossBatches() async throws {
        let harness = SchedulerHarness(concurrentJobs: 2)
        let (first, second, third) = (Gate(), Gate(), Gate())
        try await harness.run {
            try await harness.submit(1, [harness.output(0, of: 1, gate: first)])
            await harness.trace.expect(["start 1000/0"])
            try await harness.submit(2, [harness.output(0, of: 2, gate: second)])
            await harness.trace.expect(["start 2000/0"])
            try await harness.submit(3, [harness.output(0, of: 3, gate: third)])
            second.open()
            await harness.trace.expect(["end 2000/0", "2000 completed", "start 3000/0"])
            #expect(await harness.scheduler.pendingBatches == [.seconds(1), .seconds(3)])
            first.open()
            await harness.trace.expect(["end 1000/0", "1000 completed"])
            third.open()
            await harness.trace.expect(["end 3000/0", "3000 completed"])
        }
    }

    @Test func aBatchWithoutJobsIsDoneAtOnceAndSilent() async throws {
        let harness = SchedulerHarness()
        let gate = Gate()
        try await harness.run {
            try await harness.submit(1, [harness.output(0, of: 1, gate: gate)])
            try await harness.submit(2, [])
            await harness.trace.wait(for: "2000 completed")
            gate.open()
            await harness.trace.wait(for: "1000 completed")
        }
        #expect(harness.events.all.count == 5)
    }

    @Test func delaysAreMeasuredOnTheClock() async throws {
        let harness = SchedulerHarness()
        let (first, second) = (Gate(), Gate())
        harness.clock.set(to: .milliseconds(1000))
        try await harness.run {
            try await harness.submit(1, [harness.output(0, of: 1, gate: first)])
            await harness.trace.wait(for: "start 1000/0")
            try await harness.submit(2, [harness.output(0, of: 2, gate: second)])
            harness.clock.set(to: .milliseconds(1700))
            first.open()
            await harness.trace.wait(for: "start 2000/0")
            harness.clock.set(to: .milliseconds(1800))
            second.open()
            await harness.trace.wait(for: "2000 completed")
        }
        let completed = harness.events.all.compactMap { event -> BatchInfo? in
            if case .batchCompleted(let info) = event { info } else { nil }
        }
        #expect(completed.map(\.schedulingDelay) == [.zero, .milliseconds(700)])
        #expect(
            completed.map(\.processingDelay) == [.milliseconds(700), .milliseconds(100)])
    }

    @Test func stoppingEndsAfterTheJobsThatRun() async throws {
        let harness = SchedulerHarness()
        let gate = Gate()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await harness.scheduler.run() }
            try await harness.submit(
                1, [harness.output(0, of: 1, gate: gate), harness.output(1, of: 1)])
            await harness.trace.wait(for: "start 1000/0")
            try await harness.submit(2, [harness.output(0, of: 2)])
            harness.scheduler.stop()
            await harness.trace.expect(["2000 notRun"])
            gate.open()
            try await group.waitForAll()
        }
        #expect(harness.trace.all.suffix(2) == ["end 1000/0", "1000 notRun"])
        #expect(await harness.scheduler.pendingBatches == [.seconds(1), .seconds(2)])
        await #expect(throws: MailboxFinished()) { try await harness.submit(3, []) }
    }

    @Test func cancellingEndsTheJobsAndTellsEverySubmitter() async throws {
        let harness = SchedulerHarness()
        try await harness.run {
            try await harness.submit(1, [harness.output(0, of: 1, gate: Gate())])
            try await harness.submit(2, [harness.output(0, of: 2)])
            await harness.trace.wait(for: "start 1000/0")
        }
        #expect(Set(harness.trace.all.suffix(2)) == ["1000 notRun", "2000 notRun"])
        #expect(harness.errors.all.isEmpty, "a job cut short did not fail")
        #expect(await harness.scheduler.statistics.runningBatches == 0)
    }

    @Test func whatIsSetAsideIsNoLongerPending() async throws {
        let harness = SchedulerHarness(policy: .continue)
        try await harness.run {
            try await harness.submit(1, [harness.output(0, of: 1, error: Boom("boom"))])
            await harness.trace.wait(for: "1000 failed")
            #expect(await harness.scheduler.pendingBatches == [.seconds(1)])
            await harness.scheduler.setAside(.seconds(1))
            try await harness.submit(2, [])
            await harness.trace.wait(for: "2000 completed")
            #expect(await harness.scheduler.pendingBatches == [])
        }
    }
}
