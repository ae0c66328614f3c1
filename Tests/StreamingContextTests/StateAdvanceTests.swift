import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// What is kept of a batch is computed in that batch, whatever output operations look at.
@Suite("State that no output looks at", .timeLimit(.minutes(5)))
struct StateAdvanceTests {
    private enum Keeper: CaseIterable {
        case update, map, inverseWindow, window

        /// The sums of all values so far.
        func sums(_ pairs: DStream<(String, Int)>) -> DStream<(String, Int)> {
            switch self {
            case .update:
                return pairs.updateStateByKey { values, sum in values.reduce(sum ?? 0, +) }
            case .map:
                let spec = StateSpec<String, Int, Int, (String, Int)>.function {
                    key, value, state in
                    let sum = (state.getOption() ?? 0) + (value ?? 0)
                    try state.update(sum)
                    return (key, sum)
                }
                return pairs.mapWithState(spec).mapped
            case .inverseWindow:
                return pairs.reduceByKeyAndWindow(+, inverse: -, window: .seconds(100))
            case .window: return pairs.reduceByKeyAndWindow(+, window: .seconds(100))
            }
        }
    }

    /// Batch n has the value n.
    private static let batches = (1...30).map { [("a", $0)] }

    private func harness(
        _ medium: SimulatedStorageMedium, _ policy: FailurePolicy, from start: BatchTime = .zero
    ) async throws -> StreamHarness {
        let harness = LetterRun.harness(
            medium, policy: policy, startTime: start,
            checkpoints: try await FileCheckpointStore.open("/state", on: medium))
        return harness
    }

    /// The input with a record that is refused.
    private func pairs(_ harness: StreamHarness, poison: Int) -> DStream<(String, Int)> {
        harness.input(Self.batches, from: .seconds(1)).map { pair in
            if pair.1 == poison { throw SinkDown() }
            return pair
        }
    }

    private func failedCheckpoints(_ harness: StreamHarness) -> [StreamEvent] {
        harness.listener.events.filter(\.isCheckpointFailed)
    }

