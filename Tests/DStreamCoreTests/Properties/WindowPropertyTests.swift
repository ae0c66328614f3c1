import BatchEngine
import DStreamCore
import DStreamTestKit
import Testing

/// Operators over windows of any shape, over any history, give what their definition says.
@Suite struct WindowPropertyTests {
    private struct Output {
        let operation: WindowOperator
        let recorded: Recorded<(String, String)>
        let model: StreamModel
        /// Whether the order of the elements of a batch of its input is promised.
        let hasOrder: Bool
    }

    private struct Shape {
        let window: Int
        let slide: Int

        init(_ random: inout SeededRandom, over unit: Int = 1) {
            let longest = random.chance(10) ? 20 : 6
            window = random.int(1...longest) * unit
            slide = random.int(1...(random.chance(50) ? 2 : 5)) * unit
        }
    }

    /// A graph, what is random about how it is run, and what its outputs are compared with.
    private struct Plan {
        let run: StateRun
        var random: SeededRandom
        let history: BatchHistory
        let placing: Placing
        let isCalm: Bool
        /// Every so many seconds somebody looks, if nothing goes wrong.
        let rarely: Int
        var outputs: [Output] = []

        init(_ seed: Int, lengths: ClosedRange<Int>) {
            var random = SeededRandom(seed)
            let count = random.int(lengths)
            let second = random.int(1...count)
            let trouble: BatchHistory.Trouble =
                switch random.int(1...8) {
                case 1: .ungenerated(second)
                case 2: .uncomputed(second)
                case 3: .flaky(second)
                default: .none
                }
            history = BatchHistory(&random, count: count, trouble: trouble)
            isCalm = history.model.failed.isEmpty
            let isOften = random.chance(80) || !history.model.failed.isEmpty
            rarely = isOften ? 1 : random.int(2...4)
            placing = Placing(&random)
            var configuration = LocalEngine.Configuration(slots: 2)
            configuration.inlineElementMaximum = 0
            run = StateRun(
                seed % 20 == 0 ? LocalEngine(configuration) : InlineEngine(), maxTaskFailures: 2,
                zero: BatchTime(milliseconds: Int64(random.int(0...3)) * 700))
            self.random = random
        }

        /// Adds an output, its stream kept and checkpointed in one way or another.
        mutating func add(
            _ operation: WindowOperator, over stream: DStream<(String, String)>,
            _ model: StreamModel, _ shape: Shape, hasOrder: Bool = true
        ) -> DStream<(String, String)> {
            let (window, slide) = (Duration.seconds(shape.window), Duration.seconds(shape.slide))
            let result = operation.apply(to: stream, window, slide, placing)
            if random.chance(15) {
                result.persist(random.chance(50) ? .memoryOnlySerialized : .memoryOnly)
            }
            if random.chance(15) { result.checkpoint(slide * random.int(1...3)) }
            let (zero, rarely) = (run.zero, Int64(rarely))
            let recorded = run.record(result) {
                ($0 - zero).milliseconds / Int64(shape.slide * 1000) % rarely == 0
            }
            outputs.append(
                Output(
                    operation: operation, recorded: recorded,
                    model: model.over(shape.window, shape.slide, operation), hasOrder: hasOrder))
            return result
        }

        /// Runs all batches, some ahead of those before.
        ///
        /// - Returns: the seconds of batches that were not generated.
        mutating func runAll() async throws -> Set<Int> {
            try run.start()
            defer { run.engine.shutdown() }
            var (second, ungenerated) = (0, Set<Int>())
            while second < history.batches.count {
                let left = history.batches.count - second
                let ahead = isCalm && random.chance(20) ? min(random.int(2...3), left) : 1
                var made: [StateRun.Batch] = []
                for _ in 0..<ahead {
                    second += 1
                    do { made.append(try await run.make()) } catch { ungenerated.insert(second) }
                }
                for batch in made { _ = await run.run(batch) }
            }
            return ungenerated
        }

        /// What the outputs have that their models do not.
        func differences(_ ungenerated: Set<Int>) -> [String] {
            let failed = outputs.reduce(into: Set<Int>()) { $0.formUnion($1.model.failed) }
            let lost = history.model.isGenerated ? [] : failed
            var found = difference("batches that cannot be generated", ungenerated, lost)
            for output in outputs {
                let (operation, model) = (output.operation, output.model)
                for second in 1...history.batches.count {
                    let what = "\(operation), second \(second)"
                    let isLookedAt = second / model.slide % rarely == 0
                    let expected =
                        isLookedAt && !lost.contains(second) ? model.batches[second] : nil
                    let ours = output.recorded.partitions[second]
                    let texts = { (pairs: [(String, String)]?) in
                        pairs.map { text($0, operation, hasOrder: output.hasOrder) }
                    }
                    found += difference(
                        what, texts(ours.map { Array($0.joined()) }), texts(expected))
                    if let ours { found += operation.misplaced(ours, placing) }
                }
            }
            return found
        }

