import BatchEngine
import DStreamCore
import FaultTolerance

/// What the program left, by batch time.
struct Outputs {
    typealias Batches = [Int: [String]]

    let directory: String

    /// The whole files of an output that is written at least once.
    func saved(_ name: String) throws -> Batches {
        let folder = "\(directory)/out-\(name)"
        guard FileSystem.exists(folder) else { return [:] }
        var batches: Batches = [:]
        for file in try FileSystem.list(folder) {
            if let time = Int(file) { batches[time] = try lines("\(folder)/\(file)") }
        }
        return batches
    }

    /// What a file sink holds.
    func committed(_ name: String) async throws -> Batches {
        let folder = "\(directory)/sink-\(name)"
        guard FileSystem.exists(folder + "/manifest") else { return [:] }
        var batches: Batches = [:]
        for batch in try await FileSink<String>.committedBatches(in: folder) {
            let time = Int(batch.batch.milliseconds)
            batches[time] = try batch.files.flatMap { try lines("\(folder)/\($0.path)") }
        }
        return batches
    }

    /// Files that a file sink ought to have removed, or not to have written: no batch has them.
    func strays(_ name: String) async throws -> [String] {
        let folder = "\(directory)/sink-\(name)"
        guard FileSystem.exists(folder + "/manifest") else { return [] }
        let batches = try await FileSink<String>.committedBatches(in: folder)
        let known = Set(batches.flatMap { $0.files.map(\.path) })
        let found = try ["data", "staged"].flatMap { part in
            try FileSystem.list(folder + "/" + part).map { part + "/" + $0 }
        }
        return found.filter { !known.contains($0) }.map { "\(name): \($0)" }
    }

    /// The lines of a file; none when it is missing.
    func lines(in name: String) throws -> [String] {
        let path = directory + "/" + name
        return FileSystem.exists(path) ? try lines(path) : []
    }

    /// How many files, and bytes in them, lie in the checkpoint directory.
    func checkpointSize() -> (files: Int, bytes: Int) { size(of: directory + "/checkpoint") }

    private func size(of folder: String) -> (files: Int, bytes: Int) {
        var (files, bytes) = (0, 0)
        for name in (try? FileSystem.list(folder)) ?? [] {
            // The program may be removing it.
            guard let status = try? FileSystem.status(folder + "/" + name) else { continue }
            let more =
                status.isDirectory ? size(of: folder + "/" + name) : (1, status.byteCount)
            files += more.0
            bytes += more.1
        }
        return (files, bytes)
    }

    private func lines(_ path: String) throws -> [String] {
        try FileSystem.readAll(path).split(separator: 10).map {
            String(decoding: $0, as: UTF8.self)
        }
    }
}
