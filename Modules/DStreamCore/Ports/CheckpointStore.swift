public import BatchEngine

/// What a restart needs to know besides state: written after generation and after completion.
public struct CheckpointRecord: Sendable, Hashable {
    /// The newest batch that had been begun when this was written.
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
    /// The newest batch that has completed; nil: none has.
    public var newestCompleted: BatchTime?
    /// Into how many partitions a shuffle deals by default.
    public var parallelism = 0
    /// No state of a batch before this one is needed any more.
    public var oldestState = BatchTime.zero
    /// The operators that keep something between batches.
    public var operators: [StatefulOperator] = []
    /// How far the logs of inputs reached when this was written, by their names in the checkpoint
    /// directory: a restart relies on what they hold up to there.
    public var logs: [String: LogPosition] = [:]
    /// How the program was configured, by Spark's keys, for whoever reads the record.
    public var configuration: [String: String] = [:]

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

extension CheckpointRecord {
    private static func stateKey(_ known: StatefulOperator) -> String { "state.\(known.stateID)" }

    /// The batch that left the newest piece of an operator's state; nil: no piece must be there, or it
    /// is not said.
    package func newestState(of known: StatefulOperator) -> BatchTime? {
        configuration[Self.stateKey(known)].flatMap { Int64($0) }.map { .milliseconds($0) }
    }

    /// Says which batch left the newest piece of each operator, by ``OperatorState/operatorID``.
    package mutating func setNewestState(_ batches: [String: BatchTime]) {
        for known in operators {
            guard let newest = batches[known.stateID], newest >= oldestState else { continue }
            configuration[Self.stateKey(known)] = "\(newest.milliseconds)"
        }
    }
}

/// A piece of what one operator keeps between batches.
public struct OperatorState: Sendable, Hashable {
    /// What a piece says.
    public enum Kind: UInt8, Sendable, Hashable, CaseIterable {
        /// The stream's elements of one batch, or part of them.
        case elements = 1
        /// All states after a batch, or part of them; what was said of earlier batches is void.
        case whole = 2
        /// The states that one batch changed, or some that it left as they were.
        case changes = 3
        /// Nothing by itself: the changes of this batch and later ones hold every state.
        case base = 4
    }

    /// The operator's ``StatefulOperator/id``.
    public var operatorID: String
    /// The batch that left it.
    public var time: BatchTime
    /// What it says.
    public var kind: Kind
    /// The partition it is of, and of how many.
    public var partition: Int
    /// How many partitions the operator had.
    public var partitionCount: Int
    /// Elements, or keys with states, written by the operator's codec.
    public var values: EncodedValues
    /// Keys that have no state any more, written by the codec of keys.
    public var removed: EncodedValues

    /// Makes a piece.
    public init(
        operatorID: String, time: BatchTime, kind: Kind, partition: Int, partitionCount: Int,
        values: EncodedValues, removed: EncodedValues = EncodedValues(bytes: [], count: 0)
    ) {
        self.operatorID = operatorID
        self.time = time
        self.kind = kind
        self.partition = partition
        self.partitionCount = partitionCount
        self.values = values
        self.removed = removed
    }
}

/// What a store found of an earlier run.
public struct RecoveredCheckpoint: Sendable, Hashable {
    /// The newest readable record.
    public var record: CheckpointRecord
    /// The state that was written with it and before, in the order of the writes.
    ///
    /// Pieces of one write may come in any order; those before the record's `oldestState` may be
    /// missing. A start notices when the newest piece of an operator is.
    public var state: [OperatorState]
    /// What was found damaged and passed over, in words; empty when all was well.
    public var problems: [String]

    /// Makes it.
    public init(record: CheckpointRecord, state: [OperatorState], problems: [String] = []) {
        self.record = record
        self.state = state
        self.problems = problems
    }
}

/// Keeps checkpoints.
///
/// ## Durability
/// ``write(_:state:)`` returns only when record and state would survive whatever the implementation
/// promises to survive; an in-memory store survives nothing and says so.
///
/// `checkCheckpointStore` of DStreamTestKit checks a store of your own.
public protocol CheckpointStore: Sendable {
    /// Keeps `record` as the newest, together with the state that was left since the last one kept.
    ///
    /// State of batches before the record's `oldestState` may be forgotten.
    ///
    /// - Throws: when it was not kept; the one before is still the newest then.
    func write(_ record: CheckpointRecord, state: [OperatorState]) async throws

    /// What is left of an earlier run; nil when there is nothing.
    ///
    /// - Throws: when there is something and none of it can be used.
    func recover() async throws -> RecoveredCheckpoint?

    /// Lets go of whatever it holds; called last, by the context that used it.
    func close() async
}

extension CheckpointStore {
    /// Has nothing to let go of.
    public func close() async {}
}

extension OperatorState {
    /// How many keys it says something of.
    @usableFromInline var changeCount: Int { values.count + removed.count }
}