        private func text(
            _ pairs: [(String, String)], _ operation: WindowOperator, hasOrder: Bool
        ) -> [String] {
            let lines = lines(pairs)
            if hasOrder, operation.isOrdered { return lines }
            // Of elements that come in no order, only what they are made of is known.
            return operation.isReduction ? lines.map { String($0.sorted()) } : lines.sorted()
        }
    }

    /// All operators over the same windows of the same input.
    @Test(.timeLimit(.minutes(5)))
    func everyWindowIsWhatItsDefinitionSays() async {
        await Property("window", histories: 1000).check { seed in
            var plan = Plan(seed, lengths: seed % 10 == 0 ? 20...40 : 3...12)
            let input = plan.history.stream(plan.run)
            if plan.random.chance(20) { input.persist(.memoryOnlySerialized) }
            let shape = Shape(&plan.random)
            for operation in WindowOperator.allCases {
                _ = plan.add(operation, over: input, plan.history.model, shape)
            }
            return plan.differences(try await plan.runAll())
        }
    }

    /// What a window gives is input like any other.
    @Test(.timeLimit(.minutes(5)))
    func windowsOfWindows() async {
        await Property("window of windows", histories: 2000).check { seed in
            let operations = WindowOperator.allCases
            var plan = Plan(seed, lengths: 6...16)
            let outer = operations[seed % operations.count]
            let inner = operations[seed / operations.count % operations.count]
            let input = plan.history.stream(plan.run)
            let shape = Shape(&plan.random)
            let longer = Shape(&plan.random, over: shape.slide)
            let model = plan.history.model
            let windowed = plan.add(outer, over: input, model, shape)
            _ = plan.add(
                inner, over: windowed, model.over(shape.window, shape.slide, outer), longer,
                hasOrder: outer.isOrdered)
            return plan.differences(try await plan.runAll())
        }
    }

    /// Batches read from outside, before and after their time, are what they are in their time.
    @Test(.timeLimit(.minutes(5)))
    func slicesAreTheBatchesOfTheirTimes() async {
        await Property("slice", histories: 1000).check { seed in
            var random = SeededRandom(seed)
            let count = random.int(4...12)
            let history = BatchHistory(&random, count: count)
            let run = StateRun()
            let shape = Shape(&random)
            let (window, slide) = (Duration.seconds(shape.window), Duration.seconds(shape.slide))
            let operation = WindowOperator.allCases.randomElement(using: &random) ?? .window
            let input = history.stream(run)
            let isWindowed = random.chance(70)
            let stream =
                isWindowed
                ? operation.apply(to: input, window, slide, Placing(&random)) : input.map { $0 }
            var model = history.model
            if isWindowed { model = model.over(shape.window, shape.slide, operation) }
            let recorded = run.record(stream)
            stream.remember(.seconds(100))
            let ends = (0...count).map { _ in (random.int(0...13000), random.int(0...13000)) }
            let slices = Recorded<(Int, [(String, String)])>(.zero)
            input.foreachRDD { _, time in
                let (first, last) = ends[Int(time.milliseconds / 1000)]
                let slice = try await stream.slice(
                    from: BatchTime(milliseconds: Int64(first)),
                    through: BatchTime(milliseconds: Int64(min(last, count * 1000))))
                var elements: [(Int, [(String, String)])] = []
                for rdd in slice {
                    let time = Int(rdd.context.batchMilliseconds ?? 0) / 1000
                    elements.append((time, try await rdd.collect()))
                }
                slices.set(elements, at: time)
            }
            try run.start()
            var found = difference("failed", try await run.run(batches: count).count, 0)
            let hasOrder = !isWindowed || operation.isOrdered
            let text = { (pairs: [(String, String)]) in
                hasOrder ? lines(pairs) : lines(pairs).sorted()
            }
            for second in 1...count {
                found += difference(
                    "\(operation), second \(second)", recorded.all[second].map(text),
                    model.batches[second].map(text))
                guard let ours = slices.all[second] else { continue }
                let unit = model.slide * 1000
                let first = ends[second].0 / unit * model.slide
                let last = min(ends[second].1, count * 1000) / unit * model.slide
                let times = first <= last ? first...last : 0...0
                let expected = model.batches.filter { times.contains($0.key) }.sorted {
                    $0.key < $1.key
                }
                let what = "\(operation), slice \(times) in second \(second)"
                found += difference(what, ours.map(\.0), expected.map(\.key))
                found += difference(what, ours.map { text($0.1) }, expected.map { text($0.value) })
            }
            return found
        }
    }
}
