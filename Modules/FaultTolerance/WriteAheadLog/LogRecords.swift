/// The records of a ``FileWriteAheadLog``, read as they are asked for.
///
/// Each iteration begins anew with what is durable then.
///
/// ## Errors
/// Throws ``LogError`` `.damaged`, or ``StorageError``; what came before is right.
public struct LogRecords: AsyncSequence, Sendable {
    /// A record.
    public typealias Element = LogRecord

    let medium: any StorageMedium
    let directory: String
    let catalogue: LogCatalogue

    /// Begins with the oldest record.
    public func makeAsyncIterator() -> AsyncIterator {
        let catalogue = catalogue
        let reader = SegmentReader(
            catalogue.segments, in: directory, of: medium,
            isLive: { catalogue.contains($0.header.sequence) })
        return AsyncIterator(medium: medium, reader: reader)
    }

    /// Reads about a megabyte at a time.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private static let byteMaximum = 1 << 20

        let medium: any StorageMedium
        var reader: SegmentReader
        private var batch: ArraySlice<LogRecord> = []
        private var isAtEnd = false

        init(medium: any StorageMedium, reader: SegmentReader) {
            self.medium = medium
            self.reader = reader
        }

        /// The next record.
        public mutating func next() async throws -> LogRecord? {
            if batch.isEmpty, !isAtEnd { try await fill() }
            return batch.popFirst()
        }

        private mutating func fill() async throws {
            let before = reader
            let (records, after) = try await medium.perform { _ in
                var reader = before
                return (try reader.next(byteMaximum: Self.byteMaximum), reader)
            }
            reader = after
            batch = records[...]
            isAtEnd = records.isEmpty
        }
    }
}
