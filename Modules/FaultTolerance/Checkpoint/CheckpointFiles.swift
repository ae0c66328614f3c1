package import DStreamCore

/// The checkpoint files in a directory, as they are.
package struct CheckpointFiles: Sendable {
    /// Those that can be read, oldest first.
    package private(set) var readable: [CheckpointFormat.Contents] = []
    /// Those that cannot, and why.
    package private(set) var damaged: [(sequence: UInt64, problem: String)] = []

    /// The one that counts.
    package var newest: CheckpointFormat.Contents? { readable.last }

    /// Reads a directory.
    ///
    /// - Throws: ``CheckpointError`` `.damaged` when there are checkpoints and none can be read,
    ///   `.unsupported`; or ``StorageError``.
    package init(in directory: String, _ medium: some StorageMedium) async throws {
        let files = try await medium.perform { medium in
            var files = CheckpointFiles()
            for name in try medium.list(directory) {
                try files.read(name, in: directory, medium)
            }
            return files
        }
        if files.readable.isEmpty, let problem = files.damaged.last?.problem {
            throw CheckpointError(
                .damaged, "no checkpoint in \(directory) can be read: \(problem)")
        }
        self = files
    }

    private init() {}

    private mutating func read(
        _ name: String, in directory: String, _ medium: some StorageMedium
    ) throws {
        guard name.hasPrefix("checkpoint-"),
            let number = UInt64(name.dropFirst("checkpoint-".count))
        else { return }
        let path = directory + "/" + name
        do {
            let contents = try CheckpointFormat.contents(
                of: try medium.readAll(path, maximum: 1 << 28), path: path)
            guard contents.sequence == number else {
                throw CheckpointError(
                    .damaged, "\(path): it is number \(contents.sequence) by its content")
            }
            readable.append(contents)
        } catch let error as CheckpointError where error.code == .damaged {
            damaged.append((number, error.message))
        }
    }

    /// The pieces of state that belong to the newest file, in the order in which they were taken.
    ///
    /// - Returns: them, and the highest number of a write in the log.
    package func state(
        in records: LogRecords
    ) async throws -> (pieces: [OperatorState], newest: UInt64) {
        var (pieces, highest): ([(sequence: UInt64, piece: OperatorState)], UInt64) = ([], 0)
        for try await record in records {
            let (sequence, piece) = try CheckpointFormat.piece(of: record.bytes)
            highest = max(highest, sequence)
            guard let newest, sequence <= newest.sequence,
                piece.time >= newest.record.oldestState,
                !newest.void.contains(where: { $0.contains(sequence) })
            else { continue }
            pieces.append((sequence, piece))
        }
        // Pieces of one write were written side by side.
        pieces.sort { ($0.sequence, $0.piece.time) < ($1.sequence, $1.piece.time) }
        return (pieces.map(\.piece), highest)
    }

    /// The newest checkpoint with its state.
    func recovered(_ state: [OperatorState]) -> RecoveredCheckpoint? {
        newest.map {
            RecoveredCheckpoint(
                record: $0.record, state: state, problems: damaged.map(\.problem))
        }
    }
}
