import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Synchronization
import Testing

/// Promises S1 to S7 of `Docs/Semantics.md`.
@Suite("Processing")
struct ProcessingPromises {
    @Test("S1: a batch is generated in five steps, and forgotten last", .timeLimit(.minutes(5)))
    func steps() async throws {
        let journal = Journal()
        let engine = LocalEngine(slots: 2)
        var components = StreamHarness.quietComponents
        components.checkpointStore = JournalCheckpoints(journal: journal)
        components.makeReceivedBlockHandler = { id, level, codec in
            JournalHandler(
                base: BlockStoreHandler(streamID: id, engine: engine, level: level, codec: codec),
                journal: journal)
        }
        let harness = StreamHarness(engine: .custom(engine), components: components)
        harness.ssc.addStreamingListener(JournalListener(journal))
        let feed = FeedReceiver<Int>()
        harness.ssc.receiverStream(feed).transform { rdd, time in
            journal.note("generated \(time) of \(try await rdd.count())")
            return rdd
        }.foreachRDD { rdd, time in
            // The checkpoint of the generation does not wait for the job.
            try await journal.all(through: "checkpoint \(time) pending [\(time)]")
            journal.note("ran \(time)")
        }
        try await harness.ssc.start()
        // Gathered only: the tick itself cuts, stores and allocates it.
        try await feed.output().store(contentsOf: [1, 2, 3])
        for _ in 0..<3 { try await harness.advance() }
        let one = "1000 ms"
        let lines = journal.all
        let submitted = "submitted \(one) with 3"
        let steps = lines.filter { $0.contains(one) || $0.hasPrefix("stored") }
        #expect(
            steps.filter { $0 != submitted } == [
                "stored 3", "generated \(one) of 3", "checkpoint \(one) pending [\(one)]",
                "ran \(one)", "ended \(one)", "checkpoint \(one) pending []",
            ])
        // Submitting comes before the checkpoint; listeners hear of it while that is written.
        let heard = try #require(steps.firstIndex(of: submitted))
        let generated = try #require(steps.firstIndex(of: "generated \(one) of 3"))
        let ran = try #require(steps.firstIndex(of: "ran \(one)"))
        #expect(generated < heard && heard < ran)
        // The first batch is remembered for another one, and forgotten when that is durable.
        let removed = try #require(lines.firstIndex(of: "removed 3"))
        let durable = try #require(lines.firstIndex(of: "checkpoint 3000 ms pending []"))
        #expect(removed > durable)
        await harness.ssc.stop()
        engine.shutdown()
    }

    @Test("S2: batch times are zero time and multiples of the interval", .timeLimit(.minutes(5)))
    func times() async throws {
        let harness = StreamHarness(
            batchInterval: .milliseconds(300), startTime: .milliseconds(1000))
        let seen = harness.record(harness.input([[1], [2], [3]]))
        try await harness.ssc.start()
        harness.clock.advance(by: .milliseconds(200))
        try await harness.listener.batchSettled(.milliseconds(1200))
        try await harness.advance()
        await harness.ssc.stop()
        #expect(seen.batches.map(\.time) == [.milliseconds(1200), .milliseconds(1500)])
    }

    @Test("S2: a late batch is generated late, never skipped", .timeLimit(.minutes(5)))
    func late() async throws {
        let harness = StreamHarness()
        let seen = harness.record(harness.input([[1], [2], [3]]))
        try await harness.ssc.start()
        harness.clock.advance(by: .milliseconds(3500))
        try await harness.listener.batchSettled(.seconds(3))
        await harness.ssc.stop()
        #expect(seen.batches.map(\.elements) == [[1], [2], [3]])
        let late = harness.times { event in
            if case .batchLate(let time, _) = event { time } else { nil }
        }
        #expect(late == [.seconds(1), .seconds(2)])
    }

    @Test("S2: skipped batches are reported, and their blocks go on", .timeLimit(.minutes(5)))
    func skipped() async throws {
        var configuration = StreamingContext.Configuration()
        configuration.lateBatches = .skip
        let harness = StreamHarness(configuration: configuration)
        let feed = FeedReceiver<Int>()
        let seen = harness.record(harness.ssc.receiverStream(feed))
        try await harness.ssc.start()
        try await feed.store(block: [1, 2])
        harness.clock.advance(by: .milliseconds(3500))
        try await harness.listener.batchSettled(.seconds(3))
        await harness.ssc.stop()
        #expect(seen.batches.map(\.time) == [.seconds(3)])
        #expect(seen.batches.map(\.elements) == [[1, 2]])
        let skipped = harness.times { event in
            if case .batchLate(let time, _) = event { time } else { nil }
        }
        #expect(skipped == [.seconds(1), .seconds(2)])
    }

    @Test("S3: batches and their outputs run in order", .timeLimit(.minutes(5)))
    func order() async throws {
        let harness = StreamHarness()
        let journal = Journal()
        let input = harness.input([[1], [2], [3]])
        for name in ["a", "b", "c"] {
            input.foreachRDD { rdd in
                journal.note("\(name)\(try await rdd.collect())")
            }
        }
        try await harness.ssc.start()
        harness.clock.advance(by: .seconds(3))
        try await harness.listener.batchSettled(.seconds(3))
        await harness.ssc.stop()
        #expect(
            journal.all == [
                "a[1]", "b[1]", "c[1]", "a[2]", "b[2]", "c[2]", "a[3]", "b[3]", "c[3]",
            ])
    }

    @Test("S4: a stream's RDD is made once per batch", .timeLimit(.minutes(5)))
    func once() async throws {
        let harness = StreamHarness()
        let journal = Journal()
        let stream = harness.ssc.inputStream { time, context -> RDD<Int>? in
            journal.note("input \(time)")
            return context.batch.parallelize([1, 2])
        }.transform { rdd, time in
            journal.note("transform \(time)")
            return rdd
        }
        let first = harness.record(stream.map { $0 + 1 })
        let second = harness.record(stream.union(stream).window(.seconds(2)))
        stream.foreachRDD { _, time in journal.note("foreachRDD \(time)") }
        try await harness.run(batches: 2)
        #expect(first.batches.map(\.elements) == [[2, 3], [2, 3]])
        #expect(second.batches.map(\.elements.count) == [4, 8])
        for kind in ["input", "transform", "foreachRDD"] {
            #expect(
                journal.all.filter { $0.hasPrefix(kind) } == ["\(kind) 1000 ms", "\(kind) 2000 ms"])
        }
    }

    @Test("S5: a task is tried maxTaskFailures times, then its job fails", .timeLimit(.minutes(5)))
    func attempts() async throws {
        let harness = StreamHarness()
        let journal = Journal()
        harness.input([[1]], partitions: 1).foreachPartition { _, context in
            journal.note("\(context.attempt)")
            throw Boom()
        }
        await #expect(throws: StreamError.self) { try await harness.run(batches: 1) }
        #expect(journal.all.count == 4)
        #expect(Set(journal.all).count == 4, "each try has its number")
        let error = try #require(harness.errors.first)
        #expect(error.batchTime == .seconds(1) && error.outputOperation == 0)
        #expect(error.site?.name == "foreachPartition")
        // What was thrown in another process comes in its own words.
        #expect(error.underlying.map { "\($0)" } == "\(Boom())")
    }

    @Test("S6: a failed batch is pending, is thrown and is heard of", .timeLimit(.minutes(5)))
    func failedBatch() async throws {
        for policy in [FailurePolicy.stop, .continue] {
            var configuration = StreamingContext.Configuration()
            configuration.failurePolicy = policy
            let harness = StreamHarness(configuration: configuration)
            let seen = harness.record(harness.input([[1], [2]]))
            harness.input([[1], [2]]).foreachRDD { _, time in
                if time == .seconds(1) { throw Boom() }
            }
            try await harness.ssc.start()
            if policy == .stop {
                await #expect(throws: StreamError.self) { try await harness.advance() }
                harness.clock.advance(by: .seconds(1))
            } else {
                for _ in 0..<2 { try await harness.advance() }
            }
            await #expect(throws: StreamError.self) { try await harness.ssc.awaitTermination() }
            let report = await harness.ssc.stop()
            #expect(report.pendingBatches == [.seconds(1)])
            #expect(seen.batches.map(\.elements) == (policy == .stop ? [[1]] : [[1], [2]]))
            let reasons = harness.listener.events.compactMap { event in
                if case .outputOperationCompleted(let info) = event {
                    info.failureReason
                } else {
                    nil
                }
            }
            #expect(reasons == ["boom"])
        }
    }

    @Test(
        "S7: a batch that cannot be generated has no jobs and is pending", .timeLimit(.minutes(5)))
    func ungenerated() async throws {
        var configuration = StreamingContext.Configuration()
        configuration.failurePolicy = .continue
        let harness = StreamHarness(configuration: configuration)
        let seen = harness.record(harness.input([[1], [2]]))
        harness.input([[1], [2]]).transform { rdd, time in
            if time == .seconds(1) { throw Boom() }
            return rdd
        }.foreachRDD { _ in }
        try await harness.run(batches: 2)
        #expect(seen.batches.map(\.elements) == [[2]])
        #expect(await harness.ssc.stop().pendingBatches == [.seconds(1)])
        #expect(harness.errors.map(\.code) == [.generationFailed])
        #expect(
            harness.times { event in
                if case .batchGenerationFailed(let time, _) = event { time } else { nil }
            } == [.seconds(1)])
    }
}
