import DStreamCore
import JobGeneration
import Testing

/// The generator's decisions: every event in every state, and the bookkeeping behind them.
@Suite struct JobGeneratorMachineTests {
    typealias Machine = JobGeneratorMachine

    /// One way into each state, with batches of one second and checkpoints.
    enum State: String, CaseIterable {
        case running, generating, halted, finishing, probing, finalBatch, settling, ended
    }

    /// The events, concerning batch 1000 where they name one, at the time 2500.
    static let events: [(name: String, event: Machine.Event)] = [
        ("ticked", .ticked),
        ("generated", .generated(.seconds(1))),
        ("generationFailed", .generationFailed(.seconds(1))),
        ("completed", .batchEnded(.seconds(1), .completed)),
        ("failed", .batchEnded(.seconds(1), .failed(.stop))),
        ("notRun", .batchEnded(.seconds(1), .notRun)),
        ("probedTrue", .probed(hasUnallocatedBlocks: true)),
        ("probedFalse", .probed(hasUnallocatedBlocks: false)),
        ("checkpointWritten", .checkpointWritten(ticket: 1)),
        ("checkpointFailed", .checkpointFailed(ticket: 1)),
        ("cleanedUp", .cleanedUp),
        ("drain", .drain),
        ("stop", .stop),
    ]

    static func machine(
        policy: FailurePolicy = .stop, late: LateBatches = .generate,
        maxQueued: Int = 1, maxFailed: Int = 10, from first: Int64 = 1, rerun: [Int64] = [],
        hasCheckpoints: Bool = true
    ) -> Machine {
        Machine(
            JobGenerator.Configuration(
                appName: "test", failurePolicy: policy, lateBatches: late,
                maxQueuedBatches: maxQueued, maxFailedBatches: maxFailed),
            interval: .seconds(1), firstBatch: .seconds(first), rerun: rerun.map { .seconds($0) },
            hasCheckpoints: hasCheckpoints)
    }

    /// Brings a machine into a state: in all but the first two, batch 1000 is submitted and runs.
    static func machine(in state: State) -> Machine {
        var machine = machine()
        let now = BatchTime.milliseconds(1500)
        func submitFirst() {
            _ = machine.handle(.ticked, now: now)
            _ = machine.handle(.generated(.seconds(1)), now: now)
        }
        switch state {
        case .running: submitFirst()
        case .generating: _ = machine.handle(.ticked, now: now)
        case .halted:
            _ = machine.handle(.ticked, now: now)
            _ = machine.handle(.generationFailed(.seconds(1)), now: now)
        case .finishing:
            submitFirst()
            _ = machine.handle(.drain, now: .milliseconds(2500))
        case .probing:
            submitFirst()
            _ = machine.handle(.drain, now: now)
        case .finalBatch, .settling:
            submitFirst()
            _ = machine.handle(.drain, now: now)
            let hasBlocks = state != .settling
            _ = machine.handle(.probed(hasUnallocatedBlocks: hasBlocks), now: now)
        case .ended: _ = machine.handle(.stop, now: now)
        }
        return machine
    }

    @Test(arguments: State.allCases) func everyEventHasItsAnswer(_ state: State) throws {
        var lines: [String] = []
        for (name, event) in Self.events {
            // Generation ends only where it was begun; elsewhere it traps, see below.
            let isGenerationEnd = name == "generated" || name == "generationFailed"
            if isGenerationEnd, state != .generating, state != .ended {
                lines.append("\(name): traps")
                continue
            }
            var machine = Self.machine(in: state)
            let actions = machine.handle(event, now: .milliseconds(2500))
            lines.append(
                "\(name): \(machine.phase.text)"
                    + (actions.isEmpty ? "" : " | " + actions.map(\.text).joined(separator: ", ")))
        }
        #expect(lines.joined(separator: "\n") == Self.table[state])
    }

    @Test func aGenerationThatWasNotBegunTraps() async {
        await #expect(processExitsWith: .failure) {
            var machine = JobGeneratorMachineTests.machine(in: .running)
            _ = machine.handle(.generated(.seconds(1)), now: .seconds(1))
        }
        await #expect(processExitsWith: .failure) {
            var machine = JobGeneratorMachineTests.machine(in: .settling)
            _ = machine.handle(.generationFailed(.seconds(1)), now: .seconds(1))
        }
        await #expect(processExitsWith: .failure) {
            var machine = JobGeneratorMachineTests.machine(in: .generating)
            _ = machine.handle(.generated(.seconds(2)), now: .seconds(1))
        }
    }
}

/// Sequences of events, and the bookkeeping behind the decisions.
@Suite struct JobGeneratorMachineSequenceTests {
    private func run(
        _ machine: inout JobGeneratorMachine, at now: Int64,
        _ events: JobGeneratorMachine.Event...
    ) -> [String] {
        events.flatMap { machine.handle($0, now: .milliseconds(now)).map(\.text) }
    }

