import JobGeneration
import StreamingContext
import Synchronization

/// A clock that is ahead of another one.
nonisolated struct OwnClock: StreamClock {
    let base: any StreamClock
    let lead: Duration

    var now: BatchTime { base.now + lead }
    var monotonicNow: Duration { base.monotonicNow }

    func sleep(until deadline: BatchTime) async throws {
        try await base.sleep(until: deadline - lead)
    }

    func sleep(untilMonotonic deadline: Duration) async throws {
        try await base.sleep(untilMonotonic: deadline)
    }
}

/// Keeps what is logged.
nonisolated final class OwnLogger: DiagnosticLogger {
    private let messages = Mutex<[String]>([])

    func log(
        level: DiagnosticLevel, _ message: @autoclosure () -> String, metadata: [String: String]
    ) {
        let text = message()
        messages.withLock { $0.append(text) }
    }
}

/// Gives the times of completed batches.
nonisolated final class OwnListener: StreamingListener {
    let batches: AsyncStream<BatchTime>
    private let continuation: AsyncStream<BatchTime>.Continuation

    init() { (batches, continuation) = AsyncStream.makeStream() }

    func onBatchCompleted(_ batch: BatchInfo) { continuation.yield(batch.batchTime) }
}

/// Lets receivers run as fast as ten elements a second.
nonisolated struct OwnEstimator: RateEstimator {
    private var last: BatchTime?

    mutating func compute(
        time: BatchTime, elements: Int, processingDelay: Duration, schedulingDelay: Duration
    ) -> Double? {
        if let last, time <= last { return nil }
        last = time
        return 10
    }
}

/// Keeps the newest checkpoint for as long as the program runs.
nonisolated final class OwnCheckpointStore: CheckpointStore {
    private let kept = Mutex<(record: CheckpointRecord?, state: [OperatorState])>((nil, []))

    func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
        kept.withLock { kept in
            kept.record = record
            kept.state = (kept.state + state).filter { $0.time >= record.oldestState }
        }
    }

    func recover() async throws -> RecoveredCheckpoint? {
        kept.withLock { kept in
            kept.record.map { RecoveredCheckpoint(record: $0, state: kept.state) }
        }
    }
}
