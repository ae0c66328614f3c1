import BatchEngine
import DStreamCore
import JobGeneration
import Synchronization

/// A graph whose batches are what a closure says.
final class ScriptedSource: JobSource {
    let trace: Trace
    let fingerprint = "scripted"
    let statefulOperators: [StatefulOperator] = []
    let inputRememberDuration: Duration
    private let make: @Sendable (BatchTime, GenerationContext) async throws -> [OutputJob]

    init(
        _ trace: Trace, remember: Duration = .seconds(1),
        make:
            @escaping @Sendable (BatchTime, GenerationContext) async throws -> [OutputJob] = {
                _, _ in []
            }
    ) {
        self.trace = trace
        inputRememberDuration = remember
        self.make = make
    }

    func generateJobs(
        at time: BatchTime, _ context: GenerationContext
    ) async throws -> [OutputJob] {
        trace.note("generate \(time.text)")
        return try await make(time, context)
    }

    func clearMetadata(_ time: BatchTime) { trace.note("clear \(time.text)") }

    func captureState(
        through time: BatchTime, since: BatchTime?, _ context: GenerationContext
    ) async throws -> (pieces: [OperatorState], oldest: BatchTime) { ([], time) }
}

/// An allocator that notes its calls.
final class RecordingAllocator: BlockAllocator {
    let trace: Trace
    /// How many of the next looks find blocks that are left.
    let looksWithBlocks = Locked(0)
    let allocationError = Locked<Boom?>(nil)
    let releaseError = Locked<Boom?>(nil)

    init(_ trace: Trace) { self.trace = trace }

    func allocateBlocks(to batch: BatchTime) async throws {
        trace.note("allocate \(batch.text)")
        if let error = allocationError.withLock({ $0 }) { throw error }
    }

    func blocks(allocatedTo batch: BatchTime, stream: StreamID) async -> [StoredBlock] { [] }

    func releaseBatches(
        before threshold: BatchTime, keeping pending: Set<BatchTime>
    ) async throws {
        let kept = pending.isEmpty ? "" : " keeping \(pending.sorted().map(\.text))"
        trace.note("release before \(threshold.text)" + kept)
        if let error = releaseError.withLock({ $0 }) { throw error }
    }

    var hasUnallocatedBlocks: Bool {
        get async {
            trace.note("probe")
            return looksWithBlocks.withLock { looks in
                defer { looks = max(0, looks - 1) }
                return looks > 0
            }
        }
    }
}

/// A store that notes its writes and lets them end when a gate says so.
final class RecordingStore: CheckpointStore {
    let trace: Trace
    let gate: Gate?
    let error = Locked<Boom?>(nil)
    let records = Locked<[CheckpointRecord]>([])

    init(_ trace: Trace, gate: Gate? = nil) {
        self.trace = trace
        self.gate = gate
    }

    func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
        let pending = record.pendingBatches.map(\.text)
        trace.note(
            "checkpoint \(record.time.text) pending \(pending)"
                + (record.isCompleted ? " completed" : ""))
        try await gate?.pass()
        if let error = error.withLock({ $0 }) { throw error }
        records.withLock { $0.append(record) }
    }

    func recover() async throws -> RecoveredCheckpoint? {
        records.withLock { $0.last }.map { RecoveredCheckpoint(record: $0, state: []) }
    }
}

/// A scheduler whose batches end when the test says so.
final class ScriptedQueue: JobQueue {
    let trace: Trace
    /// How batches end as soon as they are submitted; nil: when the test says so.
    let immediateOutcome: JobSetOutcome?
    private let open = Locked<[BatchTime: @Sendable (JobSetOutcome) -> Void]>([:])

    init(_ trace: Trace, immediateOutcome: JobSetOutcome? = nil) {
        self.trace = trace
        self.immediateOutcome = immediateOutcome
    }

    func submit(
        _ jobSet: JobSet, onEnd: @escaping @Sendable (JobSetOutcome) -> Void
    ) async throws {
        let records = jobSet.inputInfo.values.reduce(0) { $0 + $1.recordCount }
        let text = "submit \(jobSet.time.text) jobs \(jobSet.jobs.count) records \(records)"
        open.withLock { $0[jobSet.time] = onEnd }
        trace.note(text)
        if let immediateOutcome { end(jobSet.time, immediateOutcome) }
    }

    func setAside(_ batch: BatchTime) async { trace.note("set aside \(batch.text)") }

    func end(_ batch: BatchTime, _ outcome: JobSetOutcome = .completed) {
        open.withLock { $0.removeValue(forKey: batch) }?(outcome)
    }
}

/// A controller that notes the rates.
final class RecordingController: RateController {
    let trace = Trace()

    func updateRate(_ elementsPerSecond: Double, of stream: StreamID) async {
        trace.note("\(stream): \(elementsPerSecond)")
    }
}

extension OutputJob {
    /// An output operation with a place of its own.
    static func scripted(
        _ number: Int, _ run: @escaping @Sendable () async throws -> Void = {}
    ) -> OutputJob {
        OutputJob(
            outputOperation: number,
            site: OperatorSite("foreachRDD", file: "App/Main.swift", line: UInt(10 + number)),
            run: run)
    }
}
