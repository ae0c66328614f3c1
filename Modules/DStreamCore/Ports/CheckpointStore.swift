/// What a restart needs to know besides state: written after generation and after completion.
public struct CheckpointRecord: Sendable, Hashable {
    /// The batch after which this was written.
    public var time: BatchTime
    /// The application's name.
    public var appName: String
    /// When the stream's batches are counted from.
    public var zeroTime: BatchTime
    /// The time between batches.
    public var batchInterval: Duration
    /// The graph's fingerprint.
    public var fingerprint: String
    /// Batches generated and not completed, ascending.
    public var pendingBatches: [BatchTime]
    /// Whether `time` has completed: only then may older metadata be forgotten.
    public var isCompleted: Bool

    /// Makes a record.
    public init(
        time: BatchTime, appName: String, zeroTime: BatchTime, batchInterval: Duration,
        fingerprint: String, pendingBatches: [BatchTime], isCompleted: Bool
    ) {
        self.time = time
        self.appName = appName
        self.zeroTime = zeroTime
        self.batchInterval = batchInterval
        self.fingerprint = fingerprint
        self.pendingBatches = pendingBatches
        self.isCompleted = isCompleted
    }
}

/// Keeps checkpoints.
///
/// ## Durability
/// ``write(_:)`` returns only when the record would survive whatever the implementation promises
/// to survive; an in-memory store survives nothing and says so.
public protocol CheckpointStore: Sendable {
    /// Keeps `record` as the newest.
    ///
    /// - Throws: when it was not kept; the one before is still the newest then.
    func write(_ record: CheckpointRecord) async throws

    /// The newest readable record, or nil when there is none.
    func latest() async throws -> CheckpointRecord?
}
