import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import Testing

/// Which blocks belong to which batch, with a log; `ConformanceTests` runs the recorded cases.
@Suite(.timeLimit(.minutes(5))) struct ReceivedBlockTrackerTests {
    private func block(_ number: Int64, stream: Int = 0) -> StoredBlock {
        StoredBlock(
            id: .input(stream: stream, number), streamID: StreamID(stream), recordCount: 3,
            byteCount: 100, metadata: ["offset": "\(number)"])
    }

    private func tracker(_ log: MemoryLog) throws -> ReceiverTracker {
        var rig = Rig()
        rig.log = log
        return try rig.tracker([
            ReceiverRegistration(ScriptedReceiver<Int>(), streamID: StreamID(0))
        ])
    }

    @Test func eventsSurviveTheirBytes() throws {
        let events: [BlockTrackingEvent] = [
            .blockAdded(block(5)), .blockAdded(block(.min, stream: -3)),
            .batchAllocated(
                .milliseconds(-7), [StreamID(0): [block(1), block(2)], StreamID(4): []]),
            .batchesCleaned([.zero, .seconds(3)]), .batchesCleaned([]),
            .blocksLost([block(1), block(2, stream: 4)]), .blocksLost([]),
        ]
        let codec = Codec<BlockTrackingEvent>.of()
        for event in events {
            let bytes = try codec.bytes(of: event)
            #expect(try codec.value(of: bytes) == event)
            #expect(throws: (any Error).self) { try codec.value(of: bytes + [0]) }
            for end in bytes.indices {
                #expect(throws: (any Error).self) { try codec.value(of: Array(bytes[..<end])) }
            }
        }
    }

    /// What the log tells of a block that was taken back from a batch which was left out.
    ///
    /// With the clean-up of the batch that got it then, nothing is held any more.
    @Test func aBlockBelongsToTheBatchThatGotItLast() {
        let stream = StreamID(0)
        let blocks = (1...2).map { number in
            StoredBlock(
                id: .input(stream: 0, Int64(number)), streamID: stream, recordCount: 1,
                byteCount: 1,
                metadata: [:], logHandle: nil)
        }
        var tracker = ReceivedBlockTracker(streamIDs: [stream])
        tracker.apply(.blockAdded(blocks[0]))
        tracker.apply(.batchAllocated(.seconds(1), [stream: [blocks[0]]]))
        tracker.apply(.blockAdded(blocks[1]))
        tracker.apply(.batchAllocated(.seconds(5), [stream: blocks]))
        #expect(tracker.blocks(of: .seconds(1), stream: stream).isEmpty)
        #expect(tracker.blocks(of: .seconds(5), stream: stream).map(\.id) == blocks.map(\.id))
        #expect(!tracker.hasUnallocatedBlocks)
        tracker.apply(.batchesCleaned([.seconds(5)]))
        #expect(tracker.heldBlocks.isEmpty)
    }

    @Test func whatCannotBeLoggedChangesNothing() async throws {
        let log = MemoryLog()
        let tracker = try tracker(log)
        log.failNext()
        await #expect(throws: MemoryLog.Full.self) { try await tracker.addBlock(block(1)) }
        #expect(await !tracker.hasUnallocatedBlocks)
        try await tracker.addBlock(block(2))
        log.failNext()
        await #expect(throws: MemoryLog.Full.self) {
            try await tracker.allocateBlocks(to: .seconds(1))
        }
        #expect(await tracker.unallocatedBlocks(of: StreamID(0)).count == 1)
        try await tracker.allocateBlocks(to: .seconds(1))
        #expect(
            await tracker.blocks(allocatedTo: .seconds(1), stream: StreamID(0)) == [block(2)])
        #expect(log.count == 2)
    }

    @Test func pendingBatchesKeepTheirBlocksAndNoMemory() async throws {
        var rig = Rig()
        let log = MemoryLog()
        rig.log = log
        let tracker = try rig.tracker([
            ReceiverRegistration(ScriptedReceiver<Int>(), streamID: StreamID(0))
        ])
        for number in 1...2 as ClosedRange<Int64> {
            try await tracker.budget.acquire(block(number).id, bytes: 100)
            try await tracker.addBlock(block(number))
            try await tracker.allocateBlocks(to: .seconds(number))
        }
        rig.clock.advance(by: .seconds(5))
        try await tracker.releaseBatches(before: .seconds(3), keeping: [.seconds(1)])
        #expect(tracker.budget.usedBytes == 0)
        let recovered = try self.tracker(log)
        try await recovered.recover()
        for tracker in [tracker, recovered] {
            #expect(await tracker.blocks(allocatedTo: .seconds(1)) == [StreamID(0): [block(1)]])
            #expect(await tracker.blocks(allocatedTo: .seconds(2)).isEmpty)
        }
        try await tracker.releaseBatches(before: .seconds(3), keeping: [])
        #expect(await tracker.blocks(allocatedTo: .seconds(1)).isEmpty)
    }

    @Test func blocksOfPendingBatchesTakeMemoryWhenTheirTurnComes() async throws {
        let (events, contents, engine) = (MemoryLog(), MemoryLog(), StoringEngine())
        let clock = ManualClock(now: .seconds(5))
        func tracker() throws -> ReceiverTracker {
            try ReceiverTracker(
                receivers: [ReceiverRegistration(ScriptedReceiver<Int>(), streamID: StreamID(0))],
                configuration: ReceiverConfiguration(batchInterval: .seconds(1)), engine: engine,
                clock: clock, bus: ListenerBus(), log: events,
                makeHandler: { id, level, codec in
                    LoggedBlockHandler(
                        streamID: id, engine: engine, level: level,
                        codec: codec ?? ErasedCodec(Codec<Int>.of()), log: contents,
                        clock: clock)
                })
        }
        let handler = LoggedBlockHandler(
            streamID: StreamID(0), engine: engine, level: .memoryOnly,
            codec: ErasedCodec(Codec<Int>.of()), log: contents, clock: clock)
        let first = try tracker()
        var ids: [BlockID] = []
        for number in 1...3 as ClosedRange<Int64> {
            let stored = try await handler.store(
                ReceivedBlock(
                    id: block(number).id, contents: [.values(Values([Int(number)]))],
                    recordCount: 1, byteCount: 100))
            ids.append(stored.id)
            try await first.addBlock(stored)
            try await first.allocateBlocks(to: .seconds(number))
        }
        for id in ids { engine.blockStore.remove(id) }

        let second = try tracker()
        try await second.recover()
        #expect(try await second.restoreBlocks(pending: [.seconds(1), .seconds(3)]).isEmpty)
        #expect(try ids.map { try engine.blockStore.get($0) != nil } == [false, true, false])
        #expect(second.budget.usedBytes == 100 + 640)
        try await second.allocateBlocks(to: .seconds(1))
        #expect(try ids.map { try engine.blockStore.get($0) != nil } == [true, true, false])
        #expect(second.budget.usedBytes == 2 * (100 + 640))
        // Before the turn of the third batch, others are released and set aside.
        try await second.releaseBatches(before: .seconds(3), keeping: [.seconds(1)])
        #expect(try ids.map { try engine.blockStore.get($0) != nil } == [false, false, false])
        try await second.allocateBlocks(to: .seconds(3))
        #expect(try ids.map { try engine.blockStore.get($0) != nil } == [false, false, true])
        #expect(second.budget.usedBytes == 100 + 640)
    }

    @Test func blocksAddedWhileAnAllocationIsLoggedBelongToTheNext() async throws {
        let log = MemoryLog()
        let tracker = try tracker(log)
        try await tracker.addBlock(block(1))
        log.hold(true)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await tracker.allocateBlocks(to: .seconds(1)) }
            try await log.begun(atLeast: 2)
            group.addTask { try await tracker.addBlock(block(2)) }
            try await log.begun(atLeast: 3)
            group.addTask { try await tracker.allocateBlocks(to: .seconds(2)) }
            log.hold(false)
            try await group.waitForAll()
        }
        let first = await tracker.blocks(allocatedTo: .seconds(1), stream: StreamID(0))
        #expect(first == [block(1)])
        let second = await tracker.blocks(allocatedTo: .seconds(2), stream: StreamID(0))
        let waiting = await tracker.unallocatedBlocks(of: StreamID(0))
        #expect(second + waiting == [block(2)])
        let recovered = try self.tracker(log)
        try await recovered.recover()
        #expect(
            await recovered.blocks(allocatedTo: .seconds(1), stream: StreamID(0)) == first)
        #expect(
            await recovered.blocks(allocatedTo: .seconds(2), stream: StreamID(0)) == second)
        #expect(await recovered.unallocatedBlocks(of: StreamID(0)) == waiting)
    }
}