    @Test func aBatchThatEndsBeforeItsSubmissionIsKnownIsCheckpointedTwiceAllTheSame() {
        var machine = JobGeneratorMachineTests.machine()
        #expect(run(&machine, at: 1000, .ticked) == ["generate 1000"])
        #expect(run(&machine, at: 1000, .batchEnded(.seconds(1), .completed)) == [])
        #expect(
            run(&machine, at: 1000, .generated(.seconds(1))) == [
                "checkpoint#1 1000 [\"1000\"]", "checkpoint#2 1000 [] done",
            ])
        #expect(run(&machine, at: 1000, .checkpointWritten(ticket: 1)) == [])
        #expect(
            run(&machine, at: 1000, .checkpointWritten(ticket: 2)) == ["clean 1000 keeping -"])
    }

    @Test func oneDurableCheckpointSettlesThoseItReplaced() {
        var machine = JobGeneratorMachineTests.machine(maxQueued: 5)
        for batch in 1...3 {
            _ = run(&machine, at: Int64(batch) * 1000, .ticked)
            _ = run(
                &machine, at: Int64(batch) * 1000, .generated(.seconds(Int64(batch))),
                .batchEnded(.seconds(Int64(batch)), .completed))
        }
        #expect(
            run(&machine, at: 3000, .checkpointWritten(ticket: 6)) == ["clean 3000 keeping -"])
    }

    @Test func aLostCheckpointForgetsNothingUntilALaterOneIsDurable() {
        var machine = JobGeneratorMachineTests.machine()
        _ = run(
            &machine, at: 1000, .ticked, .generated(.seconds(1)),
            .batchEnded(.seconds(1), .completed))
        #expect(run(&machine, at: 1000, .checkpointFailed(ticket: 2)) == [])
        #expect(machine.isLastCheckpointLost)
        _ = run(&machine, at: 2000, .ticked, .generated(.seconds(2)))
        #expect(
            run(&machine, at: 2000, .checkpointWritten(ticket: 3)) == ["clean 1000 keeping 2000"])
        #expect(!machine.isLastCheckpointLost)
    }

    /// A machine without a durable checkpoint of two batches, which are as many as may be.
    private func undurable() -> JobGeneratorMachine {
        var configuration = JobGenerator.Configuration(appName: "test")
        configuration.maxBatchesWithoutCheckpoint = 2
        var machine = JobGeneratorMachine(
            configuration, interval: .seconds(1), firstBatch: .seconds(1), rerun: [],
            hasCheckpoints: true)
        for batch in 1...2 as ClosedRange<Int64> {
            _ = run(
                &machine, at: batch * 1000, .ticked, .generated(.seconds(batch)),
                .batchEnded(.seconds(batch), .completed))
        }
        return machine
    }

    @Test func generationWaitsForACheckpointThatIsSlow() {
        var machine = undurable()
        #expect(run(&machine, at: 3000, .ticked) == [])
        #expect(
            run(&machine, at: 3500, .checkpointWritten(ticket: 4)) == [
                "clean 2000 keeping -", "generate 3000",
            ])
    }

    @Test func generationEndsWhenCheckpointsCannotBeWrittenForTooLong() {
        var machine = undurable()
        #expect(run(&machine, at: 3000, .checkpointFailed(ticket: 4)) == ["lost 2 since 1000"])
        #expect(machine.phase == .halted)
        #expect(run(&machine, at: 9000, .ticked, .checkpointFailed(ticket: 4)) == [])
        #expect(run(&machine, at: 9000, .drain) == ["end"])
    }

    @Test func drainingEndsWhenCheckpointsCannotBeWrittenForTooLong() {
        var machine = undurable()
        #expect(run(&machine, at: 3000, .drain) == [])
        #expect(
            run(&machine, at: 3000, .checkpointFailed(ticket: 4)) == ["lost 2 since 1000", "end"])
    }

    /// A machine whose checkpoints are 100 ms apart.
    private func spaced(batches interval: Duration) -> JobGeneratorMachine {
        var configuration = JobGenerator.Configuration(appName: "test")
        configuration.checkpointSpacing = .milliseconds(100)
        return JobGeneratorMachine(
            configuration, interval: interval, firstBatch: .zero + interval, rerun: [],
            hasCheckpoints: true)
    }

    @Test func checkpointsOfShortBatchesAreKeptApart() {
        var machine = spaced(batches: .milliseconds(40))
        func ran(_ batch: Int64) -> [JobGeneratorMachine.Event] {
            let batch = BatchTime.milliseconds(batch)
            return [.ticked, .generated(batch), .batchEnded(batch, .completed)]
        }
        func run(_ now: Int64, _ events: [JobGeneratorMachine.Event]) -> [String] {
            events.flatMap { machine.handle($0, now: .milliseconds(now)).map(\.text) }
        }
        #expect(run(40, ran(40)) == ["generate 40", "checkpoint#1 40 [\"40\"]"])
        // Nothing is forgotten for a checkpoint that does not know of the batch's end.
        #expect(run(41, [.checkpointWritten(ticket: 1)]) == [])
        #expect(run(80, ran(80)) == ["generate 80"])
        #expect(run(120, ran(120)) == ["generate 120"])
        #expect(run(139, [.ticked]) == [])
        #expect(run(140, [.ticked]) == ["checkpoint#2 120 [] done"])
        #expect(run(141, [.checkpointWritten(ticket: 2)]) == ["clean 120 keeping -"])
        // Draining waits for the last one, and so that one does not wait.
        #expect(run(160, ran(160)) == ["generate 160"])
        #expect(run(161, [.drain]) == ["checkpoint#3 160 [] done", "probe"])
        #expect(run(162, [.probed(hasUnallocatedBlocks: false)]) == [])
        #expect(run(163, [.cleanedUp]) == [])
        #expect(run(164, [.checkpointWritten(ticket: 3)]) == ["clean 160 keeping -"])
        #expect(run(165, [.cleanedUp]) == ["end"])
    }

    @Test func longerBatchesHaveAllTheirCheckpoints() {
        var machine = spaced(batches: .milliseconds(100))
        let batch = BatchTime.milliseconds(100)
        #expect(
            run(&machine, at: 100, .ticked, .generated(batch), .batchEnded(batch, .completed)) == [
                "generate 100", "checkpoint#1 100 [\"100\"]", "checkpoint#2 100 [] done",
            ])
    }

    @Test func cleanUpsAreDoneOneAtATimeTheLatestForAll() {
        var machine = JobGeneratorMachineTests.machine(maxQueued: 5, hasCheckpoints: false)
        _ = run(&machine, at: 4000, .ticked)
        for batch in 1...4 { _ = run(&machine, at: 4000, .generated(.seconds(Int64(batch)))) }
        #expect(
            run(&machine, at: 4000, .batchEnded(.seconds(2), .completed)) == [
                "clean 2000 keeping 1000"
            ])
        #expect(run(&machine, at: 4000, .batchEnded(.seconds(3), .completed)) == [])
        #expect(run(&machine, at: 4000, .batchEnded(.seconds(1), .completed)) == [])
        #expect(run(&machine, at: 4000, .cleanedUp) == ["clean 3000 keeping 4000"])
        #expect(run(&machine, at: 4000, .cleanedUp) == [])
    }

    @Test func reRunsComeFirstAndKeepTheCheckpointsTime() {
        var machine = JobGeneratorMachineTests.machine(from: 6, rerun: [4, 2])
        #expect(machine.ledger.pending == [.seconds(2), .seconds(4)])
        #expect(run(&machine, at: 5500, .ticked) == ["generate 2000"])
        #expect(
            run(&machine, at: 5500, .generated(.seconds(2)))
                == ["checkpoint#1 5000 [\"2000\", \"4000\"] done"])
        #expect(
            run(&machine, at: 5500, .batchEnded(.seconds(2), .completed)) == [
                "checkpoint#2 5000 [\"4000\"] done", "generate 4000",
            ])
        _ = run(
            &machine, at: 5500, .generated(.seconds(4)), .batchEnded(.seconds(4), .completed))
        #expect(run(&machine, at: 5999, .ticked) == [])
        #expect(run(&machine, at: 6000, .ticked) == ["generate 6000"])
    }

    @Test func aBatchToBeReRunIsNotGeneratedTwice() {
        var machine = JobGeneratorMachineTests.machine(maxQueued: 5, from: 1, rerun: [1, 2])
        #expect(run(&machine, at: 3000, .ticked) == ["generate 1000"])
        #expect(run(&machine, at: 3000, .generated(.seconds(1))).last == "generate 2000")
        #expect(run(&machine, at: 3000, .generated(.seconds(2))).last == "generate 3000")
    }

    @Test func lateBatchesAreCountedFromAWholeInterval() {
        var machine = JobGeneratorMachineTests.machine(maxQueued: 5, hasCheckpoints: false)
        #expect(
            run(&machine, at: 2999, .ticked) == ["late 1000 by 1999", "generate 1000"])
        #expect(run(&machine, at: 2999, .generated(.seconds(1))) == ["generate 2000"])
    }

    @Test func skippingTakesTheNewestThatIsDueWheneverThereIsRoom() {
        var machine = JobGeneratorMachineTests.machine(late: .skip, hasCheckpoints: false)
        #expect(
            run(&machine, at: 4500, .ticked) == ["skipped 1000 count 3", "generate 4000"])
        #expect(run(&machine, at: 9000, .generated(.seconds(4))) == [])
        #expect(
            run(&machine, at: 9000, .batchEnded(.seconds(4), .completed)) == [
                "clean 4000 keeping -", "skipped 5000 count 4", "generate 9000",
            ])
    }

    @Test func theQueueBoundHoldsWhateverBecomesDue() {
        var machine = JobGeneratorMachineTests.machine(maxQueued: 3, hasCheckpoints: false)
        var generated = 0
        var last = BatchTime.zero
        var actions = machine.handle(.ticked, now: .seconds(100))
        while case .generate(let batch)? = actions.last {
            generated += 1
            last = batch
            actions = machine.handle(.generated(batch), now: .seconds(100))
        }
        #expect(generated == 3)
        #expect(last == .seconds(3))
        #expect(machine.ledger.unfinished.count == 3)
    }

    @Test func drainingEndsWhenNothingIsUnderWay() {
        var machine = JobGeneratorMachineTests.machine()
        _ = run(&machine, at: 1000, .ticked, .generated(.seconds(1)), .drain)
        #expect(run(&machine, at: 1000, .probed(hasUnallocatedBlocks: false)) == [])
        #expect(
            run(&machine, at: 1000, .batchEnded(.seconds(1), .completed))
                == ["checkpoint#2 1000 [] done"])
        #expect(
            run(&machine, at: 1000, .checkpointWritten(ticket: 2)) == ["clean 1000 keeping -"])
        #expect(run(&machine, at: 1000, .cleanedUp) == ["end"])
        #expect(machine.phase == .ended)
    }

    @Test func whenEveryBatchFailsWhatIsOlderIsForgottenAllTheSame() {
        for hasCheckpoints in [false, true] {
            var machine = JobGeneratorMachineTests.machine(
                policy: .continue, hasCheckpoints: hasCheckpoints)
            _ = run(&machine, at: 1000, .ticked, .generated(.seconds(1)))
            let clean = "clean 1000 keeping - failed [\"1000\"]"
            #expect(
                run(&machine, at: 1000, .batchEnded(.seconds(1), .failed(.continue)))
                    == [hasCheckpoints ? "checkpoint#2 1000 [\"1000\"]" : clean])
            if hasCheckpoints {
                #expect(run(&machine, at: 1000, .checkpointWritten(ticket: 2)) == [clean])
            }
            _ = run(&machine, at: 1500, .cleanedUp)
            #expect(run(&machine, at: 2000, .ticked) == ["generate 2000"])
            // What cannot be made is forgotten in the same way.
            let failed = run(&machine, at: 2000, .generationFailed(.seconds(2)))
            let both = "[\"1000\", \"2000\"]"
            #expect(
                failed == [
                    hasCheckpoints
                        ? "checkpoint#3 2000 \(both)" : "clean 2000 keeping - failed \(both)"
                ])
        }
    }

    @Test func failedBatchesAreKeptUpToTheirBound() {
        var ledger = BatchLedger(pending: [], newest: .zero, failedMaximum: 2)
        var setAside: [BatchTime?] = []
        for second in [3, 1, 2] as [Int64] {
            ledger.begin(.seconds(second))
            setAside.append(ledger.fail(.seconds(second)))
        }
        #expect(setAside == [nil, nil, .seconds(3)])
        #expect(ledger.pending == [.seconds(1), .seconds(2)])
        #expect(ledger.newest == .seconds(3))
        #expect(ledger.unfinished.isEmpty)
    }
}

