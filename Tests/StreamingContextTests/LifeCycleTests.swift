import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Testing

@Suite("The life of a context")
struct LifeCycleTests {
    private func counting(_ harness: StreamHarness) -> OutputRecorder<Int> {
        harness.record(harness.input([[1, 2], [3]]))
    }

    @Test(
        "a pause of a year costs no step for each batch that was left out",
        .timeLimit(.minutes(1)), arguments: [false, true])
    func longPause(hasCheckpoints: Bool) async throws {
        var configuration = StreamingContext.Configuration()
        configuration.lateBatches = .skip
        var components = StreamHarness.quietComponents
        components.storageMedium = SimulatedStorageMedium()
        let harness = StreamHarness(
            batchInterval: .milliseconds(10), configuration: configuration, components: components)
        if hasCheckpoints { harness.ssc.checkpoint("/c") }
        let seen = harness.record(harness.input([[1], [2], [3]]).window(.milliseconds(50)))
        try await harness.ssc.start()
        for _ in 0..<3 { try await harness.advance() }
        harness.clock.advance(by: .seconds(365 * 86400))
        for _ in 0..<10 { try await harness.advance() }
        await harness.ssc.stop()
        #expect(seen.batches.prefix(3).map(\.elements.count) == [1, 2, 3])
        #expect(seen.batches.count > 12)
        #expect(seen.batches.dropFirst(3).allSatisfy { $0.elements.isEmpty })
        #expect(harness.errors.isEmpty, "\(harness.errors)")
    }

    @Test("goes from initialized to active to stopped", .timeLimit(.minutes(5)))
    func states() async throws {
        let harness = StreamHarness()
        _ = counting(harness)
        #expect(harness.ssc.state == .initialized)
        try await harness.ssc.start()
        #expect(harness.ssc.state == .active)
        try await harness.ssc.start()
        #expect(harness.ssc.state == .active)
        await harness.ssc.stop()
        #expect(harness.ssc.state == .stopped)
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        #expect(error?.code == .alreadyStopped)
        try await harness.ssc.awaitTermination()
        harness.clock.finish()
    }

    @Test("stopped before it was started, it cannot be started", .timeLimit(.minutes(5)))
    func stopFirst() async throws {
        let harness = StreamHarness()
        _ = counting(harness)
        let report = await harness.ssc.stop(graceful: true)
        #expect(harness.ssc.state == .stopped)
        #expect(report.abandoned.isEmpty && report.pendingBatches.isEmpty)
        try await harness.ssc.awaitTermination()
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        #expect(error?.code == .alreadyStopped)
        #expect(harness.listener.events.isEmpty)
    }

