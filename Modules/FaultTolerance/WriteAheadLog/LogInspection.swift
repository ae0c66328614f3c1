public import DStreamCore

/// What lies in the directory of a ``FileWriteAheadLog``, looked at without a lock and without
/// changing anything.
///
/// A log that is being written shows what was there at that moment.
public struct LogInspection: Sendable {
    /// A file of the log.
    public struct Segment: Sendable, Hashable {
        /// The file's name.
        public let name: String
        /// How many of its bytes count.
        public let byteCount: Int
        /// Bytes behind them, that a crash left; cut when the log is opened.
        public let tornByteCount: Int
    }

    /// The directory.
    public let directory: String
    /// The files, oldest first.
    public let segments: [Segment]
    /// The records; reading all of them checks every byte.
    public let records: LogRecords

    private let opening: LogOpening

    /// Whether the log has everything up to a position, apart from what was cleaned.
    public func reaches(_ position: LogPosition) -> Bool { opening.reaches(position) }

    /// Whether a record was ever written to the log, also one that was cleaned since.
    package var hasHadRecords: Bool { opening.extent.newest > 0 }

    /// The number of records; reads and checks every byte.
    ///
    /// - Throws: as reading ``records``.
    package var recordCount: Int {
        get async throws {
            var count = 0
            for try await _ in records { count += 1 }
            return count
        }
    }

    /// Looks at a directory.
    ///
    /// - Parameters:
    ///   - directory: the log's; one that is missing is an empty log.
    ///   - medium: where it is.
    ///   - reliedOn: as for opening the log.
    /// - Throws: ``LogError`` `.damaged` or `.unsupported`, or ``StorageError``.
    public init(
        of directory: String, on medium: some StorageMedium = FileStorageMedium(),
        reliedOn: [LogPosition] = []
    ) async throws {
        let opening = try await medium.perform {
            try $0.rereading {
                try LogOpening($0, directory, mending: false, reliedOn: reliedOn)
            }
        }
        self.opening = opening
        self.directory = directory
        let last = opening.segments.count - 1
        segments = opening.segments.enumerated().map { index, segment in
            Segment(
                name: segment.name, byteCount: segment.end,
                tornByteCount: index == last ? opening.tornByteCount : 0)
        }
        records = LogRecords(
            medium: medium, directory: directory, catalogue: LogCatalogue(opening))
    }
}
