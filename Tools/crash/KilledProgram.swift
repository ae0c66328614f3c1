import BatchEngine
import Foundation
import StreamingContext

/// The program under test: counts in windows and in states, with everything written to files.
struct KilledProgram {
    static let batchMilliseconds = 50
    /// Batches in a window.
    static let windowBatches = 4

    let directory: String
    let port: Int

    func run() async throws {
        // Whatever becomes of the driver, this ends.
        alarm(330)
        let ssc = try await StreamingContext.getOrCreate(
            checkpointDirectory: directory + "/checkpoint", create: makeContext)
        let report = try await ssc.runUntilInterrupted()
        if !report.isDrained { throw NotDrained(report: report) }
    }

    private struct NotDrained: Error {
        let report: StreamingContext.StopReport
    }

    private func makeContext() -> StreamingContext {
        var configuration = StreamingContext.Configuration()
        configuration.receiverWriteAheadLog.isEnabled = true
        configuration.receiver.restartDelay = .milliseconds(50)
        configuration.gracefulStopTimeout = .seconds(60)
        let ssc = StreamingContext(
            appName: "crash", batchInterval: .milliseconds(Self.batchMilliseconds),
            configuration: configuration)
        let records = ssc.receiverStream(
            NumberedReceiver(port: port), protection: .writeAheadLog)
        let ones = records.map { (String($0.split(separator: " ").last ?? ""), 1) }
        let window = Duration.milliseconds(Self.batchMilliseconds * Self.windowBatches)
        save(records, as: "raw") { $0 }
        save(ones.reduceByKeyAndWindow(+, window: window), as: "window") { "\($0.0) \($0.1)" }
        let inverse = ones.reduceByKeyAndWindow(+, inverse: { $0 - $1 }, window: window)
        save(inverse, as: "inverse") { "\($0.0) \($0.1)" }
        let counts = ones.mapWithState(
            .function { (word: String, one: Int?, state: State<Int>) in
                let sum = (one ?? 0) + (state.getOption() ?? 0)
                try state.update(sum)
                return "\(word) \(sum)"
            })
        save(counts.map { $0 }, as: "counted") { $0 }
        save(counts.stateSnapshots(), as: "states") { "\($0.0) \($0.1)" }
        return ssc
    }

    /// Writes each batch into a file; a batch that runs again must give what it gave before.
    private func save<Element>(
        _ stream: DStream<Element>, as name: String, _ text: @escaping @Sendable (Element) -> String
    ) {
        let directory = directory
        stream.foreachRDD { rdd, time in
            let lines = try await rdd.collect().map(text).sorted()
            let bytes = Array(lines.map { $0 + "\n" }.joined().utf8)
            let folder = "\(directory)/out-\(name)"
            let path = "\(folder)/\(time.milliseconds)"
            try FileSystem.createDirectory(folder)
            if FileSystem.exists(path) {
                if try FileSystem.readAll(path) == bytes { return }
                let line = "\(name) \(time.milliseconds)\n"
                try FileSystem.append(
                    directory + "/mismatches", Array(line.utf8), durability: .handedOver)
                // What came out the second time is kept as well.
                try FileSystem.writeAtomically(path + ".again", bytes, durability: .handedOver)
                return
            }
            try FileSystem.writeAtomically(path, bytes, durability: .handedOver)
        }
    }
}

/// Reads `N word` lines, and sends `ack N` when they are stored.
struct NumberedReceiver: Receiver {
    static let blockSize = 7
    let port: Int

    func run(_ output: ReceiverOutput<String>) async throws {
        let connection = try await TCPConnection.connect(host: "127.0.0.1", port: port)
        defer { connection.close() }
        var lines = LineReader(connection)
        while let some = try await lines.next() {
            for start in stride(from: 0, to: some.count, by: Self.blockSize) {
                let block = Array(some[start..<min(some.count, start + Self.blockSize)])
                guard let number = block.last?.split(separator: " ").first else { continue }
                try await output.store(block: block)
                try await connection.writeAll(Array("ack \(number)\n".utf8))
            }
        }
    }
}

/// The lines that come over a connection, as many at a time as are there.
struct LineReader {
    private let connection: TCPConnection
    private var rest: [UInt8] = []

    init(_ connection: TCPConnection) { self.connection = connection }

    /// nil: the peer has ended.
    mutating func next() async throws -> [String]? {
        while let bytes = try await connection.read() {
            rest += bytes
            guard let end = rest.lastIndex(of: 10) else { continue }
            let whole = rest[..<end].split(separator: 10)
            rest.removeSubrange(...end)
            return whole.map { String(decoding: $0, as: UTF8.self) }
        }
        return nil
    }
}
