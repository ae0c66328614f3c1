import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What cannot work is refused with its place; nothing traps.
@Suite("Misuse of a context", .timeLimit(.minutes(5)))
struct MisuseTests {
    private func startError(_ ssc: StreamingContext) async -> StreamError? {
        await #expect(throws: StreamError.self) { try await ssc.start() }
    }

    @Test(
        "start() throws all bad declarations together, with their places", .timeLimit(.minutes(5)))
    func gathered() async throws {
        var configuration = StreamingContext.Configuration()
        configuration.concurrentJobs = 0
        let harness = StreamHarness(configuration: configuration)
        let ssc = harness.ssc
        let line: UInt = #line
        _ = ssc.socketTextStream("localhost", port: 0)
        _ = ssc.socketTextStream("localhost", port: 9999, maxLineBytes: 0)
        let input = harness.input([[1]])
        _ = input.window(.milliseconds(1500))
        _ = input.window(.seconds(2), slide: .milliseconds(-1))
        _ = ssc.union([DStream<Int>]())
        ssc.remember(.seconds(1))
        ssc.remember(.seconds(2))
        let error = await startError(ssc)
        #expect(error?.code == .declarations)
        let parts = try #require(error?.parts)
        let places = parts.compactMap { part in part.site.map { "\($0.name)+\($0.line - line)" } }
        #expect(
            places == [
                "socketTextStream+1", "socketTextStream+2", "window+4", "window+5", "union+6",
                "remember+8",
            ])
        for part in parts where part.site != nil {
            #expect(part.site?.file.hasSuffix("StreamingContextTests/MisuseTests.swift") == true)
        }
        let codes = parts.map(\.code)
        #expect(codes.contains(.badConfiguration) && codes.contains(.noOutput))
        let text = "\(try #require(error))"
        #expect(text.contains("port 0") && text.contains("concurrentJobs is 0"))
        #expect(ssc.state == .stopped)
        #expect(harness.listener.events.isEmpty)
        harness.clock.finish()
    }

    @Test(
        "a batch interval that cannot work is refused", .timeLimit(.minutes(5)),
        arguments: [.zero, .milliseconds(-5), .microseconds(1500)] as [Duration])
    func batchInterval(_ interval: Duration) async throws {
        let ssc = StreamingContext(appName: "misuse", batchInterval: interval)
        ssc.inputStream { _, context in context.batch.parallelize([1]) }.print()
        let error = await startError(ssc)
        #expect(error?.code == .badInterval)
        #expect(
            error?.parts.isEmpty == true, "one fault, one error: \(error.map { "\($0)" } ?? "")")
    }

    @Test("numbers that cannot be are refused with their place", .timeLimit(.minutes(5)))
    func numbers() async throws {
        var configuration = StreamingContext.Configuration()
        configuration.driverWriteAheadLog.rollingInterval = .seconds(-1)
        configuration.receiverWriteAheadLog.rollingInterval = .zero
        let harness = StreamHarness(configuration: configuration)
        harness.ssc.remember(.milliseconds(-1))
        harness.input([[("a", 1)]]).remember(.seconds(-2))
            .join(harness.input([[("a", 2)]]), partitioner: HashPartitioner(partitionCount: 0))
            .print()
        let error = await startError(harness.ssc)
        let parts = try #require(error?.parts)
        #expect(
            parts.map { $0.site?.name ?? "\($0.code)" }.sorted()
                == ["badConfiguration", "join", "remember", "remember"])
        #expect("\(parts)".contains("driverWriteAheadLog.rollingInterval is -1.0 seconds"))
    }

    @Test("nothing to run is refused", .timeLimit(.minutes(5)))
    func noOutput() async throws {
        let harness = StreamHarness()
        #expect(await startError(harness.ssc)?.code == .noOutput)
    }

    @Test("a failed start is final, and waiters hear of it", .timeLimit(.minutes(5)))
    func failedStart() async throws {
        let harness = StreamHarness()
        let waiting = Task { try await harness.ssc.awaitTermination() }
        #expect(await startError(harness.ssc)?.code == .noOutput)
        let error = await #expect(throws: StreamError.self) { try await waiting.value }
        #expect(error?.code == .noOutput)
        #expect(await startError(harness.ssc)?.code == .alreadyStopped)
        #expect(harness.ssc.state == .stopped)
    }

    @Test(
        "a declaration after start changes nothing, and awaitTermination throws it",
        .timeLimit(.minutes(5)))
    func lateDeclarations() async throws {
        let harness = StreamHarness()
        let input = harness.input([[1], [2]])
        let seen = harness.record(input)
        try await harness.ssc.start()
        let late = Notes<Int>()
        let line: UInt = #line
        input.map { $0 + 1 }.foreachRDD { _ in late.add(0) }
        harness.ssc.remember(.seconds(10))
        input.persist()
        harness.ssc.checkpoint("/nowhere/to/be/found")
        input.named("late").remember(.seconds(9))
        _ = harness.ssc.socketTextStream("localhost", port: 9999)
        let error = await #expect(throws: StreamError.self) {
            try await harness.ssc.awaitTermination()
        }
        #expect(error?.code == .alreadyStarted)
        #expect(error?.site?.name == "map" && error?.site?.line == line + 1)
        #expect(
            harness.errors.compactMap(\.site?.name) == [
                "map", "foreachRDD", "remember", "persist", "checkpoint", "named", "remember",
                "socketTextStream",
            ])
        #expect(harness.ssc.state == .active)
        harness.clock.advance(by: .seconds(1))
        try await harness.listener.batchSettled(.seconds(1))
        await harness.ssc.stop()
        #expect(seen.batches.map(\.elements) == [[1]])
        #expect(late.all.isEmpty)
        #expect(harness.listener.events.allSatisfy { !$0.isReceiverStarted })
    }

    @Test("a declaration after stop, likewise", .timeLimit(.minutes(5)))
    func afterStop() async throws {
        let harness = StreamHarness()
        let input = harness.input([[1]])
        await harness.ssc.stop()
        try await harness.ssc.awaitTermination()
        input.print()
        let error = await #expect(throws: StreamError.self) {
            try await harness.ssc.awaitTermination()
        }
        #expect(error?.code == .alreadyStopped && error?.site?.name == "print")
    }

    @Test("streams of two contexts cannot be united", .timeLimit(.minutes(5)))
    func twoContexts() async throws {
        let (harness, other) = (StreamHarness(), StreamHarness())
        harness.ssc.union([harness.input([[1]]), other.input([[2]])]).print()
        #expect(await startError(harness.ssc)?.code == .contextMismatch)
    }

    @Test("a level that needs bytes needs a codec", .timeLimit(.minutes(5)))
    func codecMissing() async throws {
        struct Opaque {}
        let harness = StreamHarness()
        let line: UInt = #line + 1
        harness.ssc.receiverStream(Feed<Opaque>(storageLevel: .memoryOnlySerialized)).print()
        let error = await startError(harness.ssc)
        #expect(error?.code == .codecMissing)
        #expect(error?.site?.name == "receiverStream" && error?.site?.line == line)
        #expect(error?.message.contains("Opaque") == true)
        #expect(error?.message.contains("StreamCodable") == true)
    }

    @Test("settings that cannot work are refused by start()", .timeLimit(.minutes(5)))
    func settings() async throws {
        typealias Change = @Sendable (inout StreamingContext.Configuration) -> Void
        let changes: [(String, Change)] = [
            ("maxTaskFailures is 0", { $0.maxTaskFailures = 0 }),
            ("defaultParallelism is -1", { $0.defaultParallelism = -1 }),
            ("defaultParallelism is \(Int.max)", { $0.defaultParallelism = .max }),
            ("maxQueuedBatches is 0", { $0.maxQueuedBatches = 0 }),
            ("gracefulStopTimeout is", { $0.gracefulStopTimeout = .zero }),
            ("checkpointSpacing is", { $0.checkpointSpacing = .milliseconds(-1) }),
            ("blockInterval", { $0.blockInterval = .zero }),
            ("blockInterval", { $0.blockInterval = .microseconds(1) }),
            ("restartDelay", { $0.receiver.restartDelay = .seconds(-1) }),
            ("blockQueueSize", { $0.receiver.blockQueueSize = 0 }),
            ("receivedBytesLimit", { $0.receiver.receivedBytesLimit = 0 }),
            ("integral weight", { $0.backpressure.pid.integral = -1 }),
            ("minimum rate", { $0.backpressure.pid.minimumRate = .nan }),
            ("proportional weight", { $0.backpressure.pid.proportional = .nan }),
            ("derivative weight", { $0.backpressure.pid.derivative = .infinity }),
            ("backpressure.initialRate is -5.0", { $0.backpressure.initialRate = -5 }),
            ("backpressure.initialRate is 0.0", { $0.backpressure.initialRate = 0 }),
            ("backpressure.initialRate is nan", { $0.backpressure.initialRate = .nan }),
            ("backpressure.initialRate is inf", { $0.backpressure.initialRate = .infinity }),
            ("rate.maximumRate -5", { $0.receiver.rate.maximumRate = -5 }),
            ("rate.maximumRate 0", { $0.receiver.rate.maximumRate = 0 }),
            ("rate.initialRate -1", { $0.receiver.rate = .init(initialRate: -1) }),
            ("rate.burst", { $0.receiver.rate.burst = .milliseconds(-1) }),
            ("rawMaxBlockSizeBytes", { $0.receiver.rawMaxBlockSizeBytes = 0 }),
            ("maxReceiverThreads 0", { $0.receiver.maxReceiverThreads = 0 }),
        ]
        for (text, change) in changes {
            var configuration = StreamingContext.Configuration()
            change(&configuration)
            let harness = StreamHarness(configuration: configuration)
            _ = harness.record(harness.input([[1]]))
            let error = await startError(harness.ssc)
            #expect(error?.code == .badConfiguration, "\(text)")
            #expect(error?.message.contains(text) == true, "\(text): \(error?.message ?? "")")
        }
    }

    @Test("no number below zero traps: start() refuses it by name", .timeLimit(.minutes(5)))
    func belowZero() async throws {
        typealias Configuration = StreamingContext.Configuration
        let numbers: [(String, WritableKeyPath<Configuration, Int>)] = [
            ("maxTaskFailures", \.maxTaskFailures), ("concurrentJobs", \.concurrentJobs),
            ("maxQueuedBatches", \.maxQueuedBatches),
            ("receiverWriteAheadLog", \.receiverWriteAheadLog.maxFailures),
            ("driverWriteAheadLog", \.driverWriteAheadLog.maxFailures),
            ("blockQueueSize", \.receiver.blockQueueSize),
            ("blockQueueBytes", \.receiver.blockQueueBytes),
            ("maxBlockBytes", \.receiver.maxBlockBytes),
            ("maxBlockRecords", \.receiver.maxBlockRecords),
            ("receivedBytesLimit", \.receiver.receivedBytesLimit),
            ("maxReceiverThreads", \.receiver.maxReceiverThreads),
            ("rawMaxBlockSizeBytes", \.receiver.rawMaxBlockSizeBytes),
        ]
        var changes = [-1, .min].flatMap { value in
            numbers.map { (name, path) in
                (
                    name,
                    { (configuration: inout Configuration) in configuration[keyPath: path] = value }
                )
            }
        }
        for value in [.seconds(-1), .nanoseconds(Int64.min)] as [Duration] {
            changes += [
                ("gracefulStopTimeout", { $0.gracefulStopTimeout = value }),
                ("fileStreamMinimumRemember", { $0.fileStreamMinimumRemember = value }),
                ("checkpointSpacing", { $0.checkpointSpacing = value }),
                ("blockInterval", { $0.blockInterval = value }),
                ("rollingInterval", { $0.driverWriteAheadLog.rollingInterval = value }),
                ("restartDelay", { $0.receiver.restartDelay = value }),
                ("rate.burst", { $0.receiver.rate.burst = value }),
            ]
        }
        changes += [-1, .min].map { value in
            ("defaultParallelism", { $0.defaultParallelism = value })
        }
        for (name, change) in changes {
            var configuration = Configuration()
            change(&configuration)
            // With a receiver and without.
            for hasReceiver in [true, false] {
                let harness = StreamHarness(configuration: configuration)
                _ = harness.record(
                    hasReceiver ? harness.ssc.receiverStream(Feed<Int>()) : harness.input([[1]]))
                let error = await startError(harness.ssc)
                #expect(error?.code == .badConfiguration, "\(name)")
                #expect(error?.message.contains(name) == true, "\(name): \(error?.message ?? "")")
            }
        }
    }

    @Test("receivers and engines that cannot work are refused by start()", .timeLimit(.minutes(5)))
    func parts() async throws {
        let receivers: [(String, @Sendable (StreamingContext) -> DStream<String>)] = [
            (
                "RawSocketReceiver: maxBlockSizeBytes is -1",
                { $0.receiverStream(RawSocketReceiver(host: "", port: 1, maxBlockSizeBytes: -1)) }
            ),
            (
                "SocketReceiver: maxLineBytes is 0",
                { $0.receiverStream(SocketReceiver(host: "", port: 1, maxLineBytes: 0)) }
            ),
            (
                "SocketReceiver: port is 70000",
                { $0.receiverStream(SocketReceiver(host: "", port: 70_000)) }
            ),
            (
                "RawSocketReceiver: connectTimeout is",
                { $0.receiverStream(RawSocketReceiver(host: "", port: 1, connectTimeout: .zero)) }
            ),
        ]
        for (text, declare) in receivers {
            let harness = StreamHarness()
            _ = harness.record(declare(harness.ssc))
            let error = await startError(harness.ssc)
            #expect(error?.code == .badDeclaration && error?.site?.name == "receiverStream")
            #expect(error?.message.contains(text) == true, "\(text): \(error?.message ?? "")")
        }
        let engines: [(String, StreamingContext.EngineSelection)] = [
            ("slots: 0", .local(slots: 0)), ("workers is 0", .processes(workers: 0)),
            ("taskLimit is", .processes(workers: 1, taskLimit: .zero)),
        ]
        for (text, engine) in engines {
            let harness = StreamHarness(engine: engine)
            _ = harness.record(harness.input([[1]]))
            let error = await #expect(throws: (any Error).self) { try await harness.ssc.start() }
            #expect(error.map { "\($0)" }?.contains(text) == true, "\(text): \(error as Any)")
        }
    }

    @Test("the checkpoint directory is looked at when it is set", .timeLimit(.minutes(5)))
    func checkpointDirectory() async throws {
        let base = try FileSystem.createTemporaryDirectory(prefix: "dstreams")
        try FileSystem.writeAtomically(base + "/file", [1], durability: .handedOver)
        let harness = StreamHarness()
        _ = harness.record(harness.input([[1]]))
        harness.ssc.checkpoint(base + "/file/below")
        let error = await startError(harness.ssc)
        #expect(error?.code == .checkpointUnwritable && error?.site?.name == "checkpoint")
        #expect(error?.message.contains(base + "/file: ") == true)
        #expect(error?.message.hasSuffix("name one, which is created when missing") == true)
        let unnamed = await #expect(throws: StreamError.self) {
            try await StreamingContext.getOrCreate(checkpointDirectory: "") { StreamHarness().ssc }
        }
        #expect(unnamed?.message.contains("is empty; name one") == true)

        let logger = LineLogger()
        var components = StreamingContext.Components()
        components.logger = logger
        var configuration = StreamingContext.Configuration()
        configuration.checkpointDirectory = base + "/made/below"
        let working = StreamHarness(configuration: configuration, components: components)
        working.ssc.checkpoint(base + "/made")
        _ = working.record(working.input([[1]]))
        try await working.run(batches: 2)
        #expect(working.errors.isEmpty)
        #expect(logger.lines.all.isEmpty)
        #expect(try FileSystem.list(base + "/made/below") == [], "the probe is gone")
        let again = StreamHarness()
        again.ssc.checkpoint(base + "/made")
        _ = again.record(again.input([[1]]))
        let refusal = await startError(again.ssc)
        #expect(refusal?.code == .checkpointUnwritable)
        #expect(refusal?.message.contains("getOrCreate") == true)
        try FileSystem.removeTree(base)
    }

    @Test("a link in place of the checkpoint directory's probe is not followed")
    func probeLink() async throws {
        let base = try FileSystem.createTemporaryDirectory(prefix: "dstreams")
        defer { try? FileSystem.removeTree(base) }
        try FileSystem.createDirectory(base + "/checkpoints")
        #expect(symlink(base + "/target", base + "/checkpoints/.probe") == 0)
        let harness = StreamHarness()
        harness.ssc.checkpoint(base + "/checkpoints")
        _ = harness.record(harness.input([[1]]))
        try await harness.run(batches: 1)
        #expect(harness.errors.isEmpty)
        #expect(try FileSystem.list(base) == ["checkpoints"])
        #expect(!FileSystem.isLink(base + "/checkpoints/.probe"))
    }

    @Test("deadlines of zero and below end a stop at once", .timeLimit(.minutes(5)))
    func deadlines() async throws {
        for deadline in [.zero, .seconds(-1)] as [Duration] {
            let harness = StreamHarness()
            _ = harness.record(harness.input([[1]]))
            try await harness.ssc.start()
            await harness.ssc.stop(graceful: true, deadline: deadline)
            #expect(harness.ssc.state == .stopped)
        }
    }
}

/// A logger that keeps its messages.
final class LineLogger: DiagnosticLogger {
    let lines = Notes<String>()

    func log(
        level: DiagnosticLevel, _ message: @autoclosure () -> String, metadata: [String: String]
    ) {
        lines.add("[\(level)] \(message())")
    }
}
