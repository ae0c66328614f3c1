import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// Dead letters, state and restarts.
@Suite("Dead letters and restarts", .timeLimit(.minutes(5)))
struct DeadLetterRecoveryTests {
    private static let batches = [[("a", 1)], [("a", 2)], [("a", 3)], [("a", 4)], [("a", 5)]]

    /// One run of a program that sums by key and gives the sums to a sink.
    private struct Run {
        let medium: SimulatedStorageMedium
        let sink: ScriptedSink
        var policy = FailurePolicy.deadLetter
        var poison: Int?
        var usesMapWithState = false

        /// Runs batches, going on from what is in the store.
        func callAsFunction(from start: BatchTime, batches: Int, graceful: Bool = true)
            async throws -> StreamHarness
        {
            let store = try await FileCheckpointStore.open("/state", on: medium)
            let harness = LetterRun.harness(
                medium, policy: policy, startTime: start, checkpoints: store)
            let directory = try FileSystem.createTemporaryDirectory(prefix: "letters")
            defer { try? FileSystem.removeTree(directory) }
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                declare(on: harness)
                return harness.ssc
            }
            try await harness.ssc.start()
            for batch in 1...max(1, batches) where batch <= batches {
                if graceful || batch < batches {
                    try await harness.advanceAndSettle()
                } else {
                    // No checkpoint may be possible any more.
                    try await harness.advanceUntilCompleted()
                }
            }
            await harness.ssc.stop(graceful: graceful)
            return harness
        }

        private func declare(on harness: StreamHarness) {
            let (poison, sink) = (poison, sink)
            let pairs = harness.input(DeadLetterRecoveryTests.batches, from: .seconds(1))
                .map { pair -> (String, Int) in
                    if pair.1 == poison { throw SinkDown() }
                    return pair
                }
            let sums: DStream<(String, Int)>
            if usesMapWithState {
                let spec = StateSpec<String, Int, Int, (String, Int)>.function {
                    key, value, state in
                    let sum = (state.getOption() ?? 0) + (value ?? 0)
                    try state.update(sum)
                    return (key, sum)
                }
                sums = pairs.mapWithState(spec).mapped
            } else {
                sums = pairs.updateStateByKey { values, sum in (sum ?? 0) + values.reduce(0, +) }
            }
            sums.foreachRDD { rdd, time in
                try sink.insert(try await rdd.collect().map { "\($0.0)=\($0.1)" }, at: time)
            }
        }
    }

    @Test("a sink that fails does not touch the state", arguments: [false, true])
    func stateGoesOn(usesMapWithState: Bool) async throws {
        for restart in 1...4 {
            let medium = SimulatedStorageMedium()
            var run = Run(medium: medium, sink: ScriptedSink(down: [.seconds(3)]))
            run.usesMapWithState = usesMapWithState
            let first = try await run(from: .zero, batches: restart)
            #expect(first.errors.isEmpty)
            #expect(await first.ssc.stop().pendingBatches.isEmpty)
            run.sink.setDown(restart < 3 ? [.seconds(3)] : [])
            let second = try await run(
                from: .seconds(Int64(restart)), batches: 5 - restart)
            #expect(second.errors.isEmpty)
            #expect(run.sink.rows == ["1:a=1", "2:a=3", "4:a=10", "5:a=15"], "\(restart)")
            #expect(run.sink.tries.count == 5, "the dead letter's batch is not run again")
            let letter = try #require(try await LetterRun.letter(medium))
            guard case .output(let elements) = letter.contents else { continue }
            #expect(try elements.decode(as: (String, Int).self).map(\.1) == [6])
        }
    }

    @Test("a poisoned batch leaves the state as of the last good one", arguments: [false, true])
    func poisonedState(usesMapWithState: Bool) async throws {
        for restart in 2...4 {
            let medium = SimulatedStorageMedium()
            var run = Run(medium: medium, sink: ScriptedSink(), poison: 3)
            run.usesMapWithState = usesMapWithState
            let first = try await run(from: .zero, batches: restart)
            #expect(first.errors.isEmpty)
            let second = try await run(
                from: .seconds(Int64(restart)), batches: 5 - restart)
            #expect(second.errors.isEmpty)
            #expect(run.sink.rows == ["1:a=1", "2:a=3", "4:a=7", "5:a=12"], "\(restart)")
            let letter = try #require(try await LetterRun.letter(medium))
            guard case .inputs(let inputs) = letter.contents else {
                Issue.record("not the inputs")
                return
            }
            #expect(
                try inputs.first?.elements?.decode(as: (String, Int).self).map(\.1) == [3])
        }
    }

    @Test("an output that state has passed is a dead letter after a restart")
    func passed() async throws {
        let medium = SimulatedStorageMedium()
        var run = Run(medium: medium, sink: ScriptedSink(down: [.seconds(3)]))
        run.policy = .continue
        let first = try await run(from: .zero, batches: 4)
        #expect(await first.ssc.stop().pendingBatches == [.seconds(3)])
        #expect(try await LetterRun.entries(medium).isEmpty)
        run.sink.setDown([])
        let second = try await run(from: .seconds(4), batches: 1)
        #expect(run.sink.rows == ["1:a=1", "2:a=3", "4:a=10", "5:a=15"])
        #expect(second.errors.isEmpty)
        #expect(await second.ssc.stop().pendingBatches.isEmpty)
        let letter = try #require(try await LetterRun.letter(medium))
        #expect(letter.entry.id.batchTime == .seconds(3))
        #expect(letter.entry.reason.contains("advanced beyond"))
        guard case .inputs(let inputs) = letter.contents else { return }
        #expect(try inputs.first?.elements?.decode(as: (String, Int).self).map(\.1) == [3])
        _ = try await run(from: .seconds(5), batches: 1)
        #expect(try await LetterRun.entries(medium).count == 1)
    }

    @Test("a crash while the dead letter is written loses and repeats nothing")
    func crashWhileWriting() async throws {
        var ends: Set<Bool> = []
        // One more than there are: without a crash by the test, all is kept.
        for change in 1...10 {
            for seed in 0..<6 as Range<UInt64> {
                let medium = SimulatedStorageMedium(sectorByteCount: 64)
                let sink = ScriptedSink(down: [.seconds(3)])
                crash(medium, atChange: change, onceTried: sink)
                _ = try await Run(medium: medium, sink: sink)(
                    from: .zero, batches: 3, graceful: false)
                let after = medium.reopened(seed: seed)
                sink.setDown([])
                let second = try await Run(medium: after, sink: sink)(
                    from: .seconds(3), batches: 2)
                #expect(second.errors.isEmpty)
                // Either the letter is there, or the batch has run again and succeeded.
                let isSetAside = try await LetterRun.entries(after).count == 1
                ends.insert(isSetAside)
                #expect(
                    sink.rows == ["1:a=1", "2:a=3"] + (isSetAside ? [] : ["3:a=6"])
                        + ["4:a=10", "5:a=15"], "change \(change), seed \(seed)")
            }
        }
        #expect(ends == [false, true], "both ends were seen")
    }
    /// Lets a medium crash after one of the operations that write the dead letter.
    private func crash(
        _ medium: SimulatedStorageMedium, atChange number: Int, onceTried sink: ScriptedSink
    ) {
        let count = Locked(0)
        medium.observe { [weak medium] operation in
            guard operation.path.hasPrefix("/letters"), operation.kind.isChange,
                sink.tries.contains(.seconds(3))
            else { return }
            let isNow = count.withLock { count in
                count += 1
                return count == number
            }
            if isNow { medium?.crash() }
        }
    }
}
