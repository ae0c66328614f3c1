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
    /// Writes that never counted.
    fileprivate struct VoidWrites {
        var numbers: ClosedRange<UInt64>
        /// The newest batch of which the log may have a piece.
        var newest: BatchTime
    }

    private struct State {
        var sequence: UInt64 = 0
        var void: [VoidWrites] = []
        /// The files that are there, oldest first, with what they still need of the state; damaged
        /// ones need nothing.
        var kept: [(sequence: UInt64, oldestState: BatchTime?)] = []
        /// What was there at the opening, until it is recovered.
        var opened: CheckpointFiles?
    }

    /// The directory.
    public let directory: String
    /// How many checkpoint files are kept.
    public let retainedCount: Int
    private let medium: any StorageMedium
    private let lock: any StorageLock
    private let log: FileWriteAheadLog
    private let onLeftover: OnLeftover
    private let state = Locked(State())

    /// Hears why old files could not be removed, after the write of which batch; they stay until
    /// a later write has removed them.
    public typealias OnLeftover = @Sendable (_ batch: BatchTime, _ error: any Error) -> Void

    private init(
        _ directory: String, _ medium: any StorageMedium, _ lock: any StorageLock,
        _ log: FileWriteAheadLog, _ files: CheckpointFiles, retainedCount: Int,
        _ onLeftover: @escaping OnLeftover
    ) {
        state.withLock { $0.opened = files }
        self.directory = directory
        self.medium = medium
        self.lock = lock
        self.log = log
        self.retainedCount = max(1, retainedCount)
        self.onLeftover = onLeftover
    }

    /// Opens a directory, created when missing.
    ///
    /// - Parameters:
    ///   - directory: the context's own.
    ///   - medium: where it is.
    ///   - retainedCount: how many checkpoints are kept, at least 1.
    ///   - onLeftover: called when older ones could not be removed, from any thread.
    /// - Throws: ``CheckpointError`` `.locked` while another program has it open, `.damaged` when
    ///   there are checkpoints and none can be read, `.unsupported`; `LogError` for a damaged log, or
    ///   `StorageError`.
    public static func open(
        _ directory: String, on medium: some StorageMedium = FileStorageMedium(),
        retainedCount: Int = 10, onLeftover: @escaping OnLeftover = { _, _ in }
    ) async throws -> FileCheckpointStore {
        let lock = try await medium.perform { medium in
            try medium.createDirectories(directory)
            do {
                return try medium.lock(directory + "/lock", for: "the checkpoints")
            } catch let error as StorageError where error.code == .locked {
                throw CheckpointError(
                    .locked,
                    "the checkpoint directory \(directory) is in use: \(error.message); give each "
                        + "program one of its own, and sinks others")
            }
        }
        do {
            let path = directory + "/" + InputLogs.state
            // First: what they rely on is not cut.
            let files = try await CheckpointFiles(in: directory, medium)
            try await removeUnfinished(in: directory, on: medium)
            let log = try await FileWriteAheadLog.open(
                path, on: medium, reliedOn: files.stateEnds)
            return FileCheckpointStore(
                directory, medium, lock, log, files, retainedCount: retainedCount, onLeftover)
        } catch {
            lock.release()
            throw error
        }
    }

    /// Removes files that were being written when a program ended.
    private static func removeUnfinished(
        in directory: String, on medium: some StorageMedium
    ) async throws {
        try await medium.perform { medium in
            for name in try medium.list(directory) {
                guard name.hasSuffix(".tmp"),
                    CheckpointFiles.number(of: name.dropLast(4)) != nil
                else { continue }
                try medium.remove(directory + "/" + name)
            }
        }
    }

    /// Lets go of the directory.
    public func close() async {
        await log.close()
        lock.release()
    }

    // MARK: Writing

    /// Keeps `record` as the newest, durably, with the state since the last one kept.
    ///
    /// Old files that cannot be removed are tried again by the next write.
    public func write(_ record: CheckpointRecord, state pieces: [OperatorState]) async throws {
        let (sequence, void) = state.withLock { state in
            // Never used again, also when this write fails: pieces of it may be in the log.
            state.sequence += 1
            state.opened = nil
            return (state.sequence, state.void.map(\.numbers))
        }
        let path = path(of: sequence)
        guard sequence < CheckpointFormat.endOfSequences else {
            throw CheckpointError(.unsupported, "\(directory): there is no number above \(path)")
        }
        do {
            try await write(pieces, of: record, sequence)
            let bytes = try CheckpointFormat.bytes(
                of: CheckpointFormat.Contents(
                    record: record, sequence: sequence, void: void, stateEnd: log.end))
            try await medium.perform { [lock] in
                try lock.check()
                try $0.replaceFile(path, with: bytes)
            }
        } catch {
            let newest = pieces.map(\.time).max() ?? record.time
            state.withLock { $0.void.append(number: sequence, newest: newest) }
            // Its name may be there, though not durably.
            _ = try? await medium.perform { try $0.remove(path) }
            throw error
        }
        state.withLock { $0.kept.append((sequence, record.oldestState)) }
        // The record is kept whatever becomes of the old ones.
        do { try await forgetOld() } catch { onLeftover(record.time, error) }
    }

    private func write(
        _ pieces: [OperatorState], of record: CheckpointRecord, _ sequence: UInt64
    ) async throws {
        let time = max(record.newestCompleted ?? record.time, record.time)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for piece in pieces {
                let parts = try CheckpointFormat.parts(of: piece, sequence: sequence)
                group.addTask { [log] in _ = try await log.write(parts: parts, time: time) }
            }
            try await group.waitForAll()
        }
    }

    private func forgetOld() async throws {
        let (old, needed) = state.withLock { state in
            let count = max(0, state.kept.count - retainedCount)
            let needed = state.kept.dropFirst(count).compactMap(\.oldestState).min()
            // Their pieces are too old to count, void or not.
            if let needed { state.void.removeAll { $0.newest < needed } }
            return (state.kept.prefix(count).map(\.sequence), needed)
        }
        if old.isEmpty { return }
        let paths = old.map { path(of: $0) }
        try await medium.perform { medium in
            for path in paths { try medium.remove(path) }
        }
        if let needed { try await log.clean(before: needed) }
        state.withLock { $0.kept.removeFirst(old.count) }
    }

    // MARK: Recovery

    /// The newest checkpoint that can be read, with its state.
    ///
    /// - Throws: ``CheckpointError`` when there are checkpoints and none can be read, or the state of
    ///   none is there.
    public func recover() async throws -> RecoveredCheckpoint? {
        let opened = state.withLock { state in
            defer { state.opened = nil }
            return state.opened
        }
        var files =
            if let opened { opened } else { try await CheckpointFiles(in: directory, medium) }
        try files.dropUnreached(in: directory) { log.reaches($0) }
        var found = try await files.state(in: log.records())
        if files.newest == nil, found.newest == 1 {
            // The first write of all ended before its file was there. Its number is free again, so
            // that more than one tells that there was a checkpoint.
            try await log.clean(before: BatchTime(milliseconds: .max))
            found = CheckpointFiles.LoggedState()
        }
        let counted = files.newest?.sequence ?? 0
        let highest = max(files.damaged.map(\.sequence).max() ?? 0, found.newest, counted)
        state.withLock { state in
            state.sequence = highest
            state.void = found.void.map { VoidWrites(numbers: $0.key, newest: $0.value) }
            state.void.sort { $0.numbers.lowerBound < $1.numbers.lowerBound }
            if highest > counted {
                state.void.append(
                    VoidWrites(numbers: (counted + 1)...highest, newest: found.newestUncounted))
            }
            state.kept = files.readable.map { ($0.sequence, $0.record.oldestState) }
            state.kept += files.damaged.map { ($0.sequence, nil) }
            state.kept.sort { $0.sequence < $1.sequence }
        }
        return files.recovered(found.pieces)
    }

    /// What ``recover()`` would give, without locking or changing anything.
    package static func read(
        _ directory: String, on medium: some StorageMedium = FileStorageMedium()
    ) async throws -> RecoveredCheckpoint? {
        guard let (files, log) = try await CheckpointFiles.inspect(directory, on: medium) else {
            return nil
        }
        return files.recovered(try await files.state(in: log.records).pieces)
    }

    private func path(of sequence: UInt64) -> String {
        directory + "/" + CheckpointFiles.name(sequence)
    }
}

extension [FileCheckpointStore.VoidWrites] {
    /// Adds a number above all others.
    fileprivate mutating func append(number: UInt64, newest: BatchTime) {
        if let last, last.numbers.upperBound + 1 == number {
            self[count - 1].numbers = last.numbers.lowerBound...number
            self[count - 1].newest = Swift.max(last.newest, newest)
        } else {
            append(FileCheckpointStore.VoidWrites(numbers: number...number, newest: newest))
        }
    }
}
