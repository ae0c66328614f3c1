import DStreamTestKit
import FaultTolerance
import JobGeneration
import StreamingContext
import Synchronization

/// Parts with a mistake each, as somebody might make it: the check of each port notices it.
nonisolated enum OwnMistakes {
    static func check() async throws {
        try await storage()
        try await running()
        try await inputsAndOutputs()
    }

    private static func storage() async throws {
        try await notices("WriteAheadLog") { try await checkWriteAheadLog({ ReversedLog() }) }
        try await notices("DeadLetterStore") {
            try await checkDeadLetterStore { ForgetfulLetters() }
        }
        try await notices("InputChoices") { try await checkInputChoices({ EagerChoices() }) }
        try await notices("CheckpointStore") {
            try await checkCheckpointStore({ StatelessStore() })
        }
        try await notices("StorageMedium") {
            try checkStorageMedium(LocklessMedium(), in: "/checked")
        }
        try await notices("BlockStore") { try checkBlockStore { LeakyBlockStore() } }
    }

    private static func running() async throws {
        try await notices("RateEstimator") { try checkRateEstimator { ConstantEstimator() } }
        try await notices("RateController") {
            try await checkRateController({ HighestRate() }, read: { $0.base.rate(of: $1) })
        }
        try await notices("BlockAllocator") {
            try await checkBlockAllocator({ GreedyAllocator() }, add: { $0.base.add($1) })
        }
        try await notices("ReceivedBlockHandler") {
            try await checkReceivedBlockHandler { stream, _ in
                OwnBlockHandler(stream, OwnBlockStore(), .memoryOnly, nil)
            }
        }
        try await notices("ExecutionEngine") {
            try await checkExecutionEngine { DeafEngine() }
        }
        try await notices("StreamClock") { try await checkStreamClock(EarlyClock()) }
        try await notices("Partitioner") {
            try checkPartitioner(FromOne(partitionCount: 2), keys: [Place(country: "", number: 1)])
        }
        try await notices("StreamKey") { try checkStreamKey([Lopsided(one: 1), Lopsided(one: 2)]) }
        try await notices("StreamCodable") { try checkStreamCodable([Lopsided(one: 1)]) }
    }

    private static func inputsAndOutputs() async throws {
        let tables = (0..<8).map { _ in OwnSink.Table() }
        try await notices("TransactionalSink") {
            try await checkTransactionalSink(
                elements: ["a", "b", "c", "d", "e"],
                make: { AmnesicSink(base: OwnSink(tables[$0], id: "table \($0)")) },
                read: { tables[$0].rows })
        }
        let places = [Place(country: "FR", number: 1), Place(country: "IT", number: 2)]
        try await notices("Receiver") {
            try await checkReceiver(
                OwnReceiver(places: [places[0]]), patience: .milliseconds(200)
            ) { _ in places }
        }
        try await notices("DirectSource") { try await checkDirectSource(ShortSource()) }
    }

    private static func notices(_ port: String, _ check: () async throws -> Void) async throws {
        do { try await check() } catch is CheckFailure { return }
        preconditionFailure("the check of \(port) passed a wrong one")
    }
}

/// Gives the newest record first.
nonisolated private final class ReversedLog: WriteAheadLog {
    private let base = OwnLog()

    func write(_ record: [UInt8], time: BatchTime) async throws -> LogRecordHandle {
        try await base.write(record, time: time)
    }
    func read(_ handle: LogRecordHandle) async throws -> [UInt8] { try await base.read(handle) }
    func readAll() async throws -> [[UInt8]] { try await base.readAll().reversed() }
    func clean(before threshold: BatchTime) async throws { try await base.clean(before: threshold) }
    func close() async { await base.close() }
}

/// Does not know what was replayed.
nonisolated private final class ForgetfulLetters: DeadLetterStore {
    private let base = OwnDeadLetters()

    func prepare() async throws { try await base.prepare() }
    func write(_ letter: DeadLetter) async throws { try await base.write(letter) }
    func list() async throws -> DeadLetterListing { try await base.list() }
    func read(_ id: DeadLetter.ID) async throws -> DeadLetter { try await base.read(id) }
    func settle(_ id: DeadLetter.ID) async throws { try await base.settle(id) }
    func isKnown(_ id: DeadLetter.ID) async throws -> Bool {
        try await base.list().entries.contains { $0.id == id }
    }
    func lockForReplay() async throws -> any DeadLetterLock { try await base.lockForReplay() }
}

/// Forgets batches that are pending.
nonisolated private final class EagerChoices: InputChoices {
    private let base = OwnChoices()

    func choice(of stream: StreamID, for batch: BatchTime) async -> InputChoice? {
        await base.choice(of: stream, for: batch)
    }
    func keep(_ choice: InputChoice, of stream: StreamID, for batch: BatchTime) async throws {
        try await base.keep(choice, of: stream, for: batch)
    }
    func release(before threshold: BatchTime, keeping pending: Set<BatchTime>) async throws {
        try await base.release(before: threshold, keeping: [])
    }
}

/// Keeps the record alone.
nonisolated private final class StatelessStore: CheckpointStore {
    private let base = OwnCheckpointStore()

    func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
        try await base.write(record, state: [])
    }
    func recover() async throws -> RecoveredCheckpoint? { try await base.recover() }
}

