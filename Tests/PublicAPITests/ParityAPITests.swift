import DStreamTestKit
import FaultTolerance
import StreamingContext
import Testing

/// Members that `Docs/SparkParity.md` names and that no other test of its own needs.
@Suite("Members by Spark's names", .timeLimit(.minutes(5)))
struct ParityAPITests {
    private struct OnceReceiver: Receiver {
        let stopped: TestGate
        var preferredLocation: String? { "nearby" }

        func run(_ output: ReceiverOutput<Int>) async throws {
            guard !output.isStopped else { return }
            try await output.store(block: [1, 2, 3], metadata: ["from": "1"])
            output.reportError("a hiccup")
            stopped.open()
            try output.stop("enough")
        }
    }

    @Test("events carry what Spark's carry")
    func events() async throws {
        let harness = StreamHarness()
        let events = RecordingEventListener()
        harness.ssc.addStreamingListener(events)
        let stopped = TestGate()
        let receiver = OnceReceiver(stopped: stopped)
        #expect(receiver.preferredLocation == "nearby")
        #expect(receiver.storageLevel == StorageLevel.memoryOnly)
        let seen = harness.record(harness.ssc.receiverStream(receiver))
        try await harness.ssc.start()
        try await stopped.wait()
        let heard = try await events.events { events in
            events.contains { if case .receiverStopped = $0 { true } else { false } }
        }
        try await harness.advance()
        await harness.ssc.stop()
        #expect(seen.batches.flatMap(\.elements) == [1, 2, 3])

        let errors = heard.compactMap { event -> ReceiverInfo? in
            if case .receiverError(let info) = event { info } else { nil }
        }
        #expect(errors.map(\.lastErrorMessage) == ["a hiccup"])
        #expect(errors.map(\.lastErrorTime) == [.zero])
        #expect(errors.map(\.location) == ["localhost"])
        #expect(errors.map(\.executorID) == ["driver"])

        let outputs = harness.listener.events.compactMap { event -> OutputOperationInfo? in
            if case .outputOperationCompleted(let info) = event { info } else { nil }
        }
        #expect(outputs.map(\.startTime) == [.seconds(1)])
        #expect(outputs.map(\.endTime) == [.seconds(1)])
        #expect(outputs.map(\.duration) == [.zero])
        #expect(outputs.map(\.failureReason) == [nil])
        let batches = harness.listener.events.compactMap { event -> BatchInfo? in
            if case .batchCompleted(let info) = event { info } else { nil }
        }
        #expect(batches.map(\.outputOperationInfos.count) == [1])
    }

    @Test("streams and contexts tell what they are")
    func facts() async throws {
        let harness = StreamHarness()
        let ssc = harness.ssc
        #expect(ssc.state == StreamingContext.State.initialized)
        let words = harness.input([["a", "b"]]).map { ($0, 1) }
        #expect(words.graph === ssc.graph)
        #expect(words.slideDuration == .seconds(1))
        #expect(words.dependencies.count == 1)
        let numbered = words.partitionBy(partitions: 3).mapPartitionsWithIndex { index, pairs in
            pairs.map { (index, $0.0) }
        }
        let seen = harness.record(numbered.persist(.memoryOnly).cache())
        try await harness.run(batches: 1)
        #expect(seen.batches.map(\.partitions.count) == [3])
        let placed = seen.batches.flatMap(\.partitions).enumerated().flatMap { index, pairs in
            pairs.map { $0.0 == index }
        }
        #expect(placed == [true, true])
        _ = StreamingContext.getActiveOrCreate { ssc }
    }

    @Test("a log is written, read and cleaned")
    func log() async throws {
        let log: any WriteAheadLog = InMemoryWriteAheadLog()
        let first = try await log.write([1], time: .seconds(1))
        let second = try await log.write([2], time: .seconds(2))
        #expect(try await log.read(first) == [1])
        try await log.clean(before: .seconds(2))
        #expect(try await log.readAll() == [[2]])
        #expect(try await log.read(second) == [2])
        await log.close()
    }

    @Test("blocks are allocated to batches")
    func blocks() throws {
        let stream = StreamID(0)
        var tracker = ReceivedBlockTracker(streamIDs: [stream])
        let event = try #require(tracker.allocation(to: .seconds(1)))
        #expect(tracker.apply(event).isEmpty)
        #expect(tracker.lastAllocated == .seconds(1))
        #expect(tracker.blocks(of: .seconds(1), stream: stream).isEmpty)
    }
}