extension JobGeneratorMachine.Phase {
    /// The phase in tables.
    var text: String {
        switch self {
        case .running: "running"
        case .halted: "halted"
        case .draining(.finishing): "finishing"
        case .draining(let stage): "\(stage)"
        case .ended: "ended"
        }
    }
}

extension JobGeneratorMachine.Action {
    /// The action in tables.
    var text: String {
        switch self {
        case .generate(let batch): "generate \(batch.text)"
        case .reportLate(let batch, let delay): "late \(batch.text) by \(delay.milliseconds)"
        case .reportSkipped(let batch, let count): "skipped \(batch.text) count \(count)"
        case .writeCheckpoint(let checkpoint):
            "checkpoint#\(checkpoint.ticket) \(checkpoint.time.text) "
                + "\(checkpoint.pending.map(\.text))" + (checkpoint.isCompleted ? " done" : "")
        case .cleanUp(let batch, let keeping, let failed):
            "clean \(batch.text) keeping \(keeping?.text ?? "-")"
                + (failed.isEmpty ? "" : " failed \(failed.sorted().map(\.text))")
        case .setAside(let batch): "set aside \(batch.text)"
        case .reportCheckpointsLost(let batch, let count): "lost \(count) since \(batch.text)"
        case .probe: "probe"
        case .end: "end"
        }
    }
}
