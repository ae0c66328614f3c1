import DStreamCore
import DStreamTestKit
import FaultTolerance

/// How the log on files rolls, is cleaned and is opened again.
enum LogConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report(
            "write_ahead_log",
            differently: [
                "bytes_on_disk": "the layout of our durable formats is our own (difference 7)"
            ]
        ) { recorded in
            if recorded.pipeline == "wal.bytes" { return try await readBack(&recorded) }
            guard recorded.pipeline == "wal" else {
                throw Pipelines.Unknown(description: "no pipeline is \(recorded.pipeline)")
            }
            let options = FileWriteAheadLog.Options(
                rollingInterval: .seconds(try recorded.params.takeInt("rollingIntervalSecs")),
                closeFileAfterWrite: try recorded.params.takeBool("closeFileAfterWrite"))
            var run = Run(log: nil, options: options)
            try await run.open()
            var differences: [String] = []
            for json in try recorded.body.takeArray("steps") {
                var step = try PieceStep(json)
                try await run.perform(&step)
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

        mutating func open() async throws {
            log = try await FileWriteAheadLog.open(Self.directory, on: medium, options: options)
        }

        mutating func perform(_ step: inout PieceStep) async throws {
            guard let log else { throw PieceStep.Malformed(description: "the log is closed") }
            switch try step.takeString("do") {
            case "write":
                let record = Array(try step.takeString("data").utf8)
                let time = try step.takeTime("timeMillis")
                try compare(try await log.write(record, time: time), &step)
            case "readAll":
                let records = try await log.readAll()
                try step.expect(
                    "result", .array(records.map { .string(String(decoding: $0, as: UTF8.self)) }))
                return
            case "clean":
                try await log.clean(before: try step.takeTime("thresholdMillis"))
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
            try step.expect("files", .array(files.map { .string($0) }))
        }

        /// Compares file and length of a handle; the offset is that of our own layout.
        private func compare(_ handle: LogRecordHandle, _ step: inout PieceStep) throws {
            var result = try PieceStep(try step.take("result"))
            let parts = handle.place.split(separator: ":")
            guard parts.count > 2, let length = Int64(parts[2]) else {
                throw PieceStep.Malformed(description: "a handle of its own kind: \(handle)")
            }
            try result.expect("file", .string(String(parts[0])))
            try result.expect("length", .int(length))
            _ = try result.takeInt("offset")
            step.add(try result.finish())
        }
    }

    /// The records of a case about bytes, written and read: bytes differ, records and name do not.
    private static func readBack(_ recorded: inout RecordedCase) async throws -> [String] {
        var differences: [String] = []
        for json in try recorded.body.takeArray("steps") {
            var step = try PieceStep(json)
            let records = try step.takeArray("records")
            _ = try step.takeString("hex")
            var run = Run(log: nil, options: .init())
            try await run.open()
            for case .string(let text) in records {
                _ = try await run.log?.write(Array(text.utf8), time: .seconds(1))
            }
            let read = try await run.log?.readAll() ?? []
            let texts = read.map { PieceJSON.string(String(decoding: $0, as: UTF8.self)) }
            try PieceStep.compare("records", texts, records, &step)
            let file = try run.medium.list(Run.directory).first { $0.hasPrefix("log-") }
            try step.expect("file", .string(file ?? ""))
            differences += try step.finish()
        }
        return differences
    }
}
