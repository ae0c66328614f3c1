internal import BatchEngine
public import DStreamCore
internal import Synchronization

/// Keeps the choices of input streams in a write-ahead log.
public final class LoggedInputChoices: InputChoices {
    private struct Choice: Hashable {
        let batch: BatchTime
        let stream: StreamID
    }

    private let log: any WriteAheadLog
    private let choices: Locked<[Choice: [UInt8]]>

    /// Takes up what an earlier run left in the log.
    ///
    /// - Throws: what reading the log throws, or `CodecError` for a record that is no choice.
    public init(log: any WriteAheadLog) async throws {
        var found: [Choice: [UInt8]] = [:]
        for record in try await log.readAll() {
            let (choice, bytes) = try Self.choice(of: record)
            found[choice] = bytes
        }
        self.log = log
        choices = Locked(found)
    }

    /// What a stream chose for a batch.
    public func choice(of stream: StreamID, for batch: BatchTime) async -> [UInt8]? {
        choices.withLock { $0[Choice(batch: batch, stream: stream)] }
    }

    /// The batches after one for which any stream has chosen.
    package func batches(after batch: BatchTime) -> Set<BatchTime> {
        choices.withLock { choices in Set(choices.keys.map(\.batch).filter { $0 > batch }) }
    }

    /// Logs what a stream chose for a batch.
    ///
    /// - Throws: what the log throws; nothing was chosen then.
    public func keep(_ choice: [UInt8], of stream: StreamID, for batch: BatchTime) async throws {
        let key = Choice(batch: batch, stream: stream)
        _ = try await log.write(try Self.record(key, choice), time: batch)
        choices.withLock { $0[key] = choice }
    }

    /// Forgets batches before a threshold that are not pending, in the log as far as whole segments
    /// allow: all after the oldest that stays, stay there.
    public func release(
        before threshold: BatchTime, keeping pending: Set<BatchTime>
    ) async throws {
        choices.withLock { choices in
            choices = choices.filter { $0.key.batch >= threshold || pending.contains($0.key.batch) }
        }
        try await log.clean(before: min(threshold, pending.min() ?? threshold))
    }

    /// How far the log reaches; nil: it does not say.
    package var end: LogPosition? { log.end }

    /// The newest batch that anything is known of; nil: none.
    package var newest: BatchTime? { choices.withLock { $0.keys.map(\.batch).max() } }

    /// Ends the log.
    package func close() async { await log.close() }

    // MARK: Records: batch, stream, and the choice to the end

    private static func record(_ choice: Choice, _ bytes: [UInt8]) throws -> [UInt8] {
        var writer = ByteWriter()
        writer.writeZigzag(choice.batch.milliseconds)
        writer.writeZigzag(Int64(choice.stream.rawValue))
        writer.writeBytes(bytes)
        return try writer.takeBytes()
    }

    private static func choice(of record: [UInt8]) throws -> (Choice, [UInt8]) {
        try record.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            let batch = try reader.readTime()
            let stream = StreamID(Int(clamping: try reader.readZigzag()))
            return (
                Choice(batch: batch, stream: stream),
                Array(try reader.readBytes(count: reader.remaining))
            )
        }
    }
}
