import BatchEngine
import StreamingContext
import Synchronization

/// soak: windows, state with time-outs, log and checkpoints at a given rate for a given time.
///
/// Once a second memory, open files and the room taken on the disk are looked at. The first third of
/// the run warms up; ``Trend`` compares the second with the last. The run fails when something grew,
/// the rate was not held, or a record was not counted exactly once. With `leak-kb=` as much is held
/// on to in every batch, to see that the rule notices; `csv=` names a file for the samples. With
/// `cost-only=1` things may grow, as they do in the first seconds.
enum Soak {
    private final class BatchTimes: StreamingListener {
        let seen = Locked<[Double]>([])

        func onBatchCompleted(_ batch: BatchInfo) {
            guard let delay = batch.processingDelay else { return }
            seen.withLock { $0.append(delay / .milliseconds(1)) }
        }
    }

    static func run(_ arguments: Arguments) async throws {
        let seconds = try arguments.number("seconds", default: 600)
        let rate = try arguments.number("rate", default: 100_000)
        let folder = try FileSystem.createTemporaryDirectory(prefix: "soak-")
        defer { try? FileSystem.removeTree(folder) }
        let ssc = try context(arguments, folder)
        let source = PacedSource(rate: Double(rate), keepsUp: true) { number in
            // Ten records a session, spread over what the next sessions send.
            ("session\(number / 10 + number * 7919 % 1000)", number)
        }
        let counted = Progress(Counted())
        let leak = try arguments.number("leak-kb", default: 0)
        declare(ssc.receiverStream(source, protection: .writeAheadLog), counted, leak)
        let times = BatchTimes()
        ssc.addStreamingListener(times)
        try await ssc.start()
        let watch = Stopwatch()
        var samples = Samples()
        for _ in 0..<seconds {
            try await Task.sleep(for: .seconds(1))
            try samples.take(folder)
        }
        await source.finish()
        let cpu = watch.cpuSeconds
        await ssc.stop(graceful: true)
        var faults = samples.faults + Trend(times.seen.withLock { $0 }, .batchTime).faults
        if arguments.has("cost-only") { faults = [] }
        faults += counted.seen.faults(sent: source.sent, expected: rate * seconds)
        printResult([
            "seconds": seconds, "rate": rate, "records": source.sent, "cpu_s": cpu,
            "cpu_s_per_mrec": cpu / Double(source.sent) * 1e6,
            "memory_mb": Trend(samples.memory, .memory).text,
            "batch_ms": Trend(times.seen.withLock { $0 }, .batchTime).text,
            "open_files": Trend(samples.files, .openFiles).text,
            "disk_mb": Trend(samples.disk, .disk).text,
            "checksum": String(counted.seen.sum), "flat": faults.isEmpty,
        ])
        if arguments.has("csv") { try samples.write(to: try arguments.text("csv")) }
        if !faults.isEmpty { throw BenchError(faults.joined(separator: "; ")) }
    }

    private static func context(
        _ arguments: Arguments, _ folder: String
    ) throws -> StreamingContext {
        var configuration = StreamingContext.Configuration()
        // Short, so that files of the log come and go often.
        configuration.receiverWriteAheadLog.rollingInterval = .seconds(2)
        configuration.driverWriteAheadLog.rollingInterval = .seconds(2)
        configuration.gracefulStopTimeout = .seconds(60)
        let ssc = StreamingContext(
            appName: "soak",
            batchInterval: .milliseconds(try arguments.number("batch-ms", default: 200)),
            engine: .local(slots: try arguments.number("slots", default: 2)),
            configuration: configuration)
        ssc.checkpoint(folder)
        return ssc
    }

    /// What is put out: each record once by its session's state, and the sessions of two seconds.
    private static func declare(
        _ records: DStream<(String, Int)>, _ counted: Progress<Counted>, _ leak: Int
    ) {
        records
            .mapWithState(
                StateSpec.function { (_: String, number: Int?, count: State<Int>) in
                    guard let number else { return -1 }
                    try count.update((count.getOption() ?? 0) + 1)
                    return number
                }
                .timeout(.seconds(2))
            )
            .foreachRDD { rdd in
                let numbers = try await rdd.filter { $0 >= 0 }.collect()
                counted.change { $0.add(numbers, leak: leak) }
            }
        records.map { ($0.0, 1) }
            .reduceByKeyAndWindow(+, inverse: -, window: .seconds(2), filter: { $0.1 > 0 })
            .foreachRDD { rdd in
                let most = try await rdd.top(1) { $0.1 < $1.1 }
                counted.change { $0.longest = max($0.longest, most.first?.1 ?? 0) }
            }
    }

    /// What came out so far.
    private struct Counted {
        var records = 0
        var sum = 0
        var longest = 0
        var held: [[UInt8]] = []

        mutating func add(_ numbers: [Int], leak: Int) {
            records += numbers.count
            sum += numbers.reduce(0, +)
            if leak > 0 { held.append([UInt8](repeating: 1, count: leak << 10)) }
        }

        func faults(sent: Int, expected: Int) -> [String] {
            var faults: [String] = []
            if records != sent || sum != sent * (sent - 1) / 2 {
                faults.append("\(sent) records were sent, \(records) counted, their sum \(sum)")
            }
            if sent < expected / 100 * 95 {
                faults.append("the rate was not held: \(sent) of \(expected) records were sent")
            }
            if longest == 0 { faults.append("the window was always empty") }
            return faults
        }
    }

    /// What the program used, second by second.
    private struct Samples {
        var memory: [Double] = []
        var files: [Double] = []
        var disk: [Double] = []

        mutating func take(_ folder: String) throws {
            memory.append(Double(ResourceUsage.residentBytes() ?? 0) / 1_048_576)
            files.append(Double(try FileSystem.list("/dev/fd").count))
            disk.append(Double(Self.bytes(folder)) / 1_048_576)
        }

        var faults: [String] {
            Trend(memory, .memory).faults + Trend(files, .openFiles).faults
                + Trend(disk, .disk).faults
        }

        func write(to path: String) throws {
            let lines = memory.indices.map { "\($0 + 1),\(memory[$0]),\(files[$0]),\(disk[$0])" }
            let text = (["second,memory_mb,open_files,disk_mb"] + lines).joined(separator: "\n")
            try FileSystem.writeAtomically(path, Array(text.utf8), durability: .handedOver)
        }

        /// Files may vanish while one looks.
        private static func bytes(_ path: String) -> Int {
            guard let status = try? FileSystem.status(path) else { return 0 }
            guard status.isDirectory else { return status.byteCount }
            let names = (try? FileSystem.list(path)) ?? []
            return names.reduce(0) { $0 + bytes("\(path)/\($1)") }
        }
    }
}
