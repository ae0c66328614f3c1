import DStreamCore
import JobGeneration
import Testing

/// The scheduler's decisions: every event in every state.
@Suite struct JobSchedulerMachineTests {
    typealias Machine = JobSchedulerMachine

    /// One way into each state; in all but the first, output 0 of batch 1000 runs and batch 2000
    /// has come.
    enum State: String, CaseIterable {
        case empty, running, halted, stopping, ended
    }

    static let events: [(name: String, event: Machine.Event)] = [
        ("submitted", .submitted(set(3, 1), at: .seconds(3))),
        ("submittedEmpty", .submitted(set(3, 0), at: .seconds(3))),
        ("succeeded", .jobEnded(batch: .seconds(1), outputOperation: 0, failure: nil)),
        ("failed", .jobEnded(batch: .seconds(1), outputOperation: 0, failure: .boom)),
        ("setAside", .setAside(.seconds(9))),
        ("stop", .stop),
    ]

    static let table: [State: String] = [
        .empty: """
        submitted: running | submitted 3000, started 3000, output 0 started, start 3000/0
        submittedEmpty: running | 3000 completed
        succeeded: traps
        failed: traps
        setAside: running
        stop: ended | end
        """,
        .running: """
        submitted: running | submitted 3000
        submittedEmpty: running | 3000 completed
        succeeded: running | output 0 completed, output 1 started, start 1000/1
        failed: halted | output 0 failed, report, 2000 notRun, output 1 started, start 1000/1
        setAside: running
        stop: stopping | 2000 notRun
        """,
        // Batch 500 failed while output 0 of batch 1000 ran; output 1 has taken its room.
        .halted: """
        submitted: halted | 3000 notRun
        submittedEmpty: halted | 3000 notRun
        succeeded: halted | output 0 completed, output 2 started, start 1000/2
        failed: halted | output 0 failed, report, output 2 started, start 1000/2
        setAside: halted
        stop: stopping
        """,
        .stopping: """
        submitted: stopping | 3000 notRun
        submittedEmpty: stopping | 3000 notRun
        succeeded: ended | output 0 completed, 1000 notRun, end
        failed: ended | output 0 failed, report, 1000 notRun, end
        setAside: stopping
        stop: stopping
        """,
        .ended: """
        submitted: ended | 3000 notRun
        submittedEmpty: ended | 3000 notRun
        succeeded: ended
        failed: ended
        setAside: ended
        stop: ended
        """,
    ]

    @Test(arguments: State.allCases) func everyEventHasItsAnswer(_ state: State) {
        var lines: [String] = []
        for (name, event) in Self.events {
            if state == .empty, case .jobEnded = event {
                lines.append("\(name): traps")
                continue
            }
            var machine = Self.machine(in: state)
            let actions = machine.handle(event, now: .seconds(4))
            lines.append(
                "\(name): \(machine.phase)"
                    + (actions.isEmpty ? "" : " | " + actions.map(\.text).joined(separator: ", ")))
        }
        #expect(lines.joined(separator: "\n") == Self.table[state])
    }

