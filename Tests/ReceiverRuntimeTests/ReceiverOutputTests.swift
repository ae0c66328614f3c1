import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import Testing

/// Reliability, back-pressure and rate limits, as a receiver meets them.
@Suite(.timeLimit(.minutes(5))) struct ReceiverOutputTests {
    /// A receiver whose work is a closure of the test.
    struct Acting<Element: Sendable>: Receiver {
        let act: @Sendable (ReceiverOutput<Element>) async throws -> Void
        func run(_ output: ReceiverOutput<Element>) async throws {
            try await act(output)
            try await output.untilStopped()
        }
    }

    @Test func aBlockIsAcknowledgedOnlyAfterItIsStoredAndReported() async throws {
        let (rig, acknowledged) = (Rig(), AsyncMonitor<[String]>([]))
        rig.handler.hold(true)
        let receiver = Acting<Int> { output in
            try await output.store(block: [1, 2], metadata: ["offset": "2"])
            acknowledged.update { $0.append("a") }
        }
        try await rig.run(receiver) { tracker in
            try await rig.handler.begun(atLeast: 1)
            #expect(acknowledged.read { $0.isEmpty })
            #expect(await !tracker.hasUnallocatedBlocks)
            rig.handler.hold(false)
            try await acknowledged.wait(for: { $0 == ["a"] })
            let blocks = await tracker.unallocatedBlocks(of: StreamID(0))
            #expect(blocks.map(\.metadata) == [["offset": "2"]])
            #expect(blocks.map(\.recordCount) == [2])
        }
    }

    @Test func aFailingStoreThrowsAndTheBlockIsInNoBatch() async throws {
        let (rig, outcome) = (Rig(), AsyncMonitor<[String]>([]))
        rig.handler.failNext(TestFailure("disk full"))
        let receiver = Acting<Int> { output in
            do { try await output.store(block: [1]) } catch {
                outcome.update { $0.append("\(error)") }
            }
            try await output.store(block: [2])
            outcome.update { $0.append("stored") }
        }
        try await rig.run(receiver) { tracker in
            try await outcome.wait(for: { $0 == ["disk full", "stored"] })
            #expect(await tracker.unallocatedBlocks(of: StreamID(0)).count == 1)
            #expect(tracker.budget.usedBytes == 8 + 640)
        }
    }

    @Test func aBlockThatCannotBeLoggedIsTakenOutOfTheStore() async throws {
        var rig = Rig()
        let (log, outcome) = (MemoryLog(), AsyncMonitor<[String]>([]))
        rig.log = log
        log.failNext()
        let receiver = Acting<Int> { output in
            do { try await output.store(block: [1]) } catch {
                outcome.update { $0.append("refused") }
            }
        }
        try await rig.run(receiver) { tracker in
            try await outcome.wait(for: { $0 == ["refused"] })
            #expect(await !tracker.hasUnallocatedBlocks)
            #expect(tracker.budget.usedBytes == 0)
        }
        #expect(rig.handler.removed == rig.handler.blocks.map(\.id))
    }

    @Test func aLostBlockOfSingleElementsIsReported() async throws {
        let (rig, stored) = (Rig(), TestGate())
        rig.handler.failNext(TestFailure("disk full"))
        let receiver = ScriptedReceiver<Int>([.elements([1, 2]), .open(stored)])
        try await rig.run(receiver) { tracker in
            try await stored.wait()
            try await tracker.allocateBlocks(to: .milliseconds(10))
            let events = try await rig.events.events(atLeast: 2)
            guard case .receiverError(let info)? = events.last else {
                Issue.record("\(events)")
                return
            }
            #expect(info.lastError == "disk full")
            #expect(info.lastErrorMessage == "block input-0-0 could not be stored and is lost")
        }
    }

    @Test func emptyBlocksAreBlocks() async throws {
        let (rig, stored) = (Rig(), TestGate())
        try await rig.run(ScriptedReceiver<Int>([.block([]), .block([4]), .open(stored)])) {
            tracker in
            try await stored.wait()
            try await tracker.allocateBlocks(to: .milliseconds(10))
            let blocks = await tracker.blocks(
                allocatedTo: .milliseconds(10), stream: StreamID(0))
            #expect(blocks.map(\.recordCount) == [0, 1])
        }
    }

    @Test func storingSuspendsAtTheByteLimitAndResumesOnRelease() async throws {
        let (rig, stored) = (Rig { $0.receivedBytesLimit = 800 }, AsyncMonitor(0))
        let receiver = Acting<Int> { output in
            for number in 0..<4 {
                // 80 bytes each, and 640 for the block: one at a time fits.
                try await output.store(block: Array(repeating: number, count: 10))
                stored.update { $0 += 1 }
            }
        }
        try await rig.run(receiver) { tracker in
            for batch in 1...4 {
                try await stored.wait(for: { $0 == batch })
                #expect(tracker.budget.usedBytes == 720)
                let time = BatchTime.seconds(Int64(batch))
                rig.clock.set(to: time)
                try await tracker.allocateBlocks(to: time)
                #expect(stored.read { $0 } == batch)
                rig.clock.advance(by: .milliseconds(2))
                try await tracker.releaseBatches(before: time + .milliseconds(1))
            }
        }
        #expect(rig.handler.blocks.count == 4 && rig.handler.removed.count == 4)
    }

    @Test("blocks without elements, and what metadata take, are bounded as well")
    func blocksThemselvesCount() async throws {
        let (rig, isStored) = (Rig(), TestGate())
        let note = ["note": String(repeating: "m", count: 3000)]
        let receiver = Acting<Int> { output in
            try await output.store(block: [])
            try await output.store(block: [1], metadata: note)
            isStored.open()
        }
        try await rig.run(receiver) { tracker in
            try await isStored.wait()
            #expect(tracker.budget.usedBytes == 640 + 640 + 8 + 4 + 3000 + 128)
        }
    }

    @Test func oneBlockOverTheLimitPasses() async throws {
        let (rig, stored) = (Rig { $0.receivedBytesLimit = 1 }, TestGate())
        let receiver = ScriptedReceiver<Int>([.block([1, 2, 3]), .open(stored)])
        try await rig.run(receiver) { _ in try await stored.wait() }
        #expect(rig.handler.blocks.count == 1)
    }

    @Test func aRateLimitSuspendsTheReceiver() async throws {
        let rig = Rig { $0.rate = .init(maximumRate: 10) }
        let stored = AsyncMonitor(0)
        let receiver = Acting<Int> { output in
            for number in 0..<3 {
                try await output.store(number)
                stored.update { $0 += 1 }
            }
        }
        try await rig.run(receiver) { tracker in
            // The bucket is empty at first: one passes, and each further waits for its token.
            try await stored.wait(for: { $0 == 1 })
            // The cut and the token are waited for.
            await rig.clock.waitForSleepers(count: 2)
            rig.clock.advance(by: .milliseconds(100))
            try await stored.wait(for: { $0 == 2 })
            await rig.clock.waitForSleepers(count: 2)
            #expect(stored.read { $0 } == 2)
            // A lower rate makes the wait longer, a higher one is capped.
            await tracker.updateRate(5, of: StreamID(0))
            _ = try await rig.events.events(where: {
                $0.contains(.rateUpdated(stream: StreamID(0), elementsPerSecond: 5))
            })
            await tracker.updateRate(1000, of: StreamID(0))
            _ = try await rig.events.events(where: {
                $0.contains(.rateUpdated(stream: StreamID(0), elementsPerSecond: 10))
            })
            await tracker.updateRate(0, of: StreamID(0))
            rig.clock.advance(by: .milliseconds(400))
            try await stored.wait(for: { $0 == 3 })
        }
        #expect(rig.handler.blocks.flatMap { $0.elements(of: Int.self) } == [0, 1, 2])
    }

    @Test func aNewRateEndsAWaitByTheOldOne() async throws {
        let rig = Rig { $0.rate = .init(initialRate: 1) }
        let stored = AsyncMonitor(0)
        let receiver = Acting<Int> { output in
            // An array passes in slices of a tenth of a second, at least one element.
            try await output.store(contentsOf: [1, 2])
            stored.update { $0 += 1 }
            try await output.store(block: [3])
            stored.update { $0 += 1 }
        }
        try await rig.run(receiver) { tracker in
            await rig.clock.waitForSleepers(count: 2)
            await tracker.updateRate(.infinity, of: StreamID(0))
            try await stored.wait(for: { $0 == 2 })
        }
        #expect(rig.handler.blocks.flatMap { $0.elements(of: Int.self) }.sorted() == [1, 2, 3])
    }

    @Test func linesKeepTheirPlaceBetweenElements() async throws {
        let (rig, stored) = (Rig(), TestGate())
        let receiver = Acting<String> { output in
            try await output.store("a")
            try await output.store(lines: LineBlock(["b", "", "c"]))
            try await output.store(contentsOf: ["d", "e"])
            try await output.store(lines: LineBlock([String]()))
            stored.open()
        }
        try await rig.run(receiver) { _ in try await stored.wait() }
        #expect(
            rig.handler.blocks.elements(of: String.self) == [["a", "b", "", "c", "d", "e"]])
        #expect(rig.handler.blocks.map(\.recordCount) == [6])
    }

    @Test func largeArraysAreNotCopied() async throws {
        let (rig, stored) = (Rig(), TestGate())
        let numbers = Array(0..<5000)
        let receiver = Acting<Int> { output in
            try await output.store(-1)
            try await output.store(contentsOf: numbers)
            stored.open()
        }
        try await rig.run(receiver) { _ in try await stored.wait() }
        let block = try #require(rig.handler.blocks.first)
        #expect(block.elements(of: Int.self) == [-1] + numbers)
        guard case .values(let values) = block.contents[1], let kept = values as? Values<Int> else {
            Issue.record("\(block.contents)")
            return
        }
        let (ours, theirs) = (
            numbers.withUnsafeBufferPointer { $0.baseAddress },
            kept.elements.withUnsafeBufferPointer { $0.baseAddress }
        )
        #expect(ours == theirs)
    }

    @Test func configurationsThatCannotWorkAreRefused() throws {
        let changes: [@Sendable (inout ReceiverConfiguration) -> Void] = [
            { $0.blockInterval = .zero }, { $0.blockInterval = .microseconds(1500) },
            { $0.blockQueueSize = 0 }, { $0.blockQueueBytes = 0 }, { $0.maxBlockBytes = -1 },
            { $0.maxBlockRecords = 0 }, { $0.receivedBytesLimit = 0 },
            { $0.restartDelay = .seconds(-1) }, { $0.rawMaxBlockSizeBytes = 1 << 31 },
        ]
        for change in changes {
            let error = #expect(throws: ReceiverError.self) { try Rig(change).tracker([]) }
            #expect(error?.code == .badConfiguration)
        }
        #expect(
            ReceiverConfiguration(batchInterval: .milliseconds(5)).blockInterval
                == .milliseconds(5))
        #expect(
            ReceiverConfiguration(batchInterval: .seconds(5)).blockInterval == .milliseconds(200))
    }

    @Test func aLevelThatNeedsACodecIsRefusedWithoutOne() throws {
        struct Opaque: Sendable {}
        let receiver = ScriptedReceiver<Opaque>(storageLevel: .memoryAndDisk)
        let error = #expect(throws: ReceiverError.self) {
            try Rig().tracker([ReceiverRegistration(receiver, streamID: StreamID(0))])
        }
        #expect(error?.code == .codecMissing)
        #expect(error?.message.contains("Opaque") == true)
    }

    @Test func blocksOnDiskAreStoredAndRemoved() async throws {
        let engine = StoringEngine()
        let handler = BlockStoreHandler(
            streamID: StreamID(0), engine: engine, level: .diskOnly,
            codec: ErasedCodec(Codec<Int>.of()))
        let block = ReceivedBlock(
            id: .input(stream: 0, 1), contents: [.values(Values([1, 2]))], recordCount: 2,
            byteCount: 16)
        let stored = try await handler.store(block)
        #expect(engine.blockStore.usage.diskBytes > 0)
        await handler.remove([stored])
        #expect(engine.blockStore.usage.blockCount == 0)
    }
}
