import DStreamCore
import DStreamTestKit
import FaultTolerance

/// What checkpoint files are called, and in which order they are read.
///
/// Ours are numbered by writes, with twelve digits, and have no backups: a write never replaces a
/// file.
enum CheckpointFilesConformance {
    private static let directory = "/d"

    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report(
            "checkpoint_files", pipelines: ["checkpoint.names", "checkpoint.list"]
        ) { recorded in
            recorded.pipeline == "checkpoint.names"
                ? try await compareNames(&recorded) : try await compareLists(&recorded)
        }
    }

    private static func compareNames(_ recorded: inout RecordedCase) async throws -> [String] {
        let medium = SimulatedStorageMedium()
        let store = try await FileCheckpointStore.open(directory, on: medium)
        var differences: [String] = []
        for (index, json) in try recorded.takeSteps().enumerated() {
            var step = try PieceStep(json)
            let time = try step.takeTime("time")
            let theirs = [try step.takeString("file"), try step.takeString("backup")]
            let before = Set(try medium.list(directory))
            try await store.write(record(at: time), state: [])
            let ours = try medium.list(directory).filter { !before.contains($0) }
                .map { "\(directory)/\($0)" }
            let expected = recorded.declare(
                ["\(directory)/\(name("\(index + 1)"))"], insteadOf: theirs, .ownFormats)
            if ours != expected { step.add(["\(ours) instead of \(expected)"]) }
            differences += try step.finish()
        }
        await store.close()
        return differences
    }

    private static func compareLists(_ recorded: inout RecordedCase) async throws -> [String] {
        var differences: [String] = []
        for json in try recorded.takeSteps() {
            var step = try PieceStep(json)
            guard try step.takeString("do") == "getCheckpointFiles" else {
                throw PieceStep.Malformed(description: "unknown operation in \(json)")
            }
            let medium = SimulatedStorageMedium()
            try medium.createDirectories(directory)
            for json in try step.takeArray("inDirectory") {
                let theirs = try ElementForm.string.read(json)
                let bytes = try number(theirs).map { number in
                    try CheckpointFormat.bytes(
                        of: .init(
                            record: record(at: .milliseconds(Int64(number))), sequence: number,
                            void: []))
                }
                let ours = number(theirs) == nil ? theirs : name("\(number(theirs) ?? 0)")
                let path = directory + "/" + (theirs.hasSuffix(".bk") ? ours + ".bk" : ours)
                try medium.replaceFile(path, with: bytes ?? [])
            }
            let theirs = try step.takeArray("result").map { try ElementForm.string.read($0) }
            let expected = recorded.declare(
                theirs.filter { !$0.hasSuffix(".bk") }.map { name("\(number($0) ?? 0)") },
                insteadOf: theirs, .ownFormats)
            let read = try await CheckpointFiles(in: directory, medium)
            let ours = read.readable.map { name("\($0.sequence)") }
            if ours != expected { step.add(["\(ours) instead of \(expected)"]) }
            differences += try step.finish()
        }
        return differences
    }

    /// The number in one of Spark's names, a backup's included; nil: it is none.
    private static func number(_ name: String) -> UInt64? {
        let stem = name.hasSuffix(".bk") ? name.dropLast(3) : name[...]
        guard stem.hasPrefix("checkpoint-") else { return nil }
        return UInt64(stem.dropFirst("checkpoint-".count))
    }

    /// What ours are called.
    private static func name(_ digits: String) -> String {
        "checkpoint-" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }

    private static func record(at time: BatchTime) -> CheckpointRecord {
        CheckpointRecord(
            time: time, appName: "", zeroTime: .zero, batchInterval: .seconds(1), fingerprint: "",
            pendingBatches: [], isCompleted: true)
    }
}
