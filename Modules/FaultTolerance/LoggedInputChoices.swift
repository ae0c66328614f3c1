internal import BatchEngine
public import DStreamCore
internal import Synchronization

/// Keeps the choices of input streams in a write-ahead log.
public final class LoggedInputChoices: InputChoices {
    private let log: any WriteAheadLog
    private let choices: Locked<LoggedChoices>

    /// Takes up what an earlier run left in the log.
    ///
    /// - Throws: what reading the log throws, or `CodecError` for a record that is no choice.
    public init(log: any WriteAheadLog) async throws {
        var found = LoggedChoices()
        for record in try await log.readAll() { try found.add(record) }
        self.log = log
        choices = Locked(found)
    }

    /// What a stream chose for a batch.
    public func choice(of stream: StreamID, for batch: BatchTime) async -> InputChoice? {
        choices.withLock { $0.all[LoggedChoices.Key(batch: batch, stream: stream)] }
    }

    /// The batches after one for which any stream has chosen.
    package func batches(after batch: BatchTime) -> Set<BatchTime> {
        choices.withLock { choices in Set(choices.all.keys.map(\.batch).filter { $0 > batch }) }
    }

    /// Logs what a stream chose for a batch.
    ///
    /// - Throws: what the log throws; nothing was chosen then.
    public func keep(_ choice: InputChoice, of stream: StreamID, for batch: BatchTime) async throws
    {
        let key = LoggedChoices.Key(batch: batch, stream: stream)
        _ = try await log.write(try LoggedChoices.record(key, choice), time: batch)
        choices.withLock { $0.all[key] = choice }
    }

    /// Forgets batches before a threshold that are not pending, in the log as far as whole segments
    /// allow: all after the oldest that stays, stay there.
    public func release(
        before threshold: BatchTime, keeping pending: Set<BatchTime>
    ) async throws {
        choices.withLock { choices in
            choices.all = choices.all.filter {
                $0.key.batch >= threshold || pending.contains($0.key.batch)
            }
        }
        try await log.clean(before: min(threshold, pending.min() ?? threshold))
    }

    /// How far the log reaches; nil: it does not say.
    package var end: LogPosition? { log.end }

    /// Whether a stream has chosen for a batch.
    package func holds(_ batch: BatchTime, of stream: StreamID) -> Bool {
        choices.withLock { $0.all[LoggedChoices.Key(batch: batch, stream: stream)] != nil }
    }

    /// Everything that is kept, by batch and stream.
    package var all: [(batch: BatchTime, stream: StreamID, choice: InputChoice)] {
        choices.withLock { $0.sorted }
    }

    /// Ends the log.
    package func close() async { await log.close() }
}

/// What the records of a log of choices say together.
package struct LoggedChoices: Sendable {
    package struct Key: Hashable, Sendable {
        package let batch: BatchTime
        package let stream: StreamID

        package init(batch: BatchTime, stream: StreamID) {
            self.batch = batch
            self.stream = stream
        }
    }

    package var all: [Key: InputChoice] = [:]

    package init() {}

    package var sorted: [(batch: BatchTime, stream: StreamID, choice: InputChoice)] {
        all.sorted { ($0.key.batch, $0.key.stream) < ($1.key.batch, $1.key.stream) }
            .map { ($0.key.batch, $0.key.stream, $0.value) }
    }

    // MARK: Records; see Docs/Formats/Checkpoint.md

    /// In place of a kind: what the batch is to skip of the choice.
    private static let forgotten: UInt8 = 255

    /// The record of a choice.
    package static func record(_ key: Key, _ choice: InputChoice) throws -> [UInt8] {
        try record(key, choice.kind.rawValue, choice.bytes)
    }

    /// The record that skips parts of a choice.
    package static func record(_ key: Key, forgetting names: [String]) throws -> [UInt8] {
        try record(key, forgotten, try Codec<[String]>.of().bytes(of: names))
    }

    private static func record(_ key: Key, _ kind: UInt8, _ bytes: [UInt8]) throws -> [UInt8] {
        var writer = ByteWriter()
        writer.writeZigzag(key.batch.milliseconds)
        // Streams count from 0: a number below says that a kind follows.
        writer.writeZigzag(-1 - Int64(key.stream.rawValue))
        writer.writeByte(kind)
        writer.writeBytes(bytes)
        return try writer.takeBytes()
    }

    /// Takes note of a record; a later one of the same batch and stream counts.
    ///
    /// - Throws: `CodecError` for a record that is no choice.
    package mutating func add(_ record: [UInt8]) throws {
        try record.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            let batch = try reader.readTime()
            let number = try reader.readZigzag()
            let kind: UInt8 = number < 0 ? try reader.readByte() : 0
            let stream = StreamID(Int(clamping: number < 0 ? -1 - number : number))
            let rest = Array(try reader.readBytes(count: reader.remaining))
            let key = Key(batch: batch, stream: stream)
            if kind == Self.forgotten {
                all[key, default: InputChoice(.unknown)].forgotten +=
                    try Codec<[String]>.of().value(of: rest)
            } else if let kind = InputChoice.Kind(rawValue: kind) {
                all[key] = InputChoice(kind, rest)
            } else {
                throw CodecError(
                    .invalidValue, "a choice of kind \(kind); a newer program wrote it")
            }
        }
    }
}
