import BatchEngine
import DStreamCore
import DStreamTestKit
import Testing

/// Operators over several streams give what their definition says, over any histories.
@Suite struct JoinPropertyTests {
    /// Three streams with one slide: inputs with a trouble each, windows over inputs.
    private struct Sides {
        let run: StateRun
        let count: Int
        /// One alone, so that it has to find out what cannot be generated itself, or all.
        let operations: [JoinOperator]
        var streams: [DStream<(String, String)>] = []
        var models: [StreamModel] = []

        init(_ random: inout SeededRandom, seed: Int) {
            count = random.int(2...6)
            let all = JoinOperator.allCases
            operations = seed % 4 == 0 ? [all[seed / 4 % all.count]] : all
            var configuration = LocalEngine.Configuration(slots: 2)
            configuration.inlineElementMaximum = 0
            run = StateRun(
                seed % 20 == 0 ? LocalEngine(configuration) : InlineEngine(), maxTaskFailures: 2,
                zero: BatchTime(milliseconds: Int64(random.int(0...3)) * 700))
            let slide = random.chance(30) ? random.int(1...2) : 0
            for _ in 0..<3 {
                let second = random.int(1...count)
                let trouble: BatchHistory.Trouble =
                    switch random.int(1...20) {
                    case 1: .ungenerated(second)
                    case 2: .uncomputed(second)
                    case 3: .flaky(second)
                    default: .none
                    }
                let history = BatchHistory(&random, count: count, trouble: trouble, gaps: 3)
                var (stream, model) = (history.stream(run), history.model)
                if random.chance(20) {
                    stream.persist(random.chance(50) ? .memoryOnlySerialized : .memoryOnly)
                }
                if slide > 0 {
                    let window = random.int(1...3)
                    stream = stream.window(.seconds(window), slide: .seconds(slide))
                    model = model.over(window, slide, .window)
                }
                streams.append(stream)
                models.append(model)
            }
        }

        /// Whether a batch can be generated: all sides that are used are there.
        func isGenerated(_ second: Int) -> Bool {
            let used = operations.contains(where: \.isOfThree) ? models : Array(models.prefix(2))
            return second % models[0].slide == 0
                && used.allSatisfy { model in
                    let isLost = model.failed.contains(second)
                    return isLost ? model.isGenerated : model.batches[second] != nil
                }
        }

        /// The batch that an operator makes; nil: none.
        func batch(_ operation: JoinOperator, _ second: Int) -> [(String, String)]? {
            let used = operation.isOfThree ? models : Array(models.prefix(2))
            guard isGenerated(second), !used.contains(where: { $0.failed.contains(second) })
            else { return nil }
            return operation.model(
                models.map { $0.batches[second] ?? [] }, at: run.zero + .seconds(second))
        }
    }

    /// All operators over the same three streams.
    @Test(.timeLimit(.minutes(5)))
    func everyOperatorIsWhatItsDefinitionSays() async {
        await Property("join", histories: 1000).check { seed in
            var random = SeededRandom(seed)
            let sides = Sides(&random, seed: seed)
            let run = sides.run
            let outputs = sides.operations.map { operation in
                let placing = Placing(&random)
                let stream = operation.apply(to: sides.streams, placing)
                if random.chance(15) { stream.persist(.memoryOnlySerialized) }
                if random.chance(15) { stream.checkpoint(stream.slideDuration * random.int(1...2)) }
                return (operation, placing, run.record(stream))
            }
            try run.start()
            defer { run.engine.shutdown() }
            var found: [String] = []
            for second in 1...sides.count {
                let isDue = second % sides.models[0].slide == 0
                var isGenerated = true
                do { _ = await run.run(try await run.make()) } catch { isGenerated = false }
                found += difference(
                    "generated, second \(second)", isGenerated,
                    !isDue || sides.isGenerated(second))
            }
            for (operation, placing, recorded) in outputs {
                for second in 1...sides.count {
                    let (ours, model) = (
                        recorded.partitions[second], sides.batch(operation, second)
                    )
                    let text = operation.isUnion ? lines : linesByKey
                    let what = "\(operation), second \(second)"
                    found += difference(
                        what, ours.map { text(Array($0.joined())) }, model.map(text))
                    guard let ours, !operation.isUnion else { continue }
                    found += misplacedKeys(what, ours, placing, isCustom: placing.isCustom)
                }
            }
            return found
        }
    }
}
