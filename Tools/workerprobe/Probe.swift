import BatchEngine
import DStreamCore
import DStreamTestKit
import ProcessEngine
import StreamingContext
import Synchronization

/// A program that runs one pipeline batch by batch, on threads or in worker processes, and prints
/// what came out: `workerprobe PIPELINE key=value ...`.
struct Probe: StreamingApplication {
    static let clock = ManualClock(now: start)
    /// Opened when an output has seen the last number of a source.
    static let lastNumber = TestGate()
    static let listener = RecordingListener()
    static let outputs = Locked<[String]>([])
    static let engine = Locked<ProcessEngine?>(nil)
    static let settings = Settings(CommandLine.arguments.dropFirst())

    /// Where the run goes on; zero in the first one.
    static var start: BatchTime {
        BatchTime(milliseconds: Int64((try? settings.number("start", default: 0)) ?? 0))
    }

    static var checkpointDirectory: String? {
        settings.has("directory") ? settings.text("directory") : nil
    }

    static func makeContext() throws -> StreamingContext {
        var configuration = StreamingContext.Configuration()
        configuration.maxTaskFailures = try settings.number("failures", default: 4)
        configuration.failurePolicy = .continue
        var components = StreamingContext.Components()
        components.clock = settings.has("port") ? SystemStreamClock() : clock
        components.logger = SilentDiagnosticLogger()
        components.standardOutput = { text in outputs.withLock { $0.append(text) } }
        configuration.receiver.restartDelay = .zero
        // Batches of 20 ms fall behind on a busy machine, and a stop runs them all.
        configuration.gracefulStopTimeout = .seconds(100)
        if settings.has("killing-receiver") {
            let seed = try settings.number("killing-receiver", default: 1)
            components.makeReceivedBlockHandler = { id, level, codec in
                KillingHandler(seed: seed, streamID: id, level: level, codec: codec)
            }
        }
        let interval = Duration.milliseconds(settings.has("port") ? 20 : 1000)
        let ssc = StreamingContext(
            appName: "probe", batchInterval: interval, engine: try settings.engine,
            configuration: configuration, components: components)
        ssc.addStreamingListener(listener)
        if checkpointDirectory == nil { ssc.graph.setCheckpointDirectory(true) }
        return ssc
    }

    static func build(_ ssc: StreamingContext) throws {
        try Pipelines.build(settings.pipeline, on: ssc)
    }

    /// Runs the batches and prints what came out and what failed.
    static func run() async throws {
        let ssc = try await context()
        try await ssc.start()
        if settings.has("pids") { printWorkers() }
        if settings.has("port") {
            try await lastNumber.wait()
            await ssc.stop(graceful: true)
        } else {
            try await runBatches()
        }
        if settings.has("letters") { try await printLetters(ssc) }
        if settings.has("wait") { try await Task.sleep(for: .seconds(3600)) }
        let started = engine.withLock { $0 }?.workers.startCount ?? 0
        if !settings.has("crash") { await ssc.stop() }
        for line in outputs.withLock({ $0 }) { print(line) }
        for error in ssc.reportedErrors { print("ERROR \(error)") }
        if settings.has("kill") { print("STARTED \(started)") }
        for event in listener.events {
            switch event {
            case .stageRanInDriver(_, let name): print("DRIVER \(name)")
            case .receiverRestarting(let info, _): print("RESTART \(info.lastErrorMessage ?? "")")
            default: break
            }
        }
        if settings.has("crash") {
            ProcessOutput.flush()
            ChildProcess.leave(0)
        }
    }

    /// Runs a number of batches, and more until workers were started a number of times.
    static func runBatches() async throws {
        let batches = try settings.number("batches", default: 8)
        let starts = try settings.number("starts", default: 0)
        var batch = 0
        while batch < batches || (engine.withLock { $0 }?.workers.startCount ?? 0) < starts {
            batch += 1
            clock.advance(by: .seconds(1))
            try await listener.batchSettled(start + .seconds(batch))
        }
        if settings.has("starts") { outputs.withLock { $0.append("BATCHES \(batch)") } }
    }

    static func printLetters(_ ssc: StreamingContext) async throws {
        for letter in try await ssc.deadLetters().entries {
            print("LETTER \(letter.id.batchTime.milliseconds) \(letter.elementCount)")
        }
    }

    static func printWorkers() {
        let ids = engine.withLock { $0 }?.workers.ids ?? []
        ProcessOutput.writeStandardOutput(
            "WORKERS \(ids.map { "\($0)" }.joined(separator: " "))\n")
    }

    /// Notes what an output was given.
    static func record<Element: Sendable>(_ name: String, _ stream: DStream<Element>) {
        stream.foreachRDD { rdd, time in
            let elements = try await rdd.collect().map { "\($0)" }.sorted()
            outputs.withLock { $0.append("\(name) \(time.milliseconds) \(elements)") }
        }
    }
}

/// The arguments of the program.
struct Settings: Sendable {
    let pipeline: String
    private let values: [String: String]

    init(_ arguments: some Collection<String>) {
        pipeline = arguments.first ?? ""
        var values: [String: String] = [:]
        for argument in arguments.dropFirst() {
            let parts = argument.split(separator: "=", maxSplits: 1)
            values[String(parts[0])] = parts.count == 2 ? String(parts[1]) : ""
        }
        self.values = values
    }

    func has(_ key: String) -> Bool { values[key] != nil }

    func text(_ key: String) -> String { values[key] ?? "" }

    func number(_ key: String, default fallback: Int) throws -> Int {
        guard let text = values[key] else { return fallback }
        guard let number = Int(text) else { throw ProbeError("\(key)=\(text) is not a number") }
        return number
    }

    var engine: StreamingContext.EngineSelection {
        get throws {
            guard text("engine") == "processes" else { return .local(slots: 2) }
            var configuration = ProcessEngine.Configuration(
                workers: try number("workers", default: 2))
            if has("limit") {
                configuration.taskLimit = .milliseconds(try number("limit", default: 0))
            }
            configuration.isStrict = has("strict")
            let kill = try has("kill") ? number("kill", default: 1) : nil
            return .made { [configuration] in
                let engine = ProcessEngine(configuration)
                if let kill { engine.killing.withLock { $0 = { Self.delay(kill, $0) } } }
                Probe.engine.withLock { $0 = engine }
                return engine
            }
        }
    }

    /// One exchange in three is killed, up to three milliseconds after it began.
    private static func delay(_ seed: Int, _ exchange: Int) -> UInt32? {
        var hash = StableHasher()
        hash.combine(hash: UInt64(bitPattern: Int64(seed)))
        hash.combine(hash: UInt64(bitPattern: Int64(exchange)))
        let value = hash.finish()
        return value % 3 == 0 ? UInt32(value >> 8 & 0xfff) % 3000 : nil
    }
}

struct ProbeError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
