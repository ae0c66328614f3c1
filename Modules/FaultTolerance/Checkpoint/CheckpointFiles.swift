package import DStreamCore

/// The checkpoint files in a directory, as they are.
package struct CheckpointFiles: Sendable {
    /// Those that can be read, oldest first.
    package private(set) var readable: [CheckpointFormat.Contents] = []
    /// Those that cannot, and why.
    package private(set) var damaged: [(sequence: UInt64, problem: String)] = []

    /// Files that are called almost as checkpoints are: another program's, or copies.
    private var strange: [String] = []

    /// The one that counts.
    package var newest: CheckpointFormat.Contents? { readable.last }

    /// Reads a directory.
    ///
    /// - Throws: ``CheckpointError`` `.damaged` when there are checkpoints and none can be read,
    ///   `.unsupported`; or ``StorageError``.
    package init(in directory: String, _ medium: some StorageMedium) async throws {
        let files = try await medium.perform { medium in
            try medium.rereading { medium in
                var files = CheckpointFiles()
                for name in try medium.list(directory) {
                    try files.read(name, in: directory, medium)
                }
                if files.readable.isEmpty, let vanished = files.vanished { throw vanished }
                return files
            }
        }
        if files.readable.isEmpty, let problem = files.damaged.last?.problem ?? files.strange.last {
            throw CheckpointError(
                .damaged,
                "no checkpoint in \(directory) can be read: \(problem). "
                    + MessageTable.see("no readable checkpoint"))
        }
        self = files
    }

    /// Those of a directory whose state is there, and its state log, without locking or changing
    /// anything; nil: there are none.
    ///
    /// - Throws: as ``init(in:_:)``; ``LogError``.
    package static func inspect(
        _ directory: String, on medium: some StorageMedium
    ) async throws -> (files: CheckpointFiles, state: LogInspection)? {
        var files = try await CheckpointFiles(in: directory, medium)
        if files.newest == nil { return nil }
        let log = try await LogInspection(
            of: directory + "/" + InputLogs.state, on: medium, reliedOn: files.stateEnds)
        try files.dropUnreached(in: directory) { log.reaches($0) }
        return (files, log)
    }

    /// How far the state log reached when each was written.
    var stateEnds: [LogPosition] { readable.compactMap(\.stateEnd) }

    /// Skips the newest ones that rely on state which is gone, down to one that does not.
    ///
    /// - Throws: ``CheckpointError`` `.damaged` when all do.
    mutating func dropUnreached(in directory: String, _ reaches: (LogPosition) -> Bool) throws {
        while let last = readable.last, let end = last.stateEnd, !reaches(end) {
            let problem =
                "\(directory)/\(Self.name(last.sequence)) relies on the state log up to byte "
                + "\(end.offset) of segment \(end.segment), and \(directory)/\(InputLogs.state) "
                + "ends before that"
            damaged.append((last.sequence, problem))
            readable.removeLast()
            guard readable.isEmpty else { continue }
            throw CheckpointError(.damaged, problem + ". " + MessageTable.see("damaged log"))
        }
    }

    /// What was said of a file that was removed after it had been listed, as a program at work does.
    private var vanished: StorageError?

    private init() {}

    private mutating func read(
        _ name: String, in directory: String, _ medium: some StorageMedium
    ) throws {
        let path = directory + "/" + name
        guard let number = Self.number(of: name[...]) else {
            let rest = name.dropFirst(Self.prefix.count)
            if name.hasPrefix(Self.prefix), !rest.isEmpty, rest.allSatisfy(\.isNumber) {
                strange.append("\(path): no checkpoint is called that")
            }
            return
        }
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
        } catch let error as StorageError where error.code == .notFound {
            vanished = error
        } catch let error as StorageError where error.code == .tooLarge || error.code == .unreadable
        {
            // Too long for a checkpoint, or sectors that the disk cannot read.
            damaged.append((number, "\(error)"))
        }
    }

    private static let prefix = "checkpoint-"

    /// What the file of a number is called.
    static func name(_ number: UInt64) -> String { prefix + number.padded(to: 12) }

    /// The number of a checkpoint file; nil: it is none by its name.
    static func number(of name: Substring) -> UInt64? {
        guard let number = UInt64(name.dropFirst(prefix.count)), name == Self.name(number),
            number < CheckpointFormat.endOfSequences
        else { return nil }
        return number
    }

    /// What a state log holds.
    package struct LoggedState: Sendable {
        /// What belongs to the newest file, in the order in which it was taken.
        package var pieces: [OperatorState] = []
        /// The highest number of a write.
        var newest: UInt64 = 0
        /// Void writes of the newest file that have left something, and its newest batch: only
        /// they need to be told from others any more.
        var void: [ClosedRange<UInt64>: BatchTime] = [:]
        /// The newest batch of pieces of later writes than the newest file's.
        var newestUncounted = BatchTime.zero
    }

    /// Reads the state that belongs to the newest file.
    package func state(in records: LogRecords) async throws -> LoggedState {
        var found = LoggedState()
        var pieces: [(sequence: UInt64, piece: OperatorState)] = []
        for try await record in records {
            let (sequence, piece) = try CheckpointFormat.piece(of: record.bytes)
            found.newest = max(found.newest, sequence)
            guard let newest, sequence <= newest.sequence else {
                found.newestUncounted = max(found.newestUncounted, piece.time)
                continue
            }
            if let range = newest.void.first(where: { $0.contains(sequence) }) {
                found.void[range] = max(found.void[range] ?? piece.time, piece.time)
            } else if piece.time >= newest.record.oldestState {
                pieces.append((sequence, piece))
            }
        }
        // Pieces of one write were written side by side.
        pieces.sort { ($0.sequence, $0.piece.time) < ($1.sequence, $1.piece.time) }
        found.pieces = pieces.map(\.piece)
        return found
    }

    /// The newest checkpoint with its state.
    func recovered(_ state: [OperatorState]) -> RecoveredCheckpoint? {
        newest.map {
            RecoveredCheckpoint(
                record: $0.record, state: state, problems: damaged.map(\.problem) + strange)
        }
    }
}