    @Test("many tasks start it once", .timeLimit(.minutes(5)))
    func concurrentStarts() async throws {
        for _ in 0..<20 {
            let harness = StreamHarness()
            _ = counting(harness)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<16 { group.addTask { try await harness.ssc.start() } }
                try await group.waitForAll()
            }
            #expect(harness.ssc.state == .active)
            #expect(harness.listener.events.count(where: \.isStreamingStarted) == 1)
            try await harness.advance()
            await harness.ssc.stop()
            #expect(harness.errors.isEmpty)
        }
    }

    @Test("many tasks that start what cannot work all hear why", .timeLimit(.minutes(5)))
    func concurrentFailingStarts() async throws {
        let harness = StreamHarness()
        _ = harness.input([[1]])
        let codes = await withTaskGroup(of: StreamError.Code?.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    do { try await harness.ssc.start() } catch {
                        return (error as? StreamError)?.code
                    }
                    return nil
                }
            }
            return await group.reduce(into: [StreamError.Code?]()) { $0.append($1) }
        }
        // Who came when it had failed already hears that it is stopped.
        #expect(Set(codes).isSubset(of: [.noOutput, .alreadyStopped]))
        #expect(codes.contains(.noOutput))
        #expect(harness.ssc.state == .stopped)
        let error = await #expect(throws: StreamError.self) {
            try await harness.ssc.awaitTermination()
        }
        #expect(error?.code == .noOutput)
    }

    @Test("many tasks stop it once, and all get the report", .timeLimit(.minutes(5)))
    func concurrentStops() async throws {
        let harness = StreamHarness()
        let feed = Feed<Int>()
        let seen = harness.record(harness.ssc.receiverStream(feed))
        try await harness.ssc.start()
        try await feed.store(block: [1, 2, 3])
        let reports = await withTaskGroup(of: StreamingContext.StopReport.self) { group in
            for _ in 0..<16 { group.addTask { await harness.ssc.stop(graceful: true) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(reports.count == 16)
        #expect(reports.allSatisfy { $0.isDrained && "\($0)".hasPrefix("drained") })
        #expect(seen.batches.flatMap(\.elements) == [1, 2, 3])
        #expect(harness.ssc.state == .stopped)
        #expect(await harness.ssc.stop().isDrained, "a stop afterwards has the same report")
        harness.clock.finish()
    }

    @Test("starts and stops at once end well", .timeLimit(.minutes(5)))
    func startAgainstStop() async throws {
        for _ in 0..<50 {
            let harness = StreamHarness()
            _ = counting(harness)
            async let started: Void = harness.ssc.start()
            async let stopped = harness.ssc.stop()
            _ = await stopped
            // Whoever came first: it is over, and nothing is left behind.
            #expect(harness.ssc.state == .stopped)
            _ = try? await started
            try await harness.ssc.awaitTermination()
            harness.clock.finish()
        }
    }

    @Test("is active while it runs, and the last one started is found", .timeLimit(.minutes(5)))
    func activeContexts() async throws {
        let harness = StreamHarness()
        _ = counting(harness)
        let isOurs = { StreamingContext.getActive() === harness.ssc }
        #expect(!isOurs())
        try await harness.ssc.start()
        // Other tests start contexts too, but somebody is active now.
        #expect(StreamingContext.getActive() != nil)
        await harness.ssc.stop()
        #expect(!isOurs())
    }

    @Test("run() returns when somebody stops the context", .timeLimit(.minutes(5)))
    func runUntilStopped() async throws {
        let harness = StreamHarness()
        let seen = counting(harness)
        async let ended: Void = harness.ssc.run()
        try await harness.listener.first(\.isStreamingStarted)
        try await harness.advance()
        await harness.ssc.stop()
        try await ended
        #expect(seen.batches.map(\.elements) == [[1, 2]])
        harness.clock.finish()
    }

    @Test("cancelling run() stops the context", .timeLimit(.minutes(5)), arguments: [false, true])
    func cancelledRun(isGraceful: Bool) async throws {
        var configuration = StreamingContext.Configuration()
        configuration.stopsGracefullyOnShutdown = isGraceful
        let harness = StreamHarness(configuration: configuration)
        let feed = Feed<Int>()
        let seen = harness.record(harness.ssc.receiverStream(feed))
        let task = Task { try await harness.ssc.run() }
        try await feed.store(block: [1, 2, 3])
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(harness.ssc.state == .stopped)
        #expect(seen.batches.flatMap(\.elements) == (isGraceful ? [1, 2, 3] : []))
        harness.clock.finish()
    }

    @Test("run() throws what failed, and everything has ended then", .timeLimit(.minutes(5)))
    func failedRun() async throws {
        let harness = StreamHarness()
        harness.input([[1]]).foreachRDD { _ in throw Boom() }
        let task = Task { try await harness.ssc.run() }
        try await harness.listener.first(\.isStreamingStarted)
        // Not waiting for the batch: its failure may have ended everything before it settles.
        harness.clock.advance(by: .seconds(1))
        let error = await #expect(throws: StreamError.self) { try await task.value }
        #expect(error?.underlying is Boom)
        #expect(harness.ssc.state == .stopped)
        harness.clock.finish()
    }

    @Test("a waiter that is cancelled leaves, the others wait on", .timeLimit(.minutes(5)))
    func cancelledWaiters() async throws {
        let harness = StreamHarness()
        _ = counting(harness)
        try await harness.ssc.start()
        let stays = Task { try await harness.ssc.awaitTermination() }
        let leaving = (0..<16).map { _ in Task { try await harness.ssc.awaitTermination() } }
        for task in leaving { task.cancel() }
        for task in leaving {
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        #expect(harness.ssc.state == .active)
        await harness.ssc.stop()
        try await stays.value
    }

    @Test("waiting with a time-out tells whether it ended", .timeLimit(.minutes(5)))
    func timeout() async throws {
        let harness = StreamHarness()
        _ = counting(harness)
        try await harness.ssc.start()
        #expect(try await !harness.ssc.awaitTermination(timeout: .zero))
        async let ended = harness.ssc.awaitTermination(timeout: .milliseconds(10))
        await harness.clock.waitForSleepers(count: 2)
        harness.clock.advance(by: .milliseconds(10))
        #expect(try await !ended)
        async let endedLater = harness.ssc.awaitTermination(timeout: .seconds(10))
        await harness.ssc.stop()
        #expect(try await endedLater)
        #expect(try await harness.ssc.awaitTermination(timeout: .zero))
        harness.clock.finish()
    }

    @Test("contexts in one process know nothing of each other", .timeLimit(.minutes(5)))
    func severalContexts() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...6 {
                group.addTask {
                    let harness = StreamHarness(batchInterval: .milliseconds(100 * number))
                    let input = harness.input((1...5).map { [number * $0] })
                    let seen = harness.record(input.map { $0 + 1 })
                    if number == 3 { input.foreachRDD { _ in throw Boom() } }
                    do { try await harness.run(batches: 5) } catch {
                        #expect(number == 3 && error is StreamError)
                    }
                    let all = (1...5).map { [number * $0 + 1] }
                    #expect(seen.batches.map(\.elements) == (number == 3 ? [all[0]] : all))
                    #expect(harness.errors.isEmpty == (number != 3))
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("listeners hear everything in order, each once", .timeLimit(.minutes(5)))
    func listeners() async throws {
        let harness = StreamHarness()
        _ = counting(harness)
        let removed = RecordingListener()
        harness.ssc.addStreamingListener(harness.listener)
        harness.ssc.addStreamingListener(removed)
        try await harness.ssc.start()
        try await harness.advance()
        harness.ssc.removeStreamingListener(removed)
        try await harness.advance()
        await harness.ssc.stop()
        let names = harness.listener.events.map { "\($0)".prefix { $0 != "(" } }
        let batch: [Substring] = [
            "batchSubmitted", "batchStarted", "outputOperationStarted",
            "outputOperationCompleted", "batchCompleted", "batchSettled",
        ]
        #expect(names == ["streamingStarted"] + batch + batch)
        #expect(removed.events == Array(harness.listener.events.prefix(7)))
    }
}
