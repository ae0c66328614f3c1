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

/// Lines from a descriptor that other programs write to.
@Suite("Standard input")
struct StandardInputTests {
    @Test("lines of a pipe, and the last one without an end", .timeLimit(.minutes(5)))
    func pipeLines() async throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        let harness = StreamHarness()
        let site = OperatorSite("standardInputStream", file: #fileID, line: #line)
        let stream = harness.ssc.lineStream(
            descriptor: ends[0], storageLevel: .memoryOnly, maxLineBytes: 1 << 20,
            longLines: .truncate, site)
        let lines = harness.record(stream)
        try await harness.ssc.start()
        #expect(write(ends[1], "a b\r\nc", 6) == 6)
        close(ends[1])
        try await harness.advance { StreamHarness.recordCount($0) >= 2 }
        await harness.ssc.stop()
        close(ends[0])
        #expect(lines.batches.flatMap(\.elements) == ["a b", "c"])
        #expect(harness.errors.isEmpty)
    }

    @Test("where no thread can be started, the receiver fails in words", .timeLimit(.minutes(5)))
    func withoutThread() async throws {
        let thread = IOThread(name: "none") { name, _ throws(SystemError) in
            throw SystemError(
                call: "pthread_create", errno: EAGAIN, explanation: "no thread \(name)")
        }
        let harness = StreamHarness()
        let site = OperatorSite("standardInputStream", file: #fileID, line: #line)
        let stream = harness.ssc.lineStream(
            descriptor: 0, storageLevel: .memoryOnly, maxLineBytes: 1 << 20, longLines: .truncate,
            thread: thread, site)
        _ = harness.record(stream)
        try await harness.ssc.start()
        try await harness.listener.first(\.isReceiverRestarting)
        await harness.ssc.stop()
        let messages = harness.listener.events.compactMap { event in
            if case .receiverStopped(let info) = event { info.lastErrorMessage } else { nil }
        }
        #expect(messages.first?.contains("no thread none") == true, "\(messages)")
    }

    @Test("stopping does not wait for input", .timeLimit(.minutes(5)))
    func stopping() async throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        let harness = StreamHarness()
        let site = OperatorSite("standardInputStream", file: #fileID, line: #line)
        let stream = harness.ssc.lineStream(
            descriptor: ends[0], storageLevel: .memoryOnly, maxLineBytes: 1 << 20,
            longLines: .truncate, site)
        _ = harness.record(stream)
        try await harness.ssc.start()
        try await harness.listener.first { $0.isReceiverStarted }
        let report = await harness.ssc.stop()
        #expect(report.abandoned.isEmpty)
        close(ends[0])
        close(ends[1])
    }

    @Test("the configured write-ahead log is that of the standard input as well")
    func logged() async throws {
        var configuration = StreamingContext.Configuration()
        configuration.receiverWriteAheadLog.isEnabled = true
        for protection in [nil, .ignore] as [InputProtection?] {
            let harness = StreamHarness(configuration: configuration)
            _ = harness.record(
                harness.ssc.lineStream(
                    descriptor: open("/dev/null", O_RDONLY), storageLevel: .memoryOnly,
                    maxLineBytes: 100, longLines: .truncate, protection: protection,
                    OperatorSite("standardInputStream", file: #fileID, line: #line)))
            guard protection == nil else {
                try await harness.ssc.start()
                await harness.ssc.stop()
                continue
            }
            let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
            #expect(error?.code == .checkpointDirectoryMissing)
        }
    }
}