/// Gives a lock to everybody.
nonisolated private final class LocklessMedium: StorageMedium {
    private struct Nothing: StorageLock {
        func release() {}
    }
    private let base = OwnMedium()

    func list(_ directory: String) throws -> [String] { try base.list(directory) }
    func createDirectory(_ path: String) throws -> Bool { try base.createDirectory(path) }
    func syncDirectory(_ path: String) throws { try base.syncDirectory(path) }
    func open(_ path: String, _ mode: StorageOpenMode) throws -> any StorageFile {
        try base.open(path, mode)
    }
    func byteCount(of path: String) throws -> Int? { try base.byteCount(of: path) }
    func rename(_ path: String, to target: String) throws { try base.rename(path, to: target) }
    func remove(_ path: String) throws -> Bool { try base.remove(path) }
    func lock(_ path: String, owner: String) throws -> any StorageLock {
        _ = try base.open(path, .append)
        return Nothing()
    }
}

/// Keeps what was removed.
nonisolated private final class LeakyBlockStore: BlockStore {
    private let base = OwnBlockStore()

    func put(
        _ id: BlockID, _ contents: [PartitionData], level: StorageLevel, codec: ErasedCodec?
    ) throws {
        try base.put(id, contents, level: level, codec: codec)
    }
    func get(_ id: BlockID) throws -> [PartitionData]? { try base.get(id) }
    func remove(_ id: BlockID) {}
    var usage: BlockStoreUsage { base.usage }
}

/// Does not look at the batch's time.
nonisolated private struct ConstantEstimator: RateEstimator {
    mutating func compute(
        time: BatchTime, elements: Int, processingDelay: Duration, schedulingDelay: Duration
    ) -> Double? { 10 }
}

/// Is read as another than it was written.
nonisolated private struct Lopsided: StreamKey {
    let one: Int

    func encode(to writer: inout ByteWriter) { one.encode(to: &writer) }
    static func decode(from reader: inout ByteReader) throws -> Lopsided {
        Lopsided(one: try Int.decode(from: &reader) + 1)
    }
    var stableHash: UInt64 { one.stableHash }
}

/// Does not know after a restart what was committed.
nonisolated private struct AmnesicSink: TransactionalSink {
    let base: OwnSink

    var id: String { base.id }
    func recover(slide: Duration) async throws -> CommittedBatches {
        _ = try await base.recover(slide: slide)
        return CommittedBatches([])
    }
    func prepare(
        _ elements: PartitionChunks<String>, _ task: TaskContext
    ) async throws -> [String] { try await base.prepare(elements, task) }
    func commit(_ prepared: [[String]], batch: BatchTime) async throws {
        try await base.commit(prepared, batch: batch)
    }
    func discard(_ prepared: [[String]], batch: BatchTime) async {
        await base.discard(prepared, batch: batch)
    }
    func close() async { await base.close() }
}

/// Leaves out the last record of a range.
nonisolated private struct ShortSource: DirectSource {
    private let base = OwnSource()

    func latestOffsets() async throws -> [TopicPartition: Int64] { try await base.latestOffsets() }
    func startingOffset(of partition: TopicPartition) async throws -> Int64 {
        try await base.startingOffset(of: partition)
    }
    func read(_ range: OffsetRange, _ body: (Int64) throws -> Void) throws {
        for offset in (range.fromOffset..<range.untilOffset).dropLast() { try body(offset) }
    }
}

/// Never slows down.
nonisolated private final class HighestRate: RateController {
    let base = OwnRates()

    func updateRate(_ elementsPerSecond: Double, of stream: StreamID) async {
        await base.updateRate(
            max(elementsPerSecond, base.rate(of: stream) ?? 0), of: stream)
    }
}

/// Gives all blocks of a batch to every stream.
nonisolated private final class GreedyAllocator: BlockAllocator {
    let base = OwnAllocator(OwnBlockStore())

    func allocateBlocks(to batch: BatchTime) async throws {
        try await base.allocateBlocks(to: batch)
    }
    func blocks(allocatedTo batch: BatchTime, stream: StreamID) async -> [StoredBlock] {
        let others = await base.blocks(allocatedTo: batch, stream: StreamID(7))
        return await base.blocks(allocatedTo: batch, stream: StreamID(0)) + others
    }
    func releaseBatches(before threshold: BatchTime, keeping pending: Set<BatchTime>) async throws {
        try await base.releaseBatches(before: threshold, keeping: pending)
    }
    var hasUnallocatedBlocks: Bool { get async { await base.hasUnallocatedBlocks } }
}

/// Does not hear that it is to give up.
nonisolated private final class DeafEngine: ExecutionEngine {
    private let base = OwnEngine()

    var capabilities: EngineCapabilities { base.capabilities }
    var defaultParallelism: Int { base.defaultParallelism }
    var blockStore: any BlockStore { base.blockStore }
    var stateStore: any StateStore { base.stateStore }
    func run(
        _ request: StageRequest,
        receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws { try await base.run(request, receive: receive) }
    func perform(
        _ label: String, _ body: @escaping @concurrent @Sendable () async throws -> Void
    ) async throws { try await base.perform(label, body) }
    @discardableResult
    func abandon(reason: String) -> [String] { [] }
    func shutdown() {}
}

/// Wakes its sleepers at once.
nonisolated private struct EarlyClock: StreamClock {
    private let base = SystemStreamClock()

    var now: BatchTime { base.now }
    var monotonicNow: Duration { base.monotonicNow }
    func sleep(until deadline: BatchTime) async throws {}
    func sleep(untilMonotonic deadline: Duration) async throws {}
}

/// Counts partitions from 1.
nonisolated private struct FromOne: Partitioner {
    let partitionCount: Int

    func partition(for key: Place) -> Int { partitionCount }
}
