import BatchEngine
import DStreamCore
import DStreamTestKit
import Synchronization
import Testing

/// Windows without inverse: what comes out, what a slide costs, and what is kept.
@Suite struct WindowTests {
    /// The elements of the last `window` batches, by definition.
    private func model<Element>(
        _ batches: [[Element]?], _ window: Int, _ slide: Int
    ) -> [[Element]] {
        stride(from: slide, through: batches.count, by: slide).map { end in
            batches[max(0, end - window)..<end].flatMap { $0 ?? [] }
        }
    }

    /// Numbers that a seed stands for.
    private func draw(_ seed: UInt64) -> (Int) -> Int {
        var state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1
        return { limit in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
    }

    /// In order of batches, for gaps and empty batches, for every shape.
    @Test(.timeLimit(.minutes(5)), arguments: 0..<40 as Range<UInt64>)
    func valuesComeInTheOrderOfBatches(seed: UInt64) async throws {
        let draw = draw(seed)
        let (window, slide) = (1 + draw(25), 1 + draw(4))
        let batches: [[(Int, String)]?] = (0..<(20 + draw(50))).map { number in
            if draw(6) == 0 { return nil }
            return (0..<draw(5)).map { (draw(3), "\(number).\($0) ") }
        }
        let harness = StreamHarness()
        let input = harness.input(batches, partitions: 1 + draw(3))
        let seconds = { (count: Int) in Duration.seconds(count) }
        let keyed = harness.record(
            input.reduceByKeyAndWindow(
                window: seconds(window), slide: seconds(slide), partitions: 1 + draw(3)
            ) { $0 + $1 })
        let whole = harness.record(
            input.map { $0.1 }.reduceByWindow(window: seconds(window), slide: seconds(slide)) {
                $0 + $1
            })
        try await harness.run(batches: batches.count)
        let expected = model(batches, window, slide)
        #expect(
            keyed.batches.map { Dictionary(uniqueKeysWithValues: $0.elements) }
                == expected.map {
                    Dictionary(grouping: $0) { $0.0 }.mapValues { $0.map(\.1).joined() }
                })
        #expect(
            whole.batches.map(\.elements)
                == expected.map { $0.isEmpty ? [] : [$0.map(\.1).joined()] })
    }

    /// What one slide costs is the same however many panes the window has; the most of all slides
    /// is looked at, not the mean.
    @Test(
        .timeLimit(.minutes(5)),
        arguments: [(6, 1), (10, 1), (100, 1), (1000, 1), (1000, 7), (999, 10)])
    func aSlideMergesAConstantNumberOfTables(window: Int, slide: Int) async throws {
        let calls = Shared(0)
        let outputs = Shared<[[Int]]>([])
        let graph = DStreamGraph(batchInterval: .milliseconds(1))
        graph.inputStream { time, context in
            context.batch.makeRDD(partitions: [[("key", Int(time.milliseconds))]])
        }
        .reduceByKeyAndWindow(
            window: .milliseconds(window), slide: .milliseconds(slide), partitions: 1
        ) { older, newer in
            #expect(older < newer, "merged out of order")
            calls.change { $0 += 1 }
            return max(older, newer)
        }
        .foreachRDD { rdd in
            let values = try await rdd.collect().map { $0.1 }
            outputs.change { $0.append(values) }
        }
        let end = 3 * window + 40
        var most = 0
        try await run(graph, through: end) { most = max(most, calls.exchange(0)) }
        #expect(outputs.value == stride(from: slide, through: end, by: slide).map { [$0] })
        let schedule = WindowSchedule(panesPerWindow: window, panesPerSlide: slide)
        #expect(most <= (try #require(schedule)).mergeMaximum)
    }

    /// Makes and runs batches by hand; nothing else happens between two calls of `body`.
    private func run(_ graph: DStreamGraph, through end: Int, _ body: () -> Void) async throws {
        struct NoReports: InputReporting {
            func report(_ info: StreamInputInfo, at time: BatchTime) {}
        }
        let context = GenerationContext(
            batch: BatchContext(engine: LocalEngine(slots: 1)), allocator: NoBlocks(),
            inputInfo: NoReports(), standardOutput: { _ in })
        try graph.start(zeroTime: .zero)
        for number in 1...end {
            let time = BatchTime(milliseconds: Int64(number))
            for job in try await graph.generateJobs(at: time, context) { try await job.run() }
            graph.clearMetadata(time)
            body()
        }
    }

    /// Tables of the size of a window are kept for one slide, panes for a window.
    @Test(.timeLimit(.minutes(5)))
    func whatIsRememberedIsBounded() async throws {
        let harness = StreamHarness()
        let window = 40
        let windowed = harness.input((0..<200).map { [($0 % 7, $0)] })
            .reduceByKeyAndWindow(window: .seconds(window)) { max($0, $1) }
        _ = harness.record(windowed)
        let most = Shared(0)
        windowed.foreachRDD { _ in
            let times = windowed.dependencies.map(\.rememberedTimes.count)
            // The one that steps back is kept for a window, the others for a slide or two.
            most.change { $0 = max($0, times.sorted().dropLast().last ?? 0) }
            #expect(times.allSatisfy { $0 <= window + 2 })
        }
        try await harness.run(batches: 200)
        #expect(most.value <= 2)
    }
}

/// A value behind a lock.
private final class Shared<Value: Sendable>: Sendable {
    private let state: Locked<Value>

    init(_ value: Value) { state = Locked(value) }

    var value: Value { state.withLock { $0 } }

    func change(_ body: (inout Value) -> Void) { state.withLock { body(&$0) } }

    func exchange(_ value: Value) -> Value {
        state.withLock { old in
            defer { old = value }
            return old
        }
    }
}