    @Test func aJobThatWasNotStartedCannotEnd() async {
        await #expect(processExitsWith: .failure) {
            var machine = JobSchedulerMachineTests.machine(in: .empty)
            _ = machine.handle(
                .jobEnded(batch: .seconds(1), outputOperation: 0, failure: nil), now: .zero)
        }
        await #expect(processExitsWith: .failure) {
            var machine = JobSchedulerMachineTests.machine(in: .running)
            _ = machine.handle(
                .jobEnded(batch: .seconds(1), outputOperation: 1, failure: nil), now: .zero)
        }
    }

    @Test func aBatchCannotBeSubmittedTwiceAtOnce() async {
        await #expect(processExitsWith: .failure) {
            var machine = JobSchedulerMachineTests.machine(in: .running)
            _ = machine.handle(
                .submitted(JobSchedulerMachineTests.set(1, 1), at: .zero), now: .zero)
        }
    }

    @Test func statisticsCountBatchesWhereTheyAre() {
        var machine = Self.machine(in: .running)
        var statistics = JobScheduler.Statistics(
            queuedBatches: 1, runningBatches: 1, completedBatches: 0, failedBatches: 0)
        #expect(machine.statistics == statistics)
        #expect(machine.pendingBatches == [.seconds(1), .seconds(2)])
        for (output, failure) in [(0, .boom), (1, nil)] as [(Int, JobFailure?)] {
            _ = machine.handle(
                .jobEnded(batch: .seconds(1), outputOperation: output, failure: failure),
                now: .zero)
        }
        statistics = JobScheduler.Statistics(
            queuedBatches: 0, runningBatches: 0, completedBatches: 0, failedBatches: 1)
        #expect(machine.statistics == statistics)
        #expect(machine.pendingBatches == [.seconds(1), .seconds(2)])
    }

    /// What streams keep is computed without a word, unless it fails.
    @Test(arguments: [0, 1]) func aHiddenJobIsSeenOnlyWhenItFails(outputs: Int) {
        for failure in [nil, JobFailure.boom] {
            var machine = Machine(concurrentJobs: 1)
            var jobs = (0..<outputs).map { OutputJob.scripted($0) }
            jobs.append(.scripted(outputs))
            jobs[outputs].isHidden = true
            var actions = machine.handle(
                .submitted(JobSet(time: .seconds(1), outputs: jobs), at: .zero), now: .zero)
            for number in 0...outputs {
                actions += machine.handle(
                    .jobEnded(
                        batch: .seconds(1), outputOperation: number,
                        failure: number == outputs ? failure : nil), now: .zero)
            }
            let seen =
                outputs == 0
                ? ["start 1000/0"]
                : [
                    "submitted 1000", "started 1000", "output 0 started", "start 1000/0",
                    "output 0 completed", "start 1000/1",
                ]
            let failing =
                failure == nil ? [] : ["output \(outputs) started", "output \(outputs) failed"]
            let ending =
                (outputs == 0 ? [] : ["batchCompleted 1000"]) + (failure == nil ? [] : ["report"])
                + ["1000 \(failure == nil ? "completed" : "failed")"]
            #expect(actions.map(\.text) == seen + failing + ending)
            #expect(machine.pendingBatches == (failure == nil ? [] : [.seconds(1)]))
            for case .post(.batchCompleted(let info)) in actions {
                #expect(info.outputOperationInfos.keys.sorted() == [0])
            }
        }
    }

    static func set(_ second: Int64, _ outputs: Int) -> JobSet {
        JobSet(time: .seconds(second), outputs: (0..<outputs).map { .scripted($0) })
    }

    static func machine(in state: State) -> Machine {
        var machine = Machine(concurrentJobs: state == .halted ? 2 : 1)
        if state == .empty { return machine }
        if state == .halted {
            let early = JobSet(time: .milliseconds(500), outputs: [.scripted(0)])
            _ = machine.handle(.submitted(early, at: .zero), now: .zero)
            _ = machine.handle(.submitted(set(1, 3), at: .zero), now: .zero)
            _ = machine.handle(
                .jobEnded(batch: .milliseconds(500), outputOperation: 0, failure: .boom),
                now: .zero)
            return machine
        }
        _ = machine.handle(.submitted(set(1, 2), at: .zero), now: .zero)
        _ = machine.handle(.submitted(set(2, 1), at: .zero), now: .zero)
        if state == .stopping || state == .ended { _ = machine.handle(.stop, now: .zero) }
        if state == .ended { _ = machine.end() }
        return machine
    }
}

extension JobFailure {
    static let boom = JobFailure(reason: "boom", policy: .stop)
}

extension JobSchedulerMachine.Action {
    /// The action in tables.
    var text: String {
        switch self {
        case .post(.batchSubmitted(let info)): "submitted \(info.batchTime.text)"
        case .post(.batchStarted(let info)): "started \(info.batchTime.text)"
        case .post(.batchCompleted(let info)): "batchCompleted \(info.batchTime.text)"
        case .post(.outputOperationStarted(let info)): "output \(info.id) started"
        case .post(.outputOperationCompleted(let info)):
            "output \(info.id) \(info.failureReason == nil ? "completed" : "failed")"
        case .post: "another event"
        case .start(let job): "start \(job.batchTime.text)/\(job.output.outputOperation)"
        case .reportFailure: "report"
        case .ended(let batch, let outcome, _): "\(batch.text) \(outcome.text)"
        case .end: "end"
        }
    }
}
