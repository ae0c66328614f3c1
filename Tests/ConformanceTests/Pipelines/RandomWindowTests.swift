import DStreamCore
import DStreamTestKit
import StreamingContext
import Testing

/// Windows of any shape over any input give what their definition says, computed naively.
///
/// Method: a seed makes input with gaps, empty batches and values that cancel out, and a pipeline
/// of windows; what it puts out is compared with a model that sums over the whole history.
@Suite(.timeLimit(.minutes(5))) struct RandomWindowTests {
    private struct Shape {
        let window: Int
        let slide: Int
    }

    /// What a seed stands for.
    private struct Draw {
        var random: SeededRandom

        init(seed: UInt64) { random = SeededRandom(seed: seed) }

        mutating func int(_ range: ClosedRange<Int>) -> Int {
            Int.random(in: range, using: &random)
        }

        mutating func bool(oneIn count: Int) -> Bool { int(1...count) == 1 }

        /// A window and a slide, both multiples of the slide before, often ragged or with gaps.
        mutating func shape(over unit: Int = 1) -> Shape {
            Shape(window: int(1...5) * unit, slide: int(1...5) * unit)
        }

        /// Batches of pairs; one in six gives no RDD, others are empty.
        mutating func batches(_ count: Int) -> [[(String, Int)]?] {
            let keys = ["a", "b", "c", "\u{e9}", "e\u{301}"].prefix(int(1...5))
            return (0..<count).map { _ in
                if bool(oneIn: 6) { return nil }
                if bool(oneIn: 4) { return [] }
                return (0..<int(1...6)).map { _ in
                    (keys[int(0...keys.count - 1)], int(-2...2))
                }
            }
        }

        mutating func builder(batchCount: Int) throws -> PipelineBuilder {
            let batch = Int64(int(1...3)) * 500
            return try PipelineBuilder(
                params: try PieceStep(
                    .object([
                        "batchMillis": .int(batch), "partitions": .int(Int64(int(1...4))),
                        "numBatches": .int(Int64(batchCount)), "checkpointDir": .bool(true),
                        "zeroTimeMillis": .int(Int64(int(0...3)) * batch + Int64(int(0...499))),
                    ])), inputs: [])
        }
    }

    /// What came out in a run without errors.
    private func run(_ builder: PipelineBuilder) async -> [[CaseBatch]] {
        let errors = await builder.run()
        #expect(errors.isEmpty)
        return builder.outputs.map { $0.read().map(\.withoutPartitionCount) }
    }

    private func expectEqual(_ ours: [CaseBatch], _ model: [CaseBatch], _ what: String) {
        let differences = CaseOrder.unordered.differences(what, ours: ours, expected: model)
        #expect(differences.isEmpty)
    }

    /// With an inverse, with and without a filter, and without one, over the same input.
    @Test(arguments: seeds(120))
    func keyedSums(seed: UInt64) async throws {
        var draw = Draw(seed: seed)
        let batches = draw.batches(draw.int(8...20))
        let builder = try draw.builder(batchCount: batches.count)
        let partitions = draw.bool(oneIn: 2) ? draw.int(1...3) : nil
        let isNested = draw.bool(oneIn: 3)
        let outer = draw.shape()
        let shape = draw.shape(over: isNested ? outer.slide : 1)
        let unit = builder.ssc.batchInterval
        let (window, slide) = (unit * shape.window, unit * shape.slide)
        var input = builder.harness.input(batches, partitions: builder.partitions)
        var model = ModelStream(batches)
        if isNested {
            input = input.window(unit * outer.window, slide: unit * outer.slide)
            model = model.window(outer.window, outer.slide)
        }
        let filters: [@Sendable (Int) -> Bool] = [{ $0 != 0 }, { $0 > 1 }, { $0 >= 0 }]
        let isIncluded = filters[draw.int(0...2)]
        let summed = input.reduceByKeyAndWindow(
            { $0 + $1 }, inverse: { $0 - $1 }, window: window, slide: slide, partitions: partitions)
        let filtered = input.reduceByKeyAndWindow(
            { $0 + $1 }, inverse: { $0 - $1 }, window: window, slide: slide, partitions: partitions,
            filter: { isIncluded($0.1) })
        let plain = input.reduceByKeyAndWindow(
            +, window: window, slide: slide, partitions: partitions)
        for stream in [summed, filtered, plain] { builder.output(stream, .counted) }
        // What a window gives is input like any other.
        let again = Shape(window: 2 * shape.slide, slide: 3 * shape.slide)
        let (longer, rarer) = (unit * again.window, unit * again.slide)
        builder.output(
            summed.reduceByKeyAndWindow(
                { $0 + $1 }, inverse: { $0 - $1 }, window: longer, slide: rarer), .counted)
        let ours = await run(builder)
        let expected = [
            model.inverseSums(shape.window, shape.slide) { _ in true },
            model.inverseSums(shape.window, shape.slide, isIncluded),
            model.sums(shape.window, shape.slide),
            model.inverseSums(shape.window, shape.slide) { _ in true }
                .inverseSums(again.window, again.slide) { _ in true },
        ]
        let names = ["with an inverse", "filtered", "without an inverse", "of windows"]
        for (index, name) in names.enumerated() {
            expectEqual(
                ours[index],
                expected[index].calls(
                    batchMillis: unit.milliseconds,
                    zeroMillis: (builder.ssc.graph.zeroTime ?? .zero).milliseconds), name)
        }
    }

    /// Whole windows, and their reduction, in the order in which elements came.
    @Test(arguments: seeds(60))
    func elementsInOrder(seed: UInt64) async throws {
        var draw = Draw(seed: seed &+ 1000)
        let batches = draw.batches(draw.int(8...16)).map { $0?.map { "\($0.0)\($0.1) " } }
        let builder = try draw.builder(batchCount: batches.count)
        let unit = builder.ssc.batchInterval
        let (outer, inner) = (draw.shape(), draw.shape())
        let later = Shape(window: inner.window * outer.slide, slide: inner.slide * outer.slide)
        let input = builder.harness.input(batches, partitions: builder.partitions)
        let windowed = input.window(unit * outer.window, slide: unit * outer.slide)
        builder.output(windowed, .string)
        builder.output(windowed.window(unit * later.window, slide: unit * later.slide), .string)
        let reduced = input.reduceByWindow(
            +, window: unit * outer.window, slide: unit * outer.slide)
        builder.output(reduced, .string)
        builder.output(
            windowed.reduceByWindow(+, window: unit * later.window, slide: unit * later.slide),
            .string)
        let ours = await run(builder)
        let model = ModelStream(batches)
        let window = model.window(outer.window, outer.slide)
        let expected = [
            window, window.window(later.window, later.slide),
            model.reduce(outer.window, outer.slide, +),
            window.reduce(later.window, later.slide, +),
        ]
        for (ours, model) in zip(ours, expected) {
            let calls = model.calls(
                .string, batchMillis: unit.milliseconds,
                zeroMillis: (builder.ssc.graph.zeroTime ?? .zero).milliseconds)
            #expect(ours == calls)
        }
    }
}

