import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Testing

/// A job that is slow holds up what comes in: memory stays bounded, nothing is dropped.
@Suite("Memory while a job is stalled")
struct MemoryBoundTests {
    @Test("storing waits at the limit of stored bytes", .timeLimit(.minutes(5)))
    func storedBytes() async throws {
        var configuration = StreamingContext.Configuration()
        configuration.receiver.receivedBytesLimit = 3500
        let engine = LocalEngine(slots: 2)
        let harness = StreamHarness(engine: .custom(engine), configuration: configuration)
        let feed = Feed<Int>()
        let (isStalled, release) = (TestGate(), TestGate())
        let seen = Notes<[Int]>()
        harness.ssc.receiverStream(feed).foreachRDD { rdd in
            isStalled.open()
            try await release.wait()
            seen.add(try await rdd.collect())
        }
        try await harness.ssc.start()
        // Blocks of 800 bytes, and 640 each: two of them fit.
        let stored = Notes<Int>()
        let writer = Task {
            for number in 0..<10 {
                try await feed.store(block: [Int](number * 100..<(number + 1) * 100))
                stored.add(number)
                #expect(engine.blockStore.usage.memoryBytes <= 2000)
            }
        }
        try await stored.all(atLeast: 2)
        harness.clock.advance(by: .seconds(1))
        try await isStalled.wait()
        for second in Int64(2)...6 {
            harness.clock.advance(by: .seconds(1))
            try await harness.listener.first { event in
                if case .batchSubmitted(let info) = event {
                    return info.batchTime == .seconds(second)
                }
                return false
            }
        }
        #expect(stored.all == [0, 1])
        #expect(engine.blockStore.usage.memoryBytes <= 2000)
        release.open()
        try await harness.listener.batchSettled(.seconds(6))
        while stored.all.count < 10 { try await harness.advance() }
        try await writer.value
        let report = await harness.ssc.stop(graceful: true)
        #expect(report.isDrained)
        #expect(seen.all.flatMap { $0 } == Array(0..<1000))
        #expect(engine.blockStore.usage.memoryBytes == 0, "all blocks were removed")
        engine.shutdown()
    }

    @Test(
        "a failed batch does not keep the room of later ones, though all may fail",
        .timeLimit(.minutes(5)), arguments: [[2], Array(1...10)] as [[Int64]])
    func failedBatchesMakeRoom(failing: [Int64]) async throws {
        var configuration = StreamingContext.Configuration()
        configuration.receiver.receivedBytesLimit = 7200
        configuration.failurePolicy = .continue
        let engine = LocalEngine(slots: 2)
        let harness = StreamHarness(engine: .custom(engine), configuration: configuration)
        let feed = Feed<Int>()
        harness.ssc.receiverStream(feed).foreachRDD { _, time in
            if failing.contains(time.milliseconds / 1000) { throw Boom() }
        }
        try await harness.ssc.start()
        // Blocks of 800 bytes, and 640 each, one a batch: they only fit as long as earlier ones are removed.
        for number in 0..<10 {
            try await feed.store(block: [Int](repeating: number, count: 100))
            try await harness.advance()
        }
        #expect(engine.blockStore.usage.memoryBytes <= 1600)
        #expect(harness.errors.map(\.batchTime) == failing.map { .seconds($0) })
        await harness.ssc.stop()
        engine.shutdown()
    }

    @Test("a stopped context leaves nothing in its engine's store", .timeLimit(.minutes(5)))
    func leavesNothing() async throws {
        for isGraceful in [false, true] {
            let engine = LocalEngine(slots: 2)
            let harness = StreamHarness(engine: .custom(engine))
            let feed = Feed<Int>()
            let stream = harness.ssc.receiverStream(feed)
            stream.map { ($0, 1) }.persist().window(.seconds(5)).foreachRDD { rdd in
                _ = try await rdd.count()
            }
            stream.foreachRDD { _, time in if time == .seconds(3) { throw Boom() } }
            try await harness.ssc.start()
            for number in 1...3 {
                try await feed.store(block: [number])
                if number < 3 { try await harness.advance() }
            }
            await #expect(throws: StreamError.self) { try await harness.advance() }
            let output = try await feed.output()
            try await output.store(block: [4])
            #expect(engine.blockStore.usage.blockCount > 0)
            await harness.ssc.stop(graceful: isGraceful)
            #expect(engine.blockStore.usage.blockCount == 0)
            let error = await #expect(throws: ReceiverError.self) {
                try await output.store(block: [5])
            }
            #expect(error?.code == .notActive)
            #expect(engine.blockStore.usage.blockCount == 0)
            engine.shutdown()
        }
    }

    @Test("gathering waits, too, and so does who stores", .timeLimit(.minutes(5)))
    func gathered() async throws {
        var configuration = StreamingContext.Configuration()
        configuration.receiver.receivedBytesLimit = 3500
        configuration.receiver.maxBlockBytes = 800
        configuration.receiver.blockQueueSize = 1
        let engine = LocalEngine(slots: 2)
        let harness = StreamHarness(engine: .custom(engine), configuration: configuration)
        let feed = Feed<Int>()
        let (isStalled, release) = (TestGate(), TestGate())
        let seen = Notes<[Int]>()
        harness.ssc.receiverStream(feed).foreachRDD { rdd in
            isStalled.open()
            try await release.wait()
            seen.add(try await rdd.collect())
        }
        try await harness.ssc.start()
        let output = try await feed.output()
        let stored = Notes<Int>()
        let writer = Task {
            for number in 0..<2000 {
                try await output.store(number)
                stored.add(number)
            }
        }
        harness.clock.advance(by: .seconds(1))
        try await isStalled.wait()
        for _ in 0..<5 { harness.clock.advance(by: .seconds(1)) }
        try await harness.listener.first { event in
            if case .batchSubmitted(let info) = event {
                info.batchTime == .seconds(6)
            } else {
                false
            }
        }
        // Two blocks stored, a block of 800 on its way, one in the queue, one being gathered.
        #expect(stored.all.count <= 550, "\(stored.all.count)")
        #expect(engine.blockStore.usage.memoryBytes <= 2000)
        release.open()
        try await harness.listener.batchSettled(.seconds(6))
        while stored.all.count < 2000 { try await harness.advance() }
        try await writer.value
        #expect(await harness.ssc.stop(graceful: true).isDrained)
        #expect(seen.all.flatMap { $0 } == Array(0..<2000))
        engine.shutdown()
    }

    @Test("only so many batches wait; the others come late", .timeLimit(.minutes(5)))
    func queuedBatches() async throws {
        var configuration = StreamingContext.Configuration()
        configuration.maxQueuedBatches = 3
        let harness = StreamHarness(configuration: configuration)
        let (isStalled, release) = (TestGate(), TestGate())
        let seen = Notes<BatchTime>()
        harness.input((1...10).map { [$0] }).foreachRDD { _, time in
            isStalled.open()
            try await release.wait()
            seen.add(time)
        }
        try await harness.ssc.start()
        harness.clock.advance(by: .seconds(10))
        try await isStalled.wait()
        try await harness.listener.first { event in
            if case .batchSubmitted(let info) = event {
                info.batchTime == .seconds(3)
            } else {
                false
            }
        }
        harness.clock.advance(by: .milliseconds(500))
        #expect(harness.listener.events.count(where: \.isBatchSubmitted) == 3)
        release.open()
        try await harness.listener.batchSettled(.seconds(10))
        #expect(seen.all == (Int64(1)...10).map { BatchTime.seconds($0) })
        await harness.ssc.stop()
    }
}
