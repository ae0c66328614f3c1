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
        var random = SeededRandom(seed: seed)
        return { random.int(0...$0 - 1) }
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

    private typealias Operation<Value> = @Sendable (Value, Value) throws -> Value

    /// Runs a window over one key, whose value is the number of the batch, that keeps the newest one.
    ///
    /// - Returns: how often its functions were called in the slide that costs most.
    private func mostCalls<Value: StreamCodable & Comparable>(
        _ window: Int, _ slide: Int, _ value: @escaping @Sendable (Int) -> Value,
        _ declare: (
            DStream<(String, Value)>, _ combine: @escaping Operation<Value>,
            _ inverse: @escaping Operation<Value>
        ) -> DStream<(String, Value)>
    ) async throws -> Int {
        let calls = Shared(0)
        let run = StateRun(LocalEngine(slots: 1))
        let end = 3 * window + 40
        let input = run.input((1...end).map { [("key", value($0))] }, partitions: 1)
        let seen = run.record(
            declare(
                input,
                { older, newer in
                    #expect(older < newer, "merged out of order")
                    calls.change { $0 += 1 }
                    return max(older, newer)
                },
                { last, _ in
                    calls.change { $0 += 1 }
                    return last
                }))
        try run.start()
        var most = 0
        for _ in 1...end {
            #expect(await run.run(try await run.make()).isEmpty)
            most = max(most, calls.exchange(0))
        }
        let slides = Array(stride(from: slide, through: end, by: slide))
        #expect(seen.all.keys.sorted() == slides)
        #expect(slides.allSatisfy { seen.all[$0].map { $0.map(\.1) } == [value($0)] })
        return most
    }

    /// What one slide costs is the same however many panes the window has; the most of all slides
    /// is looked at, not the mean.
    @Test(
        .timeLimit(.minutes(5)),
        arguments: [(6, 1), (10, 1), (100, 1), (1000, 1), (1000, 7), (999, 10)])
    func aSlideMergesAConstantNumberOfTables(window: Int, slide: Int) async throws {
        let (length, step) = (Duration.seconds(window), Duration.seconds(slide))
        let schedule = WindowSchedule(panesPerWindow: window, panesPerSlide: slide)
        let maximum = try #require(schedule).mergeMaximum
        let plain = try await mostCalls(window, slide, { $0 }) { input, combine, _ in
            input.reduceByKeyAndWindow(combine, window: length, slide: step, partitions: 1)
        }
        #expect(plain <= maximum)
        // Of floating-point numbers, what leaves cannot be taken out.
        let inverse = try await mostCalls(window, slide, Double.init) { input, combine, inverse in
            input.reduceByKeyAndWindow(
                combine, inverse: inverse, window: length, slide: step, partitions: 1)
        }
        #expect(inverse <= maximum)
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
