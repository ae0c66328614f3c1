internal import BatchEngine
public import DStreamCore
internal import Synchronization

/// Keeps checkpoints in a directory: they survive a crash at any point.
///
/// Each write is a small file `checkpoint-NUMBER`, replaced as a whole, and what changed of the state
/// in the log `state`. The last files are kept; when the newest cannot be read, the one before it
/// counts. The bytes are described in Docs/Formats/Checkpoint.md.
///
/// ## Isolation
/// One write at a time; nothing blocks the cooperative threads.
public final class FileCheckpointStore: CheckpointStore {
    private struct State {
        var sequence: UInt64 = 0
        var void: [ClosedRange<UInt64>] = []
        /// The files that are there, oldest first, with what they still need of the state.
        var kept: [(sequence: UInt64, oldestState: BatchTime)] = []
    }

    /// The directory.
    public let directory: String
    /// How many checkpoint files are kept.
    public let retainedCount: Int
    private let medium: any StorageMedium
    private let lock: any StorageLock
    private let log: FileWriteAheadLog
    private let state = Locked(State())

    private init(
        _ directory: String, _ medium: any StorageMedium, _ lock: any StorageLock,
        _ log: FileWriteAheadLog, retainedCount: Int
    ) {
        self.directory = directory
        self.medium = medium
        self.lock = lock
        self.log = log
        self.retainedCount = max(1, retainedCount)
    }

    /// Opens a directory, created when missing.
    ///
    /// - Parameters:
    ///   - directory: the context's own.
    ///   - medium: where it is.
    ///   - retainedCount: how many checkpoints are kept, at least 1.
    /// - Throws: ``CheckpointError`` `.locked` while another program has it open, `LogError` for a
    ///   damaged log, or `StorageError`.
    public static func open(
        _ directory: String, on medium: some StorageMedium = FileStorageMedium(),
        retainedCount: Int = 10
    ) async throws -> FileCheckpointStore {
        let lock = try await medium.perform { medium in
            try medium.createDirectories(directory)
            do {
                return try medium.lock(
                    directory + "/lock", owner: "process \(ResourceUsage.processNumber)")
            } catch let error as StorageError where error.code == .locked {
                throw CheckpointError(
                    .locked,
                    "the checkpoint directory \(directory) is in use: \(error.message); give each "
                        + "program a directory of its own")
            }
        }
        do {
            let log = try await FileWriteAheadLog.open(directory + "/state", on: medium)
            return FileCheckpointStore(
                directory, medium, lock, log, retainedCount: retainedCount)
        } catch {
            lock.release()
            throw error
        }
    }

    /// Lets go of the directory.
    public func close() async {
        await log.close()
        lock.release()
    }

    // MARK: Writing

    /// Keeps `record` as the newest, durably, with the state since the last one kept.
    public func write(_ record: CheckpointRecord, state pieces: [OperatorState]) async throws {
        let (sequence, void) = state.withLock { state in
            // Never used again, also when this write fails: pieces of it may be in the log.
            state.sequence += 1
            return (state.sequence, state.void)
        }
        let time = max(record.newestCompleted ?? record.time, record.time)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for piece in pieces {
                let bytes = try CheckpointFormat.bytes(of: piece, sequence: sequence)
                group.addTask { [log] in _ = try await log.write(bytes, time: time) }
            }
            try await group.waitForAll()
        }
        let bytes = try CheckpointFormat.bytes(
            of: CheckpointFormat.Contents(record: record, sequence: sequence, void: void))
        let path = path(of: sequence)
        try await medium.perform { try $0.replaceFile(path, with: bytes) }
        try await forgetOld(keeping: (sequence, record.oldestState))
    }

    private func forgetOld(
        keeping newest: (sequence: UInt64, oldestState: BatchTime)
    ) async throws {
        let (old, needed) = state.withLock { state in
            state.kept.append(newest)
            let old = state.kept.prefix(max(0, state.kept.count - retainedCount))
            state.kept.removeFirst(old.count)
            return (old.map { path(of: $0.sequence) }, state.kept.map(\.oldestState).min())
        }
        guard !old.isEmpty else { return }
        try await medium.perform { medium in
            for path in old { try medium.remove(path) }
        }
        if let needed { try await log.clean(before: needed) }
    }

    // MARK: Recovery

    /// The newest checkpoint that can be read, with its state.
    ///
    /// - Throws: ``CheckpointError`` when there are checkpoints and none can be read.
    public func recover() async throws -> RecoveredCheckpoint? {
        let (found, problems, newest) = try await readFiles()
        guard let last = found.last else {
            if let problem = problems.last {
                throw CheckpointError(
                    .damaged, "no checkpoint in \(directory) can be read: \(problem)")
            }
            return nil
        }
        var (pieces, newestPiece): ([(sequence: UInt64, piece: OperatorState)], UInt64) = ([], 0)
        for try await record in log.records() {
            let (sequence, piece) = try CheckpointFormat.piece(of: record.bytes)
            newestPiece = max(newestPiece, sequence)
            let isVoid = last.void.contains { $0.contains(sequence) }
            if sequence <= last.sequence, !isVoid, piece.time >= last.record.oldestState {
                pieces.append((sequence, piece))
            }
        }
        // Pieces of one write were written side by side.
        pieces.sort { ($0.sequence, $0.piece.time) < ($1.sequence, $1.piece.time) }
        let highest = max(newest, newestPiece, last.sequence)
        state.withLock { state in
            state.sequence = highest
            state.void = last.void
            if highest > last.sequence { state.void.append((last.sequence + 1)...highest) }
            state.kept = found.map { ($0.sequence, $0.record.oldestState) }
        }
        return RecoveredCheckpoint(
            record: last.record, state: pieces.map(\.piece), problems: problems)
    }

    /// The readable checkpoint files, oldest first, what is wrong with others, and the highest number.
    private func readFiles() async throws -> (
        found: [CheckpointFormat.Contents], problems: [String], newest: UInt64
    ) {
        let directory = directory
        return try await medium.perform { medium in
            var found: [CheckpointFormat.Contents] = []
            var problems: [String] = []
            var newest: UInt64 = 0
            for name in try medium.list(directory) {
                guard let number = Self.number(of: name) else { continue }
                newest = max(newest, number)
                let path = directory + "/" + name
                do {
                    let contents = try CheckpointFormat.contents(
                        of: try medium.readAll(path, maximum: 1 << 28), path: path)
                    guard contents.sequence == number else {
                        throw CheckpointError(
                            .damaged, "\(path): it is number \(contents.sequence) by its content")
                    }
                    found.append(contents)
                } catch let error as CheckpointError where error.code == .damaged {
                    problems.append(error.message)
                }
            }
            return (found, problems, newest)
        }
    }

    private func path(of sequence: UInt64) -> String {
        let digits = String(sequence)
        let zeros = String(repeating: "0", count: max(0, 12 - digits.count))
        return "\(directory)/checkpoint-\(zeros)\(digits)"
    }

    private static func number(of name: String) -> UInt64? {
        guard name.hasPrefix("checkpoint-") else { return nil }
        return UInt64(name.dropFirst("checkpoint-".count))
    }
}
