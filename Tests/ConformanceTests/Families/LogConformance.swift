import DStreamCore
import DStreamTestKit
import FaultTolerance

/// How the log on files rolls, is cleaned and is opened again.
enum LogConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("write_ahead_log", pipelines: ["wal", "wal.bytes"]) {
            recorded in
            if recorded.pipeline == "wal.bytes" { return try await readBack(&recorded) }
            let options = FileWriteAheadLog.Options(
                rollingInterval: .seconds(try recorded.params.takeInt("rollingIntervalSecs")),
                closeFileAfterWrite: try recorded.params.takeBool("closeFileAfterWrite"))
            var run = Run(log: nil, options: options)
            try await run.open()
            var differences: [String] = []
            for json in try recorded.takeSteps() {
                var step = try PieceStep(json)
                if let files = try await run.perform(&step) {
                    _ = recorded.declare(files.ours, insteadOf: files.spark, .ownFormats)
                }
                differences += try step.finish()
            }
            return differences
        }
    }

    private struct Run {
        static let directory = "/log"

        var log: FileWriteAheadLog?
        let options: FileWriteAheadLog.Options
        let medium = SimulatedStorageMedium()
        private var names: LogFilePair
        /// The file and the offset of the record written last.
        private var last = (file: "", offset: Int64(-1))

        init(log: FileWriteAheadLog?, options: FileWriteAheadLog.Options) {
            self.log = log
            self.options = options
            names = LogFilePair(interval: options.rollingInterval)
        }

        mutating func open() async throws {
            _ = names.both { $0.reopen() }
            log = try await FileWriteAheadLog.open(Self.directory, on: medium, options: options)
        }

        /// - Returns: the files there are to be, by our rule and by Spark's, where a case has them.
        mutating func perform(
            _ step: inout PieceStep
        ) async throws -> (ours: [String], spark: [String])? {
            guard let log else { throw PieceStep.Malformed(description: "the log is closed") }
            switch try step.takeString("do") {
            case "write":
                let record = Array(try step.takeString("data").utf8)
                let time = try step.takeTime("timeMillis")
                let close = options.closeFileAfterWrite
                let files = names.both { $0.write(at: time.milliseconds, thenClose: close) }
                try compare(try await log.write(record, time: time), in: files, &step)
            case "readAll":
                let records = try await log.readAll()
                try step.expect(
                    "result", .array(records.map { .string(String(decoding: $0, as: UTF8.self)) }))
                return nil
            case "clean":
                let threshold = try step.takeTime("thresholdMillis")
                try await log.clean(before: threshold)
                _ = names.both { $0.clean(before: threshold.milliseconds) }
                try step.expect("result", .null)
            case "reopen":
                await log.close()
                try await open()
                try step.expect("result", .null)
            case "close":
                await log.close()
                try step.expect("result", .null)
            case let other:
                throw PieceStep.Malformed(description: "unknown operation \(other)")
            }
            let files = try medium.list(Self.directory).filter { $0.hasPrefix("log-") }
            return try names.compare(files, &step)
        }

        /// Compares file and length of a handle; of an offset, whether it is the file's first.
        private mutating func compare(
            _ handle: LogRecordHandle, in files: (spark: String, ours: String),
            _ step: inout PieceStep
        ) throws {
            var result = try PieceStep(try step.take("result"))
            let parts = handle.place.split(separator: ":").map(String.init)
            guard parts.count > 2, let offset = Int64(parts[1]), let length = Int64(parts[2]) else {
                throw PieceStep.Malformed(description: "a handle of its own kind: \(handle)")
            }
            try result.expect("file", .string(files.spark))
            if parts[0] != files.ours { step.add(["\(handle) instead of \(files.ours)"]) }
            try result.expect("length", .int(length))
            // The layout is our own: records of a file lie one behind the other.
            let isFirst = try result.takeInt("offset") == 0
            let goesOn = parts[0] == last.file && offset > last.offset
            if files.ours == files.spark, isFirst == goesOn {
                step.add(["the record is at \(handle) after \(last), unlike \(step)"])
            }
            last = (parts[0], offset)
            step.add(try result.finish())
        }
    }

    /// The records of a case about bytes, written and read: bytes differ, records and name do not.
    private static func readBack(_ recorded: inout RecordedCase) async throws -> [String] {
        var differences: [String] = []
        for json in try recorded.takeSteps() {
            var step = try PieceStep(json)
            let records = try step.takeArray("records")
            let hex = try step.takeString("hex")
            var run = Run(log: nil, options: .init())
            try await run.open()
            for record in records {
                let text = try ElementForm.string.read(record)
                _ = try await run.log?.write(Array(text.utf8), time: .seconds(1))
            }
            let read = try await run.log?.readAll() ?? []
            let texts = read.map { PieceJSON.string(String(decoding: $0, as: UTF8.self)) }
            try PieceStep.compare("records", texts, records, &step)
            let file = try run.medium.list(Run.directory).first { $0.hasPrefix("log-") }
            try step.expect("file", .string(file ?? ""))
            let bytes = try run.medium.readAll("\(Run.directory)/\(file ?? "")", maximum: 1 << 20)
            let written = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            _ = recorded.declare(written, insteadOf: hex, .ownFormats)
            differences += try step.finish()
        }
        return differences
    }
}
