import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import Testing

/// Gathering, cutting and pushing blocks, on virtual time.
@Suite(.timeLimit(.minutes(5))) struct BlockGeneratorTests {
    /// Keeps what a generator says.
    final class Recorder: BlockGeneratorListener {
        typealias Element = String
        enum Heard: Sendable, Hashable {
            case added([String], String)
            case generated(String)
            case pushed(String, [String])
            case failed(String)
        }
        let heard = AsyncMonitor<[Heard]>([])
        let gate = TestGate()
        let failure: TestFailure?

        init(isHeld: Bool = false, failure: TestFailure? = nil) {
            self.failure = failure
            if !isHeld { gate.open() }
        }

        func onAddData(_ elements: [String], metadata: String) {
            heard.update { $0.append(.added(elements, metadata)) }
        }
        func onGenerateBlock(_ id: BlockID) { heard.update { $0.append(.generated("\(id)")) } }
        func onPushBlock(_ block: ReceivedBlock) async throws {
            try await gate.wait()
            if let failure { throw failure }
            let elements = block.elements(of: String.self)
            heard.update { $0.append(.pushed("\(block.id)", elements)) }
        }
        func onError(_ message: String, _ error: any Error) {
            heard.update { $0.append(.failed("\(error)")) }
        }
        func heard(atLeast count: Int) async throws -> [Heard] {
            try await heard.wait { $0.count >= count ? $0 : nil }
        }
        var pushed: [[String]] {
            heard.read { heard in
                heard.compactMap { if case .pushed(_, let elements) = $0 { elements } else { nil } }
            }
        }
    }

    private func generator(
        _ recorder: Recorder, _ clock: ManualClock, stream: Int = 7,
        budget: ReceivedBlockBudget? = nil,
        _ change: (inout ReceiverConfiguration) -> Void = { _ in }
    ) throws -> BlockGenerator<Recorder> {
        var configuration = ReceiverConfiguration(batchInterval: .seconds(10))
        change(&configuration)
        return try BlockGenerator(
            numbering: BlockNumbering(streamID: StreamID(stream)), configuration: configuration,
            clock: clock, listener: recorder, budget: budget)
    }

    private func running(
        _ generator: BlockGenerator<Recorder>, _ clock: ManualClock,
        _ body: () async throws -> Void
    ) async throws {
        await generator.start()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await generator.run() }
            try await body()
            await generator.stop()
            try await group.waitForAll()
        }
        #expect(await generator.phase == .stoppedAll)
        clock.finish()
    }

    @Test func whereBatchesAskForBlocksTheTimerComesLater() async throws {
        let (clock, recorder) = (ManualClock(), Recorder())
        let generator = try generator(recorder, clock) {
            $0.blockInterval = .milliseconds(100)
            $0.cutGrace = .milliseconds(50)
        }
        try await running(generator, clock) {
            try await generator.add("a")
            #expect(await clock.nextSleeper() == .milliseconds(150))
            clock.set(to: .milliseconds(100))
            await generator.cutAndPush()
            try await generator.add("b")
            clock.set(to: .milliseconds(150))
            // The first was cut; the second is not due yet.
            #expect(await clock.nextSleeper() == .milliseconds(250))
            #expect(recorder.pushed == [["a"]])
            clock.set(to: .milliseconds(250))
            _ = try await recorder.heard(atLeast: 4)
            #expect(recorder.pushed == [["a"], ["b"]])
        }
    }

    @Test func nothingIsTakenBeforeTheStart() async throws {
        let generator = try generator(Recorder(), ManualClock())
        #expect(await generator.phase == .initialized)
        let error = await #expect(throws: ReceiverError.self) { try await generator.add("a") }
        #expect(error?.code == .notActive)
        await generator.stop()
        #expect(await generator.phase == .stoppedAll)
        await generator.run()
        await generator.start()
        #expect(await generator.phase == .stoppedAll)
    }

    @Test func stoppingBeforeRunningPushesEverything() async throws {
        let recorder = Recorder()
        let generator = try generator(recorder, ManualClock()) {
            $0.maxBlockRecords = 1
            $0.blockQueueSize = 1
        }
        await generator.start()
        try await generator.add("a")
        try await generator.add("b")
        await generator.stop()
        #expect(recorder.pushed == [["a"], ["b"]])
        await generator.run()
    }

    @Test func runningWhileItIsStoppedEndsWithTheStop() async throws {
        let (clock, recorder) = (ManualClock(), Recorder(isHeld: true))
        let generator = try generator(recorder, clock)
        await generator.start()
        try await generator.add("a")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await generator.stop() }
            // The block that it cuts is pushed by itself.
            try await recorder.heard.wait { heard -> Bool? in
                heard.contains { if case .generated = $0 { true } else { false } } ? true : nil
            }
            group.addTask { await generator.run() }
            recorder.gate.open()
            try await group.waitForAll()
        }
        #expect(recorder.pushed == [["a"]])
        #expect(await generator.phase == .stoppedAll)
        clock.finish()
    }

    @Test func cutsAreNamedUniquely() async throws {
        let (clock, recorder) = (ManualClock(now: .milliseconds(1050)), Recorder())
        let generator = try generator(recorder, clock)
        try await running(generator, clock) {
            for text in ["a", "b", "c"] {
                try await generator.add(text)
                await generator.cutAndPush()
            }
            try await generator.add("d")
            await clock.waitForSleepers(count: 1)
            clock.set(to: .milliseconds(1200))
            _ = try await recorder.heard(atLeast: 8)
        }
        let names = recorder.heard.read { heard in
            heard.compactMap { if case .generated(let id) = $0 { id } else { nil } }
        }
        #expect(names == ["input-7-1000", "input-7-1001", "input-7-1002", "input-7-1003"])
        #expect(recorder.pushed == [["a"], ["b"], ["c"], ["d"]])
    }

    @Test func aBatchTickAtTheCutTimeNamesTheSameBlock() async throws {
        let (clock, recorder) = (ManualClock(now: .milliseconds(900)), Recorder())
        let generator = try generator(recorder, clock)
        try await running(generator, clock) {
            try await generator.add("a")
            await clock.waitForSleepers(count: 1)
            clock.set(to: .milliseconds(1000))
            await generator.cutAndPush()
            #expect(
                try await recorder.heard(atLeast: 2)
                    == [.generated("input-7-800"), .pushed("input-7-800", ["a"])])
        }
    }

    @Test func aFullBlockIsCutEarly() async throws {
        let (clock, recorder) = (ManualClock(), Recorder())
        let generator = try generator(recorder, clock) { $0.maxBlockRecords = 3 }
        try await running(generator, clock) {
            try await generator.add(contentsOf: (0..<10).map(String.init))
        }
        #expect(
            recorder.pushed
                == [["0", "1", "2"], ["3", "4", "5"], ["6", "7", "8"], ["9"]])
    }

    @Test func bytesBoundABlockToo() async throws {
        let (clock, recorder) = (ManualClock(), Recorder())
        let generator = try generator(recorder, clock) { $0.maxBlockBytes = 1000 }
        let text = String(repeating: "x", count: 452)
        try await running(generator, clock) {
            for _ in 0..<4 { try await generator.add(text) }
        }
        #expect(recorder.pushed.map(\.count) == [2, 2])
    }

    @Test func addingSuspendsWhileTheQueueIsFull() async throws {
        let (clock, recorder) = (ManualClock(), Recorder(isHeld: true))
        let generator = try generator(recorder, clock) {
            $0.maxBlockRecords = 1
            $0.blockQueueSize = 2
        }
        let added = AsyncMonitor(0)
        try await running(generator, clock) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for number in 0..<8 {
                        try await generator.add("\(number)")
                        added.update { $0 += 1 }
                    }
                }
                // One is pushed, two wait, one is gathered; the pushing side may take its own late.
                try await added.wait(for: { $0 >= 4 })
                #expect(added.read { $0 } <= 4)
                recorder.gate.open()
                try await group.waitForAll()
            }
        }
        #expect(recorder.pushed == (0..<8).map { ["\($0)"] })
    }

    @Test func aFailedPushIsReportedAndTheNextGoesOn() async throws {
        let (clock, recorder) = (ManualClock(), Recorder(failure: TestFailure("disk")))
        let budget = ReceivedBlockBudget(limit: 1)
        let generator = try generator(recorder, clock, budget: budget)
        try await running(generator, clock) {
            for text in ["a", "b"] {
                try await generator.add(text)
                await generator.cutAndPush()
            }
        }
        #expect(
            recorder.heard.read { $0 } == [
                .generated("input-7-0"), .failed("disk"), .generated("input-7-1"), .failed("disk"),
            ])
        #expect(budget.usedBytes == 0)
    }

    @Test func aCutDoesNotWaitForRoomThatOnlyBatchesMake() async throws {
        let (clock, recorder) = (ManualClock(), Recorder())
        let budget = ReceivedBlockBudget(limit: 1)
        #expect(budget.tryAcquire(.input(stream: 1, 0), bytes: 10))
        let generator = try generator(recorder, clock, budget: budget)
        try await running(generator, clock) {
            try await generator.add("a")
            await generator.cutAndPush()
            #expect(recorder.pushed.isEmpty && budget.waitingCount == 1)
            budget.release([.input(stream: 1, 0)])
            await generator.cutAndPush()
            #expect(try await recorder.heard(atLeast: 2).last == .pushed("input-7-0", ["a"]))
        }
    }

    @Test func cancellationDropsWhatIsNotPushed() async throws {
        let (clock, recorder) = (ManualClock(), Recorder(isHeld: true))
        let generator = try generator(recorder, clock) { $0.maxBlockRecords = 1 }
        await generator.start()
        try await generator.add(contentsOf: ["a", "b", "c"])
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await generator.run() }
            await clock.waitForSleepers(count: 1)
            group.cancelAll()
        }
        #expect(await generator.phase == .stoppedAll)
        #expect(recorder.pushed.isEmpty)
        clock.finish()
    }

    /// Several tasks add, blocks are cut at random times, and nothing is lost, doubled or
    /// reordered.
    @Test(arguments: UInt64(1)...20)
    func randomAddsAndCutsLoseNothing(_ seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        let (clock, recorder) = (ManualClock(), Recorder())
        let (records, queue) = (Int.random(in: 1...40, using: &random), Int(seed % 3) + 1)
        let generator = try generator(recorder, clock) {
            $0.maxBlockRecords = records
            $0.blockQueueSize = queue
        }
        let sizes = (0..<3).map { _ in
            (0..<30).map { _ in Int.random(in: 0...50, using: &random) }
        }
        try await running(generator, clock) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (task, sizes) in sizes.enumerated() {
                    group.addTask {
                        var next = 0
                        for size in sizes {
                            let texts = (next..<(next + size)).map { "\(task) \($0)" }
                            next += size
                            switch size % 4 {
                            case 0: for text in texts { try await generator.add(text) }
                            case 1:
                                try await generator.add(lines: LineBlock(texts))
                            case 2: try await generator.add(contentsOf: texts, metadata: "")
                            default: try await generator.add(contentsOf: texts)
                            }
                        }
                    }
                }
                group.addTask { for _ in 0..<40 { await generator.cutAndPush() } }
                try await group.waitForAll()
            }
        }
        let all = recorder.pushed.flatMap { $0 }
        for (task, sizes) in sizes.enumerated() {
            let mine = all.filter { $0.hasPrefix("\(task) ") }
            #expect(mine == (0..<sizes.reduce(0, +)).map { "\(task) \($0)" })
        }
        #expect(recorder.pushed.allSatisfy { !$0.isEmpty })
    }
}
