import BatchEngine
import DStreamCore
import FaultTolerance

/// What the checkpoints of a killed program say, and how many batches had run by then.
struct LastCheckpoint {
    /// The lines of the output `ran`.
    let ranCount: Int
    /// Batches up to this one have completed, but for those that are pending.
    let completed: Int
    let pending: Set<Int>

    /// - Returns: nil before the first checkpoint.
    init?(_ outputs: Outputs) async throws {
        let directory = outputs.directory + "/checkpoint"
        guard FileSystem.exists(directory),
            let found = try await FileCheckpointStore.read(directory)
        else { return nil }
        ranCount = try outputs.lines(in: "ran").count
        completed = Int(found.record.newestCompleted?.milliseconds ?? .min)
        pending = Set(found.record.pendingBatches.map { Int($0.milliseconds) })
    }

    /// The batches among some that ran though they had completed.
    func again(in ran: ArraySlice<String>) -> [String] {
        ran.filter { line in
            Int(line).map { $0 <= completed && !pending.contains($0) } ?? true
        }
    }

    /// Cuts the newest checkpoint file in half, if there are others, so that the one before counts.
    ///
    /// - Parameter last: the number of the one that was cut last; the next one is not right behind it.
    /// - Returns: the number of the file; nil: nothing was changed.
    static func damage(in outputs: Outputs, after last: Int) throws -> Int? {
        let directory = outputs.directory + "/checkpoint"
        guard FileSystem.exists(directory) else { return nil }
        let prefix = "checkpoint-"
        let names = try FileSystem.list(directory).filter { $0.hasPrefix(prefix) }.sorted()
        guard names.count > 2, let name = names.last,
            let newest = Int(name.dropFirst(prefix.count)), newest > last + 2
        else { return nil }
        let path = directory + "/" + name
        let bytes = try FileSystem.readAll(path)
        let half = Array(bytes.prefix(bytes.count / 2))
        try FileSystem.writeAtomically(path, half, durability: .handedOver)
        return newest
    }
}
