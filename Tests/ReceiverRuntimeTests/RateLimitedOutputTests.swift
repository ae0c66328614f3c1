import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import Synchronization
import Testing

/// What a receiver stores above its rate limit, on virtual time.
@Suite(.timeLimit(.minutes(5))) struct RateLimitedOutputTests {
    typealias Acting = ReceiverOutputTests.Acting

    @Test func aBlockOverTheLimitIsStoredInPiecesAndAcknowledgedWithTheLast() async throws {
        let rig = Rig { $0.rate = .init(maximumRate: 100) }
        let acknowledged = AsyncMonitor(false)
        let receiver = Acting<Int> { output in
            try await output.store(block: Array(0..<50), metadata: ["offset": "50"])
            acknowledged.update { $0 = true }
        }
        try await rig.run(receiver) { tracker in
            // A burst is what a fifth of a second allows: the first element is there at once.
            for (wait, stored) in [(190, 20), (200, 40), (100, 50)] {
                await rig.clock.waitForSleepers(count: 1)
                #expect(!acknowledged.read { $0 })
                rig.clock.advance(by: .milliseconds(wait - 1))
                await rig.clock.waitForSleepers(count: 1)
                rig.clock.advance(by: .milliseconds(1))
                let blocks = try await rig.handler.blocks(where: { blocks in
                    blocks.reduce(0) { $0 + $1.recordCount } >= stored
                })
                #expect(blocks.reduce(0) { $0 + $1.recordCount } == stored)
            }
            try await acknowledged.wait(for: { $0 })
            let blocks = await tracker.unallocatedBlocks(of: StreamID(0))
            #expect(blocks.map(\.recordCount) == [20, 20, 10])
            #expect(blocks.map(\.metadata) == [[:], [:], ["offset": "50"]])
        }
        #expect(rig.handler.blocks.flatMap { $0.elements(of: Int.self) } == Array(0..<50))
    }

    @Test func aPieceThatCannotBeStoredLeavesTheRestUnacknowledged() async throws {
        let rig = Rig { $0.rate = .init(maximumRate: 100) }
        let outcome = AsyncMonitor<[String]>([])
        let receiver = Acting<Int> { output in
            do { try await output.store(block: Array(0..<50)) } catch {
                outcome.update { $0.append("\(error)") }
            }
        }
        rig.handler.failNext(TestFailure("disk full"))
        try await rig.run(receiver) { tracker in
            await rig.clock.waitForSleepers(count: 1)
            rig.clock.advance(by: .milliseconds(190))
            try await outcome.wait(for: { $0 == ["disk full"] })
            #expect(await !tracker.hasUnallocatedBlocks)
        }
    }

    /// Counts the turns of the tasks that run on it.
    private final class CountingExecutor: TaskExecutor {
        let turns = Locked(0)

        func enqueue(_ job: consuming ExecutorJob) {
            turns.withLock { $0 += 1 }
            let job = UnownedJob(job)
            globalConcurrentExecutor.enqueue(job)
        }
    }

    @Test func whatWaitsIsWokenOnceItsTurnHasCome() async throws {
        let rig = Rig { $0.rate = .init(maximumRate: 100, burst: .zero) }
        let (executor, count) = (CountingExecutor(), 200)
        let stored = AsyncMonitor(0)
        let receiver = Acting<Int> { output in
            try await withThrowingDiscardingTaskGroup { group in
                for number in 0..<count {
                    group.addTask(executorPreference: executor) {
                        try await output.store(contentsOf: [number])
                        stored.update { $0 += 1 }
                    }
                }
            }
        }
        try await rig.run(receiver) { _ in
            let clock = rig.clock
            let driver = Task {
                while !Task.isCancelled { clock.set(to: max(await clock.nextSleeper(), clock.now)) }
            }
            try await stored.wait(for: { $0 == count })
            driver.cancel()
            await driver.value
        }
        // Waking all that wait for each that passes takes about 20,000.
        #expect(executor.turns.withLock { $0 } < 10 * count)
    }

    @Test func blocksWithinABurstStayWhole() async throws {
        let rig = Rig { $0.rate = .init(maximumRate: 100, burst: .seconds(1)) }
        let stored = TestGate()
        let receiver = Acting<Int> { output in
            try await output.store(block: Array(0..<80))
            stored.open()
        }
        try await rig.run(receiver) { tracker in
            await rig.clock.waitForSleepers(count: 1)
            rig.clock.advance(by: .milliseconds(790))
            try await stored.wait()
            let blocks = await tracker.unallocatedBlocks(of: StreamID(0))
            #expect(blocks.map(\.recordCount) == [80])
        }
    }

    /// While a burst waits and back-pressure changes the rate, a batch holds what the rates in force
    /// allowed for it, and one burst at most.
    @Test(arguments: UInt64(1)...10)
    func changingRatesHoldForEachBatch(_ seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        var limit = Int64.random(in: 10...2000, using: &random)
        let first = limit
        let rig = Rig { $0.rate = .init(initialRate: first) }
        let receiver = Acting<Int> { output in
            try await output.store(block: Array(0..<1_000_000))
        }
        var (counts, allowed, highest) = ([Int](), 0.0, limit)
        // A receiver that is stopped gracefully would store the rest at once.
        try await rig.run(receiver, graceful: false) { tracker in
            for step in 1...200 {
                await rig.clock.waitForSleepers(count: 1)
                if step % 10 == 0 {
                    let batch = rig.clock.now
                    try await tracker.allocateBlocks(to: batch)
                    let blocks = await tracker.blocks(allocatedTo: batch, stream: StreamID(0))
                    let count = blocks.reduce(0) { $0 + $1.recordCount }
                    let burst = max(1, Double(highest) / 5)
                    #expect(Double(count) <= allowed + burst + 1, "step \(step)")
                    counts.append(count)
                    (allowed, highest) = (0, limit)
                }
                if step % 10 < 8, Int.random(in: 0..<4, using: &random) == 0 {
                    limit = Int64.random(in: 10...2000, using: &random)
                    highest = max(highest, limit)
                    await tracker.updateRate(Double(limit), of: StreamID(0))
                }
                let pause = Int64.random(in: 1...100, using: &random)
                allowed += Double(pause) / 1000 * Double(limit)
                rig.clock.advance(by: .milliseconds(pause))
            }
        }
        #expect(counts.count >= 15 && counts.reduce(0, +) > 100)
        let elements = rig.handler.blocks.flatMap { $0.elements(of: Int.self) }
        #expect(elements == Array(0..<elements.count))
    }

    @Test func metadataAreToldWithTheLastPiece() async throws {
        let (clock, recorder) = (ManualClock(), BlockGeneratorTests.Recorder())
        var configuration = ReceiverConfiguration(batchInterval: .seconds(10))
        configuration.rate = .init(maximumRate: 10, burst: .milliseconds(200))
        let generator = try BlockGenerator(
            numbering: BlockNumbering(streamID: StreamID(7)), configuration: configuration,
            clock: clock, listener: recorder)
        await generator.start()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await generator.run() }
            group.addTask { try await generator.add(contentsOf: ["a", "b", "c"], metadata: "m") }
            // Two make a burst; they are cut before the third may pass.
            await clock.waitForSleepers(count: 1)
            clock.advance(by: .milliseconds(100))
            await clock.waitForSleepers(count: 2)
            await generator.cutAndPush()
            #expect(recorder.pushed == [["a", "b"]])
            #expect(recorder.heard.read { $0.count } == 2)
            clock.advance(by: .milliseconds(100))
            _ = try await recorder.heard(atLeast: 3)
            await generator.stop()
            try await group.waitForAll()
        }
        let heard = recorder.heard.read { $0 }
        #expect(heard.dropFirst(2).first == .added(["a", "b", "c"], "m"))
        #expect(recorder.pushed == [["a", "b"], ["c"]])
        clock.finish()
    }
}
