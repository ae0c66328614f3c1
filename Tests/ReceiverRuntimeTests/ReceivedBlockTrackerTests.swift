import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import Testing

/// Which blocks belong to which batch, against the recorded cases and with a log.
@Suite struct ReceivedBlockTrackerTests {
    private static let names = [
        "allocate_all_pending", "cleanup_needs_a_later_clock", "cleanup", "recover",
        "no_wal_loses_everything", "cleanup_survives_recovery", "random_1", "random_3", "random_4",
    ]

    @Test func everyRecordedCaseIsRun() throws {
        #expect(try Fixture.vectors("received_block_tracker").map(\.name) == Self.names)
    }

    @Test(arguments: names)
    func recordedCasesAgree(_ name: String) async throws {
        let vectors = try Fixture.vectors("received_block_tracker")
        let vector = try #require(vectors.first { $0.name == name }).vector
        let params = try #require(vector.object("params"))
        let streams = try #require(params["streams"] as? [Int])
        var rig = Rig()
        if params.bool("writeAheadLog") == true { rig.log = MemoryLog() }
        let receivers = streams.map {
            ReceiverRegistration(ScriptedReceiver<Int>(), streamID: StreamID($0))
        }
        var tracker = try rig.tracker(receivers)
        for step in vector.objects("steps") {
            let time = BatchTime(milliseconds: Int64(step.int("timeMillis") ?? 0))
            switch try #require(step.string("do")) {
            case "addBlock":
                try await tracker.addBlock(try block(step))
            case "allocateBlocksToBatch":
                try await tracker.allocateBlocks(to: time)
                #expect(await named(tracker.blocks(allocatedTo: time)) == step.names("result"))
            case "getBlocksOfBatch":
                #expect(await named(tracker.blocks(allocatedTo: time)) == step.names("result"))
            case "getBlocksOfBatchAndStream":
                let stream = StreamID(try #require(step.int("stream")))
                let blocks = await tracker.blocks(allocatedTo: time, stream: stream)
                #expect(blocks.map { "\($0.id)" } == step["result"] as? [String])
            case "advanceClock":
                rig.clock.advance(by: .milliseconds(try #require(step.int("millis"))))
            case "cleanupOldBatches":
                let millis = Int64(try #require(step.int("thresholdMillis")))
                let threshold = BatchTime(milliseconds: millis)
                if step["error"] != nil {
                    let error = await #expect(throws: ReceiverError.self) {
                        try await tracker.releaseBatches(before: threshold)
                    }
                    #expect(error?.code == .cleanupTooEarly)
                } else {
                    try await tracker.releaseBatches(before: threshold)
                }
            case "newTracker":
                // Names of log files are ours (the recorded `files` are not compared).
                tracker = try rig.tracker(receivers)
                if step.bool("recoverFromWriteAheadLog") == true { try await tracker.recover() }
            case let other: Issue.record("unknown step \(other)")
            }
            if let hasUnallocated = step.bool("hasUnallocated") {
                #expect(await tracker.hasUnallocatedBlocks == hasUnallocated)
            }
            for (stream, blocks) in step.names("unallocated") ?? [:] {
                let waiting = await tracker.unallocatedBlocks(of: StreamID(stream))
                #expect(waiting.map { "\($0.id)" } == blocks)
            }
        }
    }

    private func block(_ step: [String: Any]) throws -> StoredBlock {
        let name = try #require(step.string("block")).split(separator: "-")
        let stream = try #require(step.int("stream"))
        let number = try #require(name.last.flatMap { Int64($0) })
        return StoredBlock(
            id: .input(stream: stream, number), streamID: StreamID(stream), recordCount: 1,
            byteCount: 1)
    }

    private func named(_ blocks: [StreamID: [StoredBlock]]) -> [Int: [String]] {
        Dictionary(
            uniqueKeysWithValues: blocks.map { ($0.key.rawValue, $0.value.map { "\($0.id)" }) })
    }

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
        ]
        let codec = Codec<BlockTrackingEvent>.of()
        for event in events {
            let bytes = try codec.bytes(of: event)
            #expect(try codec.value(of: bytes) == event)
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
        #expect(second.budget.usedBytes == 100)
        try await second.allocateBlocks(to: .seconds(1))
        #expect(try ids.map { try engine.blockStore.get($0) != nil } == [true, true, false])
        #expect(second.budget.usedBytes == 200)
        // Before the turn of the third batch, others are released and set aside.
        try await second.releaseBatches(before: .seconds(3), keeping: [.seconds(1)])
        #expect(try ids.map { try engine.blockStore.get($0) != nil } == [false, false, false])
        try await second.allocateBlocks(to: .seconds(3))
        #expect(try ids.map { try engine.blockStore.get($0) != nil } == [false, false, true])
        #expect(second.budget.usedBytes == 100)
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
