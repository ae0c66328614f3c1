import BatchEngine
import FaultTolerance
import Foundation
import StreamingContext

/// The program under test: counts in windows and in states, with everything written to files.
struct KilledProgram {
    static let batchMilliseconds = 100
    /// Batches in the window that is shorter than most runs, and in the one that is longer.
    static let (shortWindow, longWindow) = (4, 60)
    /// Batches without a word after which its state goes.
    static let idleBatches = 8

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
        // The logs let go of old blocks within a run: then only checkpoints have what came of them.
        configuration.receiverWriteAheadLog.rollingInterval = .milliseconds(500)
        configuration.driverWriteAheadLog.rollingInterval = .milliseconds(500)
        configuration.receiver.restartDelay = .milliseconds(50)
        configuration.gracefulStopTimeout = .seconds(240)
        let ssc = StreamingContext(
            appName: "crash", batchInterval: .milliseconds(Self.batchMilliseconds),
            configuration: configuration)
        let records = ssc.receiverStream(
            NumberedReceiver(port: port), protection: .writeAheadLog)
        declareOutputs(of: records)
        let ones = records.map { (String($0.split(separator: " ").last ?? ""), 1) }
        declareWindows(of: ones)
        declareStates(of: ones)
        return ssc
    }

    /// The records themselves: exactly once into files and a database, and at least once.
    private func declareOutputs(of records: DStream<String>) {
        let directory = directory
        records.foreachRDD { _, time in
            try FileSystem.append(
                directory + "/ran", Array("\(time.milliseconds)\n".utf8), durability: .handedOver)
        }
        records.write(to: FileSink(directory + "/sink-raw"))
        Database.write(records, in: directory)
        records.foreachRDD { rdd, time in
            let lines = try await rdd.collect()
            if lines.isEmpty { return }
            // A kill may cut the write before this one short: this one begins a line of its own.
            let text = "\n" + lines.joined(separator: "\n") + "\n"
            try FileSystem.append(
                directory + "/appended", Array(text.utf8), durability: .handedOver)
        }
        save(records, as: "raw") { $0 }
    }

    private func declareWindows(of ones: DStream<(String, Int)>) {
        let batch = Duration.milliseconds(Self.batchMilliseconds)
        for (name, count) in [("short", Self.shortWindow), ("long", Self.longWindow)] {
            let plain = ones.reduceByKeyAndWindow(+, window: batch * count)
            save(plain, as: name) { "\($0.0) \($0.1)" }
            let inverse = ones.reduceByKeyAndWindow(+, inverse: { $0 - $1 }, window: batch * count)
            save(inverse, as: "inverse-" + name) { "\($0.0) \($0.1)" }
        }
    }

    private func declareStates(of ones: DStream<(String, Int)>) {
        let counts = ones.mapWithState(
            .function { (word: String, one: Int?, state: State<Int>) in
                let sum = (one ?? 0) + (state.getOption() ?? 0)
                try state.update(sum)
                return "\(word) \(sum)"
            }
        ).named("counts")
        save(counts.map { $0 }, as: "counted") { $0 }
        counts.stateSnapshots().map { "\($0.0) \($0.1)" }
            .write(to: FileSink(directory + "/sink-states"))
        let totals = ones.updateStateByKey { values, total -> Int? in
            (total ?? 0) + values.reduce(0, +)
        }.named("totals")
        save(totals, as: "totals") { "\($0.0) \($0.1)" }
        let visits = ones.mapWithState(
            .function { (word: String, one: Int?, state: State<Int>) in
                let sum = state.getOption() ?? 0
                guard let one else { return "\(word) left \(sum)" }
                try state.update(sum + one)
                return "\(word) \(sum + one)"
            }.timeout(.milliseconds(Self.batchMilliseconds * Self.idleBatches))
        ).named("visits")
        save(visits.map { $0 }, as: "visits") { $0 }
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