    private func start(_ harness: StreamHarness) async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "advance")
        defer { try? FileSystem.removeTree(directory) }
        _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) { harness.ssc }
        try await harness.ssc.start()
    }

    @Test(
        "an output that looks every fifth batch: the batch of the bad record fails, and no other",
        arguments: [Keeper.update, .map], [FailurePolicy.continue, .deadLetter])
    private func rarelyLooking(keeper: Keeper, policy: FailurePolicy) async throws {
        let medium = SimulatedStorageMedium()
        let seen = Locked<[Int64: Int]>([:])
        func declare(_ harness: StreamHarness) {
            keeper.sums(pairs(harness, poison: 3)).foreachRDD { rdd, time in
                let second = time.milliseconds / 1000
                guard second % 5 == 0 else { return }
                for (_, sum) in try await rdd.collect() { seen.withLock { $0[second] = sum } }
            }
        }
        let first = try await harness(medium, policy)
        declare(first)
        try await start(first)
        for _ in 0..<20 { try await first.advanceAndSettle() }
        let report = await first.ssc.stop(graceful: true)
        #expect(seen.withLock { $0 } == [5: 12, 10: 52, 15: 117, 20: 207])
        #expect(failedCheckpoints(first).isEmpty)
        #expect(report.pendingBatches == (policy == .continue ? [.seconds(3)] : []))
        let errors = first.errors.filter { $0.code == .outputFailed }
        #expect(errors.map(\.batchTime) == (policy == .continue ? [.seconds(3)] : []))
        if policy == .deadLetter {
            let letter = try #require(try await LetterRun.letter(medium))
            #expect(letter.entry.id.batchTime == .seconds(3))
            guard case .inputs(let inputs) = letter.contents else {
                Issue.record("not the batch's elements")
                return
            }
            #expect(try inputs[0].elements?.decode(as: (String, Int).self).map(\.1) == [3])
        }
        // What is durable is the same.
        let second = try await harness(medium, policy, from: .seconds(20))
        declare(second)
        try await start(second)
        for _ in 0..<5 { try await second.advanceAndSettle() }
        await second.ssc.stop(graceful: true)
        #expect(seen.withLock { $0[25] } == 322)
        let entries = try await LetterRun.entries(medium)
        #expect(entries.map(\.id.batchTime) == [.seconds(3)], "in the state or in a letter")
    }

    @Test(
        "an output that never looks: the bad batch does not complete, and checkpoints go on",
        arguments: Keeper.allCases)
    private func neverLooking(keeper: Keeper) async throws {
        let medium = SimulatedStorageMedium()
        let harness = try await harness(medium, .stop)
        let calls = Locked(0)
        keeper.sums(pairs(harness, poison: 3)).foreachRDD { _ in calls.withLock { $0 += 1 } }
        try await start(harness)
        for _ in 0..<3 { try await harness.advanceAndSettle() }
        await #expect(throws: StreamError.self) { try await harness.ssc.awaitTermination() }
        let report = await harness.ssc.stop()
        #expect(report.pendingBatches == [.seconds(3)])
        #expect(harness.errors.first?.site?.name == "map")
        #expect(harness.errors.first?.batchTime == .seconds(3))
        #expect(failedCheckpoints(harness).isEmpty)
        // As Spark calls it: the body runs, and what it does not look at fails after it.
        #expect(calls.withLock { $0 } == 3)
    }

    @Test(
        "a batch between two windows fails by itself", arguments: [FailurePolicy.stop, .deadLetter])
    private func betweenWindows(policy: FailurePolicy) async throws {
        let medium = SimulatedStorageMedium()
        let harness = try await harness(medium, policy)
        let sums = Keeper.update.sums(pairs(harness, poison: 3))
        let seen = harness.record(sums.window(.seconds(5), slide: .seconds(5)))
        try await start(harness)
        for _ in 0..<(policy == .stop ? 3 : 10) { try await harness.advanceAndSettle() }
        let report = await harness.ssc.stop()
        let started = harness.listener.events.compactMap { event in
            if case .batchStarted(let info) = event { info.batchTime } else { nil }
        }
        if policy == .stop {
            #expect(report.pendingBatches.first == .seconds(3))
            #expect(harness.errors.first?.batchTime == .seconds(3))
            #expect(started.isEmpty)
            return
        }
        #expect(harness.errors.isEmpty && failedCheckpoints(harness).isEmpty)
        // A window that has a failed batch in it fails, as in Spark.
        let entries = try await LetterRun.entries(medium)
        #expect(entries.map(\.id.batchTime) == [.seconds(3), .seconds(5)])
        // Listeners are notified of output operations that have an RDD, as in Spark.
        #expect(started == [.seconds(5), .seconds(10)])
        #expect(seen.batches.last?.elements.map(\.1) == [18, 25, 33, 42, 52])
    }

    @Test("a batch between two windows that is in no state is in a letter after a restart")
    func passedBetweenWindows() async throws {
        let medium = SimulatedStorageMedium()
        let seen = Locked<[Int64: [Int]]>([:])
        func declare(_ harness: StreamHarness) {
            Keeper.update.sums(pairs(harness, poison: 3)).window(.seconds(5), slide: .seconds(5))
                .foreachRDD { rdd, time in
                    let sums = try await rdd.collect().map(\.1)
                    seen.withLock { $0[time.milliseconds / 1000] = sums }
                }
        }
        let first = try await harness(medium, .continue)
        declare(first)
        try await start(first)
        for _ in 0..<4 { try await first.advanceAndSettle() }
        #expect(await first.ssc.stop(graceful: true).pendingBatches == [.seconds(3)])
        let second = try await harness(medium, .continue, from: .seconds(4))
        declare(second)
        try await start(second)
        for _ in 0..<6 { try await second.advanceAndSettle() }
        #expect(await second.ssc.stop(graceful: true).pendingBatches.isEmpty)
        let entries = try await LetterRun.entries(medium)
        #expect(entries.map(\.id.batchTime) == [.seconds(3)])
        #expect(seen.withLock { $0[10] } == [18, 25, 33, 42, 52])
    }

    @Test("it is in a letter also when the operation has panes of it that can be computed by now")
    func passedAndDue() async throws {
        let medium = SimulatedStorageMedium()
        let isDown = Locked(true)
        let seen = Locked<[Int64: [Int]]>([:])
        func declare(_ harness: StreamHarness) {
            let pairs = harness.input(Self.batches, from: .seconds(1)).map { pair in
                if pair.1 == 3, isDown.withLock({ $0 }) { throw SinkDown() }
                return pair
            }
            let recent = pairs.reduceByKeyAndWindow(+, window: .seconds(5), slide: .seconds(5))
            Keeper.update.sums(pairs).window(.seconds(5), slide: .seconds(5)).join(recent)
                .foreachRDD { rdd, time in
                    let sums = try await rdd.collect().map(\.1.0)
                    seen.withLock { $0[time.milliseconds / 1000] = sums }
                }
        }
        let first = try await harness(medium, .continue)
        declare(first)
        try await start(first)
        for _ in 0..<4 { try await first.advanceAndSettle() }
        #expect(await first.ssc.stop(graceful: true).pendingBatches == [.seconds(3)])
        isDown.withLock { $0 = false }
        let second = try await harness(medium, .continue, from: .seconds(4))
        declare(second)
        try await start(second)
        for _ in 0..<6 { try await second.advanceAndSettle() }
        #expect(await second.ssc.stop(graceful: true).pendingBatches.isEmpty)
        #expect(try await LetterRun.entries(medium).map(\.id.batchTime) == [.seconds(3)])
        #expect(seen.withLock { $0[10] } == [18, 25, 33, 42, 52])
    }

    @Test("what no window reads is not computed", arguments: [false, true])
    func betweenPanes(isReduced: Bool) async throws {
        let medium = SimulatedStorageMedium()
        let (made, seen) = (Notes<Int>(), Notes<Int>())
        func declare(_ harness: StreamHarness) {
            let pairs = pairs(harness, poison: 13).map { pair in
                made.add(pair.1)
                return pair
            }
            let (window, slide) = (Duration.seconds(2), Duration.seconds(10))
            let recent =
                isReduced
                ? pairs.reduceByKeyAndWindow(+, window: window, slide: slide)
                : pairs.window(window, slide: slide)
            recent.foreachRDD { rdd in
                seen.add(try await rdd.collect().reduce(0) { $0 + $1.1 })
            }
        }
        let first = try await harness(medium, .stop)
        declare(first)
        try await start(first)
        for _ in 0..<19 { try await first.advance() }
        #expect(await first.ssc.stop(graceful: true).pendingBatches.isEmpty)
        #expect(made.all == [9, 10, 19] && seen.all == [19])
        let second = try await harness(medium, .stop, from: .seconds(19))
        declare(second)
        try await start(second)
        for _ in 0..<3 { try await second.advance() }
        await second.ssc.stop(graceful: true)
        #expect(made.all == [9, 10, 19, 20] && seen.all == [19, 39])
        #expect(first.errors.isEmpty && second.errors.isEmpty)
    }

    @Test("a retry for the sake of the state does not run the operation again")
    func retried() async throws {
        let medium = SimulatedStorageMedium()
        let harness = try await harness(medium, .stop)
        let calls = Locked(0)
        let tries = Locked(0)
        let pairs = harness.input(Self.batches, from: .seconds(1)).map { pair in
            let number = tries.withLock { tries in
                tries += 1
                return tries
            }
            if number < 3 { throw SinkDown() }
            return pair
        }
        let sum = Accumulator<Int>()
        Keeper.update.sums(pairs).foreachRDD { _ in
            calls.withLock { $0 += 1 }
            sum.add(1)
        }
        .onFailure(retry: RetryPolicy(maxAttempts: 3, initialBackoff: .zero))
        try await start(harness)
        try await harness.advanceAndSettle()
        #expect(await harness.ssc.stop(graceful: true).pendingBatches.isEmpty)
        #expect(harness.errors.isEmpty)
        #expect(calls.withLock { $0 } == 1 && tries.withLock { $0 } == 3)
        #expect(sum.value == 1)
    }

    @Test("what an operation adds does not count when the state fails for good")
    func addedInVain() async throws {
        let harness = try await harness(SimulatedStorageMedium(), .continue)
        let sum = Accumulator<Int>()
        Keeper.update.sums(pairs(harness, poison: 2)).foreachRDD { _ in sum.add(1) }
            .onFailure(retry: RetryPolicy(maxAttempts: 2, initialBackoff: .zero))
        try await start(harness)
        for _ in 0..<3 { try await harness.advanceAndSettle() }
        #expect(await harness.ssc.stop().pendingBatches == [.seconds(2)])
        #expect(sum.value == 2)
    }

    @Test("a body that swallows the failure of the state does not complete the batch")
    func swallowed() async throws {
        let harness = try await harness(SimulatedStorageMedium(), .stop)
        Keeper.update.sums(pairs(harness, poison: 2)).foreachRDD { _ = try? await $0.collect() }
        try await start(harness)
        for _ in 0..<2 { try await harness.advanceAndSettle() }
        let error = await #expect(throws: StreamError.self) {
            try await harness.ssc.awaitTermination()
        }
        #expect(error?.batchTime == .seconds(2) && error?.site?.name == "updateStateByKey")
        #expect(await harness.ssc.stop().pendingBatches == [.seconds(2)])
    }

    @Test("one failure is one failure: another operation on the same state succeeds")
    func oneFailure() async throws {
        let medium = SimulatedStorageMedium()
        let harness = try await harness(medium, .deadLetter)
        let sums = Keeper.update.sums(pairs(harness, poison: 2))
        let seen = harness.record(sums)
        sums.foreachRDD { _ in }
        try await start(harness)
        for _ in 0..<3 { try await harness.advanceAndSettle() }
        await harness.ssc.stop(graceful: true)
        #expect(seen.batches.map { $0.elements.map(\.1) } == [[1], [4]])
        #expect(try await LetterRun.entries(medium).count == 1)
    }
}
