import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// Promises S26 to S29 of `Docs/Semantics.md`.
@Suite("Promises: failing outputs", .timeLimit(.minutes(5)))
struct FailurePromises {
    private let medium = SimulatedStorageMedium()

    private func harness(
        policy: FailurePolicy = .deadLetter, startTime: BatchTime = .zero,
        checkpoints: (any CheckpointStore)? = nil
    ) -> StreamHarness {
        var configuration = StreamingContext.Configuration()
        configuration.failurePolicy = policy
        configuration.maxTaskFailures = 2
        var components = StreamHarness.quietComponents
        components.deadLetterStore = FileDeadLetterStore("/letters", on: medium)
        components.checkpointStore = checkpoints
        return StreamHarness(
            startTime: startTime, configuration: configuration, components: components)
    }

    @Test("S26: retries come exactly after their waits, and tasks have numbers of their own")
    func retries() async throws {
        let harness = harness(policy: .stop)
        let journal = Journal()
        harness.input([[1]], partitions: 1).foreachPartition { [clock = harness.clock] _, task in
            journal.note("\(clock.now.milliseconds) \(task.attempt)")
            if task.attempt < 5 { throw Boom() }
        }.onFailure(
            retry: RetryPolicy(maxAttempts: 3, initialBackoff: .milliseconds(100), multiplier: 3))
        try await harness.ssc.start()
        harness.clock.advance(by: .seconds(1))
        for wait in [Int64(100), 300] {
            let end = harness.clock.now + .milliseconds(wait)
            await harness.clock.waitForSleeper(until: end)
            harness.clock.set(to: end)
        }
        try await harness.listener.batchSettled(.seconds(1))
        #expect(await harness.ssc.stop().pendingBatches.isEmpty)
        #expect(
            journal.all == ["1000 0", "1000 1", "1100 2", "1100 3", "1400 4", "1400 5"])
        #expect(harness.errors.isEmpty, "only the last failure would count")
    }

    @Test("S27: a dead letter is durable before its batch is settled")
    func durable() async throws {
        let harness = harness()
        harness.input([["a"], ["b"]]).foreachRDD { _, time in
            if time == .seconds(1) { throw Boom() }
        }
        let isWritten = Locked<[Bool]>([])
        let listener = SettledListener { [medium] in
            let isRenamed = medium.operations.contains { $0.kind == .rename }
            let survived = isRenamed && medium.operations.last?.kind == .syncDirectory
            isWritten.withLock { $0.append(survived) }
        }
        harness.ssc.addStreamingListener(listener)
        try await harness.run(batches: 2)
        #expect(isWritten.withLock { $0 } == [true, true])
        #expect(await harness.ssc.stop().pendingBatches.isEmpty)
        let letters = FileDeadLetterStore("/letters", on: medium.reopened(seed: 1))
        #expect(try await letters.list().entries.map(\.elementCount) == [1])
    }

    @Test("S28: a dead letter waits until its operation has succeeded")
    func replay() async throws {
        let rows = Locked<[String]>([])
        func declared(isDown: Bool) -> StreamHarness {
            let harness = harness()
            harness.input([["a", "b"]]).foreachRDD { rdd, time in
                if isDown { throw Boom() }
                let texts = try await rdd.collect()
                rows.withLock { $0 += texts.map { "\(time.milliseconds) \($0)" } }
            }
            return harness
        }
        try await declared(isDown: true).run(batches: 1)
        for (isDown, replayed, failed) in [(true, 0, 1), (false, 1, 0), (false, 0, 0)] {
            let report = try await declared(isDown: isDown).ssc.replayDeadLetters()
            #expect(report.replayed.count == replayed && report.failed.count == failed)
        }
        #expect(rows.withLock { $0 } == ["1000 a", "1000 b"])
    }

    @Test("S29: an output that state has passed becomes a dead letter after a restart")
    func passed() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "promises")
        defer { try? FileSystem.removeTree(directory) }
        let journal = Journal()
        for start in [Int64(0), 2] {
            let store = try await FileCheckpointStore.open("/state", on: medium)
            let harness = harness(
                policy: .continue, startTime: .seconds(start), checkpoints: store)
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                harness.input([[("a", 1)], [("a", 2)], [("a", 4)]], from: .seconds(1))
                    .updateStateByKey { values, sum in (sum ?? 0) + values.reduce(0, +) }
                    .foreachRDD { rdd, time in
                        let sums = try await rdd.collect()
                        if time == .seconds(1) { throw Boom() }
                        journal.note("\(time.milliseconds) \(sums)")
                    }
                return harness.ssc
            }
            try await harness.ssc.start()
            for _ in 0..<(start == 0 ? 2 : 1) { try await harness.advance() }
            let report = await harness.ssc.stop(graceful: true)
            #expect(report.pendingBatches == (start == 0 ? [.seconds(1)] : []))
        }
        #expect(journal.all == ["2000 [(\"a\", 3)]", "3000 [(\"a\", 7)]"])
        let store = FileDeadLetterStore("/letters", on: medium)
        let entry = try #require(try await store.list().entries.first)
        guard case .inputs(let inputs) = try await store.read(entry.id).contents else {
            Issue.record("not the inputs")
            return
        }
        let pairs = try inputs.first?.elements?.decode(as: (String, Int).self)
        #expect(pairs?.map(\.1) == [1])
    }
}

/// Does something at each settled batch.
private final class SettledListener: StreamingListener {
    private let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }

    func onEvent(_ event: StreamEvent) {
        if case .batchSettled = event { body() }
    }
}
