import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

private func systemClose(_ number: Int32) -> Int32 { close(number) }

/// Programs that are told to end; each in a process of its own, as signals are for all of it.
@Suite("Signals", .timeLimit(.minutes(5)))
struct SignalStopTests {
    /// Ends the process well if a pipeline is drained after `signal`.
    private static func drain(after signal: Int32) async throws {
        let harness = StreamHarness()
        let feed = Feed<Int>()
        let seen = harness.record(harness.ssc.receiverStream(feed))
        async let ended = harness.ssc.runUntilInterrupted()
        try await feed.store(block: [1, 2, 3])
        kill(getpid(), signal)
        let report = try await ended
        guard report.isDrained, seen.batches.flatMap(\.elements) == [1, 2, 3] else { exit(3) }
        exit(0)
    }

    @Test("SIGINT drains")
    func interrupt() async {
        await #expect(processExitsWith: .success) { try await Self.drain(after: SIGINT) }
    }

    @Test("SIGTERM drains")
    func terminate() async {
        await #expect(processExitsWith: .success) { try await Self.drain(after: SIGTERM) }
    }

    @Test("what fails ends the program with its error")
    func failure() async {
        await #expect(processExitsWith: .success) {
            let harness = StreamHarness()
            harness.input([[1]]).foreachRDD { _ in throw Boom() }
            let ended = Task { try await harness.ssc.runUntilInterrupted() }
            try await harness.listener.first(\.isStreamingStarted)
            // Not until the batch is settled: the failure may end the run before.
            harness.clock.advance(by: .seconds(1))
            do { _ = try await ended.value } catch let error as StreamError {
                exit(error.code == .outputFailed && harness.ssc.state == .stopped ? 0 : 4)
            }
            exit(5)
        }
    }

    @Test("a failed batch under .continue does not end the program")
    func continues() async {
        await #expect(processExitsWith: .success) {
            var configuration = StreamingContext.Configuration()
            configuration.failurePolicy = .continue
            configuration.maxTaskFailures = 1
            let harness = StreamHarness(configuration: configuration)
            let seen = Notes<Int>()
            harness.input([[1], [2]]).foreachRDD { rdd, time in
                if time == .seconds(1) { throw Boom() }
                for number in try await rdd.collect() { seen.add(number) }
            }
            let ended = Task { try await harness.ssc.runUntilInterrupted() }
            try await harness.listener.first(\.isStreamingStarted)
            try await harness.advanceAndSettle()
            try await harness.advanceAndSettle()
            do {
                try await harness.ssc.awaitTermination()
                exit(3)
            } catch {}
            kill(getpid(), SIGTERM)
            let report = try await ended.value
            guard report.failedBatches == [.seconds(1)], seen.all == [2] else { exit(4) }
            guard harness.errors.count == 1, "\(report)".contains("1 of them have failed: 1000 ms")
            else { exit(5) }
            exit(0)
        }
    }

    /// Makes a descriptor of this process one that nobody reads.
    private static func close(_ number: Int32) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0, dup2(ends[1], number) == number else { exit(6) }
        for end in ends { _ = systemClose(end) }
    }

    @Test("a standard output that closes is reported once, and the stream continues")
    func closedOutput() async {
        await #expect(processExitsWith: .success) {
            Self.close(STDOUT_FILENO)
            let notes = Notes<String>()
            var components = StreamingContext.Components()
            components.logger = NotingLogger(notes: notes)
            let harness = StreamHarness(
                components: components, standardOutput: components.standardOutput)
            harness.input([[1], [2], [3]]).print()
            try await harness.run(batches: 3)
            print("what a program prints itself is dropped as well")
            let isReported =
                notes.all.count == 1 && notes.all[0].contains("the standard output takes nothing")
            let count = harness.listener.events.compactMap(\.completedBatch).count
            exit(isReported && count == 3 && harness.errors.isEmpty ? 0 : 4)
        }
    }

    @Test("a standard error that closes ends no program that logs")
    func closedError() async {
        await #expect(processExitsWith: .success) {
            Self.close(STDERR_FILENO)
            var components = StreamHarness.quietComponents
            components.logger = StandardErrorDiagnosticLogger()
            let harness = StreamHarness(components: components)
            harness.input([[1]]).foreachRDD { _ in throw Boom() }
            try? await harness.run(batches: 1)
            exit(harness.errors.count == 1 ? 0 : 4)
        }
    }

    @Test("a second signal has its usual effect")
    func second() async {
        await #expect(processExitsWith: .signal(SIGINT)) {
            let harness = StreamHarness()
            let (isRunning, never) = (TestGate(), TestGate())
            harness.input([[1]]).foreachRDD { _ in
                isRunning.open()
                try await never.wait()
            }
            let ended = Task { try await harness.ssc.runUntilInterrupted() }
            try await harness.listener.first(\.isStreamingStarted)
            harness.clock.advance(by: .seconds(1))
            try await isRunning.wait()
            kill(getpid(), SIGINT)
            // It drains now: next batch and deadline are slept for.
            await harness.clock.waitForSleepers(count: 2)
            kill(getpid(), SIGINT)
            _ = try await ended.value
        }
    }
}
