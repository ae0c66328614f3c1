import BatchEngine
import DStreamCore
import DStreamTestKit
import Synchronization

/// A graph driven by hand: batches are made when a test says so, and run when it says so.
final class StateRun {
    struct Batch {
        let time: BatchTime
        let jobs: [OutputJob]
    }

    let graph = DStreamGraph(batchInterval: .seconds(1))
    let engine: any ExecutionEngine
    let context: GenerationContext
    /// When seconds are counted from.
    let zero: BatchTime
    private(set) var now: BatchTime

    init(
        _ engine: any ExecutionEngine = InlineEngine(), maxTaskFailures: Int = 1,
        zero: BatchTime = .zero
    ) {
        self.engine = engine
        self.zero = zero
        now = zero
        context = GenerationContext(
            batch: BatchContext(engine: engine, maxTaskFailures: maxTaskFailures),
            allocator: NoBlocks(), inputInfo: Unreported(), standardOutput: { _ in })
    }

    /// What outputs run on.
    var batch: BatchContext { context.batch }

    /// An input of given batches, empty ones later; nil: no RDD.
    ///
    /// - Parameter check: called with the second when a batch is made.
    func input<Element: Sendable>(
        _ batches: [[Element]?], partitions: Int = 2,
        check: @escaping @Sendable (Int) throws -> Void = { _ in }
    ) -> DStream<Element> {
        let zero = zero
        return graph.inputStream { time, context in
            let index = Int((time - zero).milliseconds / 1000) - 1
            try check(index + 1)
            let elements = index < batches.count ? batches[index] : []
            return elements.map { context.batch.parallelize($0, partitions: partitions) }
        }
    }

    /// Makes a stream an output whose elements are kept by batch.
    func record<Element: Sendable>(
        _ stream: DStream<Element>,
        where isLookedAt: @escaping @Sendable (BatchTime) -> Bool = {
            _ in true
        }
    ) -> Recorded<Element> {
        let recorded = Recorded<Element>(zero)
        stream.foreachRDD { rdd, time in
            guard isLookedAt(time) else { return }
            recorded.set(partitions: try await rdd.collectPartitions(), at: time)
        }
        return recorded
    }

    func start() throws {
        graph.setCheckpointDirectory(true)
        try graph.start(zeroTime: zero)
    }

    /// Makes the next batch.
    func make() async throws -> Batch {
        now = now + .seconds(1)
        return Batch(time: now, jobs: try await graph.generateJobs(at: now, context))
    }

    /// Runs a batch's jobs and clears up.
    ///
    /// - Returns: what failed.
    func run(_ batch: Batch) async -> [any Error] {
        var errors: [any Error] = []
        for job in batch.jobs {
            do { try await job.run() } catch { errors.append(error) }
        }
        graph.clearMetadata(batch.time)
        return errors
    }

    /// Makes and runs batches.
    func run(batches: Int) async throws -> [any Error] {
        var errors: [any Error] = []
        for _ in 0..<batches { errors += await run(try await make()) }
        return errors
    }
}

private struct Unreported: InputReporting {
    func report(_ info: StreamInputInfo, at time: BatchTime) {}
}

/// What an output was called with, by second.
final class Recorded<Element: Sendable>: Sendable {
    private let batches = Locked<[Int: [[Element]]]>([:])
    private let zero: BatchTime

    init(_ zero: BatchTime = .zero) { self.zero = zero }

    func set(_ elements: [Element], at time: BatchTime) { set(partitions: [elements], at: time) }

    func set(partitions: [[Element]], at time: BatchTime) {
        batches.withLock { $0[Int((time - zero).milliseconds / 1000)] = partitions }
    }

    /// One array per partition.
    var partitions: [Int: [[Element]]] { batches.withLock { $0 } }

    var all: [Int: [Element]] { partitions.mapValues { Array($0.joined()) } }

    /// As sorted text, to be compared without regard to order.
    var sorted: [Int: [String]] { all.mapValues { $0.map { "\($0)" }.sorted() } }
}

/// What a closure of a test throws.
struct Refused: Error {}