extension RandomWindowTests {
    /// Windows of up to twenty panes, in order, by key: maxima, concatenations, counts, groups.
    @Test(arguments: seeds(150))
    func longWindows(seed: UInt64) async throws {
        var draw = Draw(seed: seed &+ 2000)
        let batches = draw.batches(draw.int(10...50))
        let builder = try draw.builder(batchCount: batches.count)
        let partitions = draw.bool(oneIn: 2) ? draw.int(1...3) : nil
        let (window, slide) = (draw.int(1...20), draw.int(1...7))
        let unit = builder.ssc.batchInterval
        let input = builder.harness.input(batches, partitions: builder.partitions)
        let (span, step) = (unit * window, unit * slide)
        let concatenate: @Sendable (String, String) -> String = { $0 + $1 }
        let texts = input.map { ($0.0, "\($0.1) ") }
        builder.output(
            input.reduceByKeyAndWindow(window: span, slide: step, partitions: partitions) {
                max($0, $1)
            }, .counted)
        builder.output(
            texts.reduceByKeyAndWindow(
                concatenate, window: span, slide: step, partitions: partitions),
            .pair(.string, .string))
        builder.output(
            texts.map { $0.1 }.reduceByWindow(concatenate, window: span, slide: step), .string)
        builder.output(
            input.map { $0.0 }.countByValueAndWindow(span, slide: step, partitions: partitions),
            .counted)
        builder.output(input.countByWindow(span, slide: step), .int)
        builder.output(
            input.groupByKeyAndWindow(span, slide: step, partitions: partitions),
            .pair(.string, .list(.int)))
        let ours = await run(builder)
        let model = ModelStream(batches)
        let modelTexts = ModelStream(batches.map { $0?.map { ($0.0, "\($0.1) ") } })
        let words = ModelStream(batches.map { $0?.map { ($0.0, 1) } })
        let zero = (builder.ssc.graph.zeroTime ?? .zero).milliseconds
        func calls<Element: Sendable>(
            _ stream: ModelStream<Element>, _ form: ElementForm<Element>
        ) -> [CaseBatch] { stream.calls(form, batchMillis: unit.milliseconds, zeroMillis: zero) }
        let expected: [(String, [CaseBatch])] = [
            ("maxima", calls(model.reduceByKey(window, slide) { max($0, $1) }, .counted)),
            (
                "concatenations by key",
                calls(
                    modelTexts.reduceByKey(window, slide, concatenate), .pair(.string, .string))
            ),
            (
                "concatenations",
                calls(
                    ModelStream(batches.map { $0?.map { "\($0.1) " } })
                        .reduce(window, slide, concatenate), .string)
            ),
            ("counts by value", calls(words.sums(window, slide), .counted)),
            ("counts", calls(model.counts(window, slide), .int)),
            ("groups", calls(model.groups(window, slide), .pair(.string, .list(.int)))),
        ]
        for (ours, model) in zip(ours, expected) { expectEqual(ours, model.1, model.0) }
    }
}

private func seeds(_ count: Int) -> Range<UInt64> { 0..<UInt64(count.testRounds) }
