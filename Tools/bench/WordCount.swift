import BatchEngine
import StreamingContext

/// w1a: the engine alone; lines in memory, 100,000 a batch.
///
/// With `naive=1` words are what `split(separator:)` gives, as a user writes who has not found
/// `words()`.
struct WordCountFromMemory: StreamingApplication {
    private static let queue = RDDQueue<String>()
    private static let tally = Tally()

    static func makeContext() throws -> StreamingContext {
        StreamingContext(
            appName: "w1a", batchInterval: .milliseconds(10), engine: try Arguments.given.engine)
    }

    static func build(_ ssc: StreamingContext) {
        words(ssc.queueStream(queue), isNaive: Arguments.given.has("naive"))
            .map { ($0, 1) }
            .reduceByKey(+)
            .foreachRDD { rdd in
                let before = tally.sums.words
                try await rdd.foreachPartition { partition, _ in tally.add(partition) }
                if tally.sums.words > before { tally.endBatch() }
            }
    }

    static func run(_ arguments: Arguments) async throws {
        let lines = try arguments.number("lines")
        let warm = try arguments.number("warm", default: 1)
        let passes = try arguments.number("passes", default: 2)
        let perBatch = try arguments.number("batch-lines", default: 100_000)
        let ssc = try await context()
        let batches = try load(arguments.text("file"), lines, perBatch).map {
            ssc.batchContext.parallelize($0)
        }
        try await ssc.start()
        func pass(_ count: Int) async {
            for _ in 0..<count { for batch in batches { queue.append(batch) } }
            await tally.reached(batches: count * batches.count)
        }
        await pass(warm)
        tally.reset()
        let watch = Stopwatch(ssc)
        await pass(passes)
        let cpu = watch.cpuSeconds
        let sums = tally.sums
        let seconds = (sums.lastOutput - watch.startWall) / .seconds(1)
        await ssc.stop()
        let records = lines * passes
        printResult([
            "records": records, "seconds": seconds, "records_per_s": Double(records) / seconds,
            "cpu_s": cpu, "checksum": String(sums.checksum),
        ])
    }

    private static func words(_ lines: DStream<String>, isNaive: Bool) -> DStream<String> {
        isNaive
            ? lines.flatMap { $0.split(separator: " ").map { String($0) } }
            : lines.flatMap { $0.words() }
    }

    /// The first lines of a file, cut into batches.
    static func load(_ path: String, _ count: Int, _ perBatch: Int) throws -> [[String]] {
        let file = try OpenFile(path, .read)
        var splitter = LineSplitter()
        var batches: [[String]] = [[]]
        var offset = 0
        var taken = 0
        while taken < count {
            let bytes = try file.read(at: offset, count: 1 << 20)
            if bytes.isEmpty { throw BenchError("\(path) has only \(taken) lines") }
            offset += bytes.count
            splitter.append(bytes)
            splitter.cut()?.forEachLine { line in
                guard taken < count else { return }
                if batches[batches.count - 1].count == perBatch { batches.append([]) }
                batches[batches.count - 1].append(line)
                taken += 1
            }
        }
        return batches
    }
}

/// w1b: the same over TCP; w6: through the write-ahead log, with checkpoints, where there is a
/// directory for them.
enum WordCountFromTCP {
    static func run(_ arguments: Arguments) async throws {
        let warmWords = try arguments.number("warm-words")
        let totalWords = try arguments.number("total-words")
        let records = try arguments.number("records")
        let tally = Tally()
        let ssc = StreamingContext(
            appName: "word count",
            batchInterval: .milliseconds(try arguments.number("batch-ms", default: 200)),
            engine: .local(slots: try arguments.number("slots", default: 2)))
        let isLogged = arguments.has("ckpt")
        if isLogged { ssc.checkpoint(try arguments.text("ckpt")) }
        ssc.socketTextStream(
            "127.0.0.1", port: try arguments.number("port"),
            protection: isLogged ? .writeAheadLog : .ignore
        )
        .flatMap { $0.words() }
        .map { ($0, 1) }
        .reduceByKey(+)
        .foreachPartition { partition, _ in tally.add(partition) }
        try await ssc.start()
        await tally.reached(words: warmWords)
        let watch = Stopwatch()
        let warm = tally.sums
        try FileSystem.writeAtomically(
            try arguments.text("gate"), Array("go".utf8), durability: .handedOver)
        await tally.reached(words: totalWords)
        let cpu = watch.cpuSeconds
        let sums = tally.sums
        let start = try await senderStart(try arguments.text("sender-out"))
        await ssc.stop()
        let seconds = (sums.lastOutput - start) / .seconds(1)
        printResult([
            "records": records, "seconds": seconds, "records_per_s": Double(records) / seconds,
            "cpu_s": cpu, "checksum": String(sums.checksum &- warm.checksum),
            "lost_words": totalWords - sums.words,
        ])
    }

    /// When the sender began its timed part: its report appears when it has sent everything.
    static func senderStart(_ path: String) async throws -> Duration {
        for _ in 0..<3000 {
            if FileSystem.exists(path) {
                let text = String(decoding: try FileSystem.readAll(path), as: UTF8.self)
                if let key = text.firstRange(of: "\"t0_ns\":") {
                    let digits = text[key.upperBound...].prefix { $0.isNumber }
                    if let nanoseconds = Int64(digits) { return .nanoseconds(nanoseconds) }
                }
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw BenchError("\(path) did not appear within 30 s")
    }
}
