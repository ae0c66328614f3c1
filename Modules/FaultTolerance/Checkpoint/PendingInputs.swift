internal import BatchEngine
public import DStreamCore

/// What batches that a restart runs again will read, as far as their input streams have chosen it:
/// files, ranges of offsets, or elements that cannot be had again.
///
/// Where that can never be read, every start fails. ``forget(_:of:for:in:on:)`` leaves it out.
public struct PendingInputs: Sendable, Hashable {
    /// What one stream gives to one batch.
    public struct Input: Sendable, Hashable, CustomStringConvertible {
        /// The batch.
        public let batch: BatchTime
        /// The input stream's number, from 0 in declaration order.
        public let stream: StreamID
        /// The stream's operator; nil: it is not known.
        public let name: String?
        /// What the stream has chosen.
        public let kind: InputChoice.Kind
        /// The files, or partitions with their offsets.
        public let parts: [String]
        /// Those of them, or directories of them, that the batch skips.
        public let forgotten: [String]

        /// Batch, stream and parts, one to a line.
        public var description: String {
            let lines =
                parts.map { "  \($0)" + (forgotten.contains($0) ? ", forgotten" : "") }
                + forgotten.filter { !parts.contains($0) }.map { "  \($0), forgotten" }
            let what =
                switch kind {
                case .taken: ", which it cannot give again:"
                case .lostOffsets: ", and cannot go on in:"
                default: ":"
                }
            let title =
                "batch \(batch.milliseconds): stream \(stream)" + (name.map { " (\($0))" } ?? "")
            return ([title + what] + lines).joined(separator: "\n")
        }
    }

    /// By batch and stream.
    public let inputs: [Input]
    private let directory: String
    /// How far the checkpoint relies on the log of choices.
    private let chosenEnd: LogPosition?

    /// Reads a checkpoint directory, without a lock: a program may be at work there.
    ///
    /// - Throws: ``CheckpointError``, ``LogError``, ``StorageError`` when it cannot be read.
    public static func read(
        from directory: String, on medium: some StorageMedium = FileStorageMedium()
    ) async throws -> PendingInputs {
        try await read(from: directory, on: medium, acceptingLoss: false)
    }

    /// Reads a checkpoint directory; of a log of choices that has lost something what is left, if
    /// that is accepted.
    package static func read(
        from directory: String, on medium: some StorageMedium, acceptingLoss: Bool
    ) async throws -> PendingInputs {
        // The checkpoint that counts at a start.
        guard let (files, _) = try await CheckpointFiles.inspect(directory, on: medium),
            let record = files.newest?.record
        else { return PendingInputs(inputs: [], directory: directory, chosenEnd: nil) }
        let end = acceptingLoss ? nil : record.logs[InputLogs.chosen]
        let choices: LoggedChoices
        do {
            choices = try await self.choices(in: directory, on: medium, record, through: end)
        } catch let error as LogError where acceptingLoss && error.code == .damaged {
            choices = LoggedChoices()
        }
        return PendingInputs(
            inputs: try inputs(in: choices.sorted, record), directory: directory, chosenEnd: end)
    }

    private static func choices(
        in directory: String, on medium: some StorageMedium, _ record: CheckpointRecord,
        through end: LogPosition?
    ) async throws -> LoggedChoices {
        var choices = LoggedChoices()
        let names = try await medium.perform {
            try InputLogs.names(in: directory, on: $0, reliedOn: record.logs)
        }
        guard names.contains(InputLogs.chosen) else { return choices }
        let log = try await LogInspection(
            of: directory + "/" + InputLogs.chosen, on: medium, reliedOn: end.map { [$0] } ?? [])
        for try await logged in log.records { try choices.add(logged.bytes) }
        return choices
    }

    /// What streams have chosen for the batches that run again after a checkpoint.
    package static func inputs(
        in choices: [(batch: BatchTime, stream: StreamID, choice: InputChoice)],
        _ record: CheckpointRecord
    ) throws -> [Input] {
        let streams = record.inputNames
        return try choices.filter { record.runsAgain($0.batch) }.map { entry in
            let number = entry.stream.rawValue
            return Input(
                batch: entry.batch, stream: entry.stream,
                name: streams.indices.contains(number) ? streams[number] : nil,
                kind: entry.choice.kind, parts: try entry.choice.names,
                forgotten: entry.choice.forgotten)
        }
    }

    /// Lets a batch run again without parts of what a stream chose for it, for good.
    ///
    /// What is in them is in no batch; the next start says so. Of ``InputChoice/Kind/lostOffsets`` nothing is
    /// skipped: the batch asks the source again, and reads on where earlier batches ended.
    ///
    /// - Parameters:
    ///   - parts: by name, as in ``Input/parts``; nil: all of them.
    ///   - directory: the checkpoint directory, which no program may have.
    /// - Returns: what the batch skips now.
    /// - Throws: ``CheckpointError`` `.notFound` when the stream has not chosen that for the batch;
    ///   ``LogError``, ``StorageError`` when the directory is in use, or cannot be read or written.
    @discardableResult
    public static func forget(
        _ parts: [String]? = nil, of stream: StreamID, for batch: BatchTime, in directory: String,
        on medium: some StorageMedium = FileStorageMedium()
    ) async throws -> Input {
        let before = try await read(from: directory, on: medium)
        let input = try before.input(of: stream, for: batch, having: parts)
        let key = LoggedChoices.Key(batch: batch, stream: stream)
        // A program that has the directory has its lock.
        let log = try await FileWriteAheadLog.open(
            directory + "/" + InputLogs.chosen, on: medium,
            reliedOn: before.chosenEnd.map { [$0] } ?? [])
        do {
            _ = try await log.write(
                try LoggedChoices.record(key, forgetting: parts ?? input.parts), time: batch)
            await log.close()
        } catch {
            await log.close()
            throw error
        }
        let after = try await read(from: directory, on: medium)
        return try after.input(of: stream, for: batch, having: nil)
    }

    private func input(
        of stream: StreamID, for batch: BatchTime, having parts: [String]?
    ) throws -> Input {
        guard let input = inputs.first(where: { $0.batch == batch && $0.stream == stream }) else {
            throw CheckpointError(
                .notFound,
                "\(directory): stream \(stream) has chosen nothing for batch "
                    + "\(batch.milliseconds), or the batch does not run again")
        }
        for part in parts ?? [] where !input.parts.contains(where: { $0.isPart(part) }) {
            throw CheckpointError(
                .notFound,
                "\(directory): \(part) is not in what stream \(stream) chose for batch "
                    + "\(batch.milliseconds)")
        }
        return input
    }
}

extension String {
    /// Whether it is a chosen part, or a file in a directory that is one.
    fileprivate func isPart(_ name: String) -> Bool { self == name || name.hasPrefix(self + "/") }
}

extension CheckpointRecord {
    /// Whether a restart runs a batch again, or for the first time.
    package func runsAgain(_ batch: BatchTime) -> Bool {
        batch > time || pendingBatches.contains(batch)
    }

    /// The operators of the input streams, in the order of their numbers.
    fileprivate var inputNames: [String] {
        fingerprint.split(separator: ";").compactMap { part in
            // An input has no parents.
            guard let end = part.firstRange(of: "()/"), let start = part.firstIndex(of: ":"),
                start < end.lowerBound
            else { return nil }
            return String(part[part.index(after: start)..<end.lowerBound])
        }
    }
}
