import BatchEngine
import DStreamCore
import FaultTolerance

/// What a checkpoint directory holds.
struct CheckpointReport {
    private let directory: String
    private let medium = FileStorageMedium()

    init(_ directory: String) { self.directory = directory }

    /// Prints it; false: something is damaged, or there is nothing.
    func print() async throws -> Bool {
        guard let (files, state) = try await CheckpointFiles.inspect(directory, on: medium),
            let newest = files.newest
        else {
            Swift.print("there is no checkpoint in \(directory)")
            for remains in try await InputLogs.remains(in: directory, on: medium) {
                Swift.print(remains)
            }
            return false
        }
        for file in files.readable {
            Swift.print(
                "checkpoint \(file.sequence): batch \(file.record.time), "
                    + (file.record.isCompleted ? "completed" : "begun")
                    + ", \(file.record.pendingBatches.count) pending")
        }
        for file in files.damaged { Swift.print("damaged: \(file.problem)") }
        Swift.print("")
        show(newest)
        try await show(try await files.state(in: state.records).pieces, newest.record)
        Swift.print("")
        let areGood = try await LogReport.printInputs(
            of: directory, reliedOn: newest.record.logs)
        return areGood && files.damaged.isEmpty
    }

    private func show(_ contents: CheckpointFormat.Contents) {
        let record = contents.record
        Swift.print("written by \"\(record.appName)\", batches of \(record.batchInterval)")
        Swift.print("the first batch follows \(record.zeroTime)")
        let done = record.newestCompleted.map { "\($0)" } ?? "none"
        Swift.print("newest completed batch: \(done)")
        let pending = record.pendingBatches.map { "\($0)" }.joined(separator: ", ")
        Swift.print("pending batches: \(pending.isEmpty ? "none" : pending)")
        Swift.print("graph: \(record.fingerprint)")
        for (key, value) in record.configuration.sorted(by: { $0.key < $1.key }) {
            Swift.print("\(key) = \(value)")
        }
        for range in contents.void {
            Swift.print("writes \(range.lowerBound) to \(range.upperBound) do not count")
        }
    }

    private func show(_ pieces: [OperatorState], _ record: CheckpointRecord) async throws {
        let groups = Dictionary(grouping: pieces, by: \.operatorID)
        for known in record.operators {
            let own = groups[known.stateID] ?? groups[known.id] ?? []
            let counts = Dictionary(grouping: own, by: \.kind).map { kind, pieces in
                let values = pieces.reduce(0) { $0 + $1.values.count }
                let removed = pieces.reduce(0) { $0 + $1.removed.count }
                let bytes = pieces.reduce(0) { $0 + $1.values.bytes.count + $1.removed.bytes.count }
                return "\(pieces.count) \(kind) (\(values) set, \(removed) removed, \(bytes) bytes)"
            }
            let text = counts.sorted().joined(separator: "; ")
            Swift.print("state of \(known.id), \(known.shape): \(text.isEmpty ? "none" : text)")
        }
    }
}
