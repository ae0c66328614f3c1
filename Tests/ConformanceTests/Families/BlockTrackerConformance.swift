import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import ReceiverRuntime

/// Which blocks belong to which batch, with a log on files or without one.
enum BlockTrackerConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("received_block_tracker", pipelines: ["blockTracker"]) {
            try await compare(&$0)
        }
    }

    static func compare(_ recorded: inout RecordedCase) async throws -> [String] {
        var run = try await TrackerRun(&recorded.params)
        var differences: [String] = []
        for json in try recorded.takeSteps() {
            var step = try PieceStep(json)
            if let files = try await run.perform(&step) {
                _ = recorded.declare(files.ours, insteadOf: files.spark, .ownFormats)
            }
            differences += try step.finish()
        }
        await run.log?.close()
        return differences
    }
}

/// A tracker, and those that take its place.
private struct TrackerRun {
    private static let directory = "/received"

    private(set) var log: FileWriteAheadLog?
    private var names: LogFilePair
    /// The batches that got blocks, as far as they are not forgotten.
    private var allocated: Set<Int64> = []
    private var lastAllocated = Int64.min
    private let clock = ManualClock()
    private let engine = LocalEngine(slots: 1)
    private let medium = SimulatedStorageMedium()
    private let receivers: [ReceiverRegistration]
    private let options: FileWriteAheadLog.Options
    private let isLogged: Bool
    private var tracker: ReceiverTracker

    init(_ params: inout PieceStep) async throws {
        receivers = try params.takeArray("streams").map { json in
            ReceiverRegistration(
                ReceiverFeed<Int>(), streamID: StreamID(try ElementForm.int.read(json)))
        }
        isLogged = try params.takeBool("writeAheadLog")
        options = FileWriteAheadLog.Options(
            rollingInterval: .seconds(try params.takeInt("rollingIntervalSecs")))
        names = LogFilePair(interval: options.rollingInterval)
        if isLogged {
            log = try await FileWriteAheadLog.open(Self.directory, on: medium, options: options)
        }
        tracker = try Self.tracker(receivers, engine, clock, log)
    }

    private static func tracker(
        _ receivers: [ReceiverRegistration], _ engine: LocalEngine, _ clock: ManualClock,
        _ log: FileWriteAheadLog?
    ) throws -> ReceiverTracker {
        try ReceiverTracker(
            receivers: receivers,
            configuration: ReceiverConfiguration(batchInterval: .seconds(1)), engine: engine,
            clock: clock, bus: ListenerBus(), log: log)
    }

    /// - Returns: the files there are to be, by our rule and by Spark's, where a case has them.
    mutating func perform(
        _ step: inout PieceStep
    ) async throws -> (ours: [String], spark: [String])? {
        switch try step.takeString("do") {
        case "addBlock":
            let block = try block(&step)
            let tracker = tracker
            try step.expectOutcome(
                await Result {
                    try await tracker.addBlock(block)
                    return .bool(true)
                })
            _ = names.both { $0.write(at: clock.now.milliseconds) }
        case "allocateBlocksToBatch":
            let time = try step.takeTime("timeMillis")
            try await tracker.allocateBlocks(to: time)
            noteAllocation(time.milliseconds)
            try step.expect("result", json(await tracker.blocks(allocatedTo: time)))
        case "getBlocksOfBatch":
            let time = try step.takeTime("timeMillis")
            try step.expect("result", json(await tracker.blocks(allocatedTo: time)))
        case "getBlocksOfBatchAndStream":
            let stream = StreamID(Int(try step.takeInt("stream")))
            let time = try step.takeTime("timeMillis")
            try step.expect(
                "result", json(await tracker.blocks(allocatedTo: time, stream: stream)))
        case "advanceClock":
            clock.advance(by: .milliseconds(try step.takeInt("millis")))
            try step.expect("result", .null)
        case "cleanupOldBatches":
            let threshold = try step.takeTime("thresholdMillis")
            let tracker = tracker
            if threshold < clock.now { noteCleanUp(threshold.milliseconds) }
            try step.expectOutcome(
                await Result {
                    try await tracker.releaseBatches(before: threshold)
                    return .null
                })
        case "newTracker":
            try await renew(recovers: try step.takeBool("recoverFromWriteAheadLog"))
            try step.expect("result", .null)
        case let other: throw PieceStep.Malformed(description: "unknown operation \(other)")
        }
        try await compareWaiting(&step)
        guard step.has("files") else { return nil }
        let files = try medium.list(Self.directory).filter { $0.hasPrefix("log-") }
        return try names.compare(files, &step)
    }

    /// A record is not to be cleaned before its batch is: here it has the batch's time if that is
    /// later than the clock's.
    private mutating func noteAllocation(_ time: Int64) {
        guard time > lastAllocated else { return }
        lastAllocated = time
        allocated.insert(time)
        names.write(at: clock.now.milliseconds, oursAt: max(clock.now.milliseconds, time))
    }

    /// Spark logs also that there was nothing to clean up.
    private mutating func noteCleanUp(_ threshold: Int64) {
        let now = clock.now.milliseconds
        if allocated.contains(where: { $0 < threshold }) {
            names.write(at: now, oursAt: now)
        } else {
            names.writeInSparkOnly(at: now)
        }
        allocated = allocated.filter { $0 >= threshold }
        _ = names.both { $0.clean(before: threshold) }
    }

    private mutating func renew(recovers: Bool) async throws {
        await log?.close()
        if isLogged {
            log = try await FileWriteAheadLog.open(Self.directory, on: medium, options: options)
        }
        if !isLogged || !recovers { (allocated, lastAllocated) = ([], .min) }
        _ = names.both { $0.reopen() }
        tracker = try Self.tracker(receivers, engine, clock, log)
        if recovers { try await tracker.recover() }
    }

    private func compareWaiting(_ step: inout PieceStep) async throws {
        if step.has("hasUnallocated") {
            try step.expect("hasUnallocated", .bool(await tracker.hasUnallocatedBlocks))
        }
        guard step.has("unallocated") else { return }
        var waiting: [StreamID: [StoredBlock]] = [:]
        for receiver in receivers {
            waiting[receiver.streamID] = await tracker.unallocatedBlocks(of: receiver.streamID)
        }
        try step.expect("unallocated", json(waiting))
    }

    private func block(_ step: inout PieceStep) throws -> StoredBlock {
        let name = try step.takeString("block")
        let stream = Int(try step.takeInt("stream"))
        guard let number = name.split(separator: "-").last.flatMap({ Int64($0) }),
            "\(BlockID.input(stream: stream, number))" == name
        else { throw PieceStep.Malformed(description: "no block of stream \(stream): \(name)") }
        return StoredBlock(
            id: .input(stream: stream, number), streamID: StreamID(stream), recordCount: 1,
            byteCount: 1)
    }

    private func json(_ blocks: [StoredBlock]) -> PieceJSON {
        .array(blocks.map { .string("\($0.id)") })
    }

    private func json(_ blocks: [StreamID: [StoredBlock]]) -> PieceJSON {
        .object(
            Dictionary(
                uniqueKeysWithValues: blocks.map { ("\($0.key.rawValue)", json($0.value)) }))
    }
}
