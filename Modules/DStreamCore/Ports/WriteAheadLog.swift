/// Where a log record lies; only the log that made it can read it.
public struct LogRecordHandle: Sendable, Hashable {
    /// The record's place, in the log's own terms.
    public let place: String

    /// Makes a handle.
    public init(place: String) { self.place = place }
}

/// How far a log reaches, in its own terms: everything before is durable.
///
/// A checkpoint names it, so that a restart notices when the end of a log is gone.
public struct LogPosition: Sendable, Hashable {
    /// The part of the log, such as a file's number; 0: none has been written yet.
    public let segment: UInt64
    /// How much of that part counts.
    public let offset: UInt64

    /// Makes a position.
    public init(segment: UInt64, offset: UInt64) {
        self.segment = segment
        self.offset = offset
    }
}

/// Keeps records in the order they were written, across crashes where the implementation says so.
///
/// ## Durability
/// ``write(_:time:)`` returns only after the record is durable.
///
/// A context makes its own, on its storage medium. One of yours goes into a `LoggedBlockHandler` or a
/// `ReceiverTracker`; `checkWriteAheadLog` of DStreamTestKit checks it.
public protocol WriteAheadLog: Sendable {
    /// Appends a record.
    ///
    /// - Parameter time: the batch or block time used by ``clean(before:)``.
    func write(_ record: [UInt8], time: BatchTime) async throws -> LogRecordHandle

    /// ``write(_:time:)`` of a record in parts that follow one another.
    ///
    /// A log may save itself the copy that putting them together takes.
    func write(parts: [[UInt8]], time: BatchTime) async throws -> LogRecordHandle

    /// The record behind `handle`.
    func read(_ handle: LogRecordHandle) async throws -> [UInt8]

    /// All records that were not cleaned, oldest first.
    func readAll() async throws -> [[UInt8]]

    /// Removes records older than `threshold`, as far as whole segments allow.
    func clean(before threshold: BatchTime) async throws

    /// A threshold that, and below which, cleaning leaves the record; nil: not known.
    ///
    /// It lets those who hold records of an earlier run clean what is older than them.
    func cleaningThreshold(keeping handle: LogRecordHandle) -> BatchTime?

    /// How far the log reaches now; nil: it does not say.
    var end: LogPosition? { get }

    /// Ends the log; further writes throw.
    func close() async
}

extension WriteAheadLog {
    /// Puts the parts together.
    public func write(parts: [[UInt8]], time: BatchTime) async throws -> LogRecordHandle {
        try await write(Array(parts.joined()), time: time)
    }

    /// Not said.
    public var end: LogPosition? { nil }

    /// Not known.
    public func cleaningThreshold(keeping handle: LogRecordHandle) -> BatchTime? { nil }
}
