import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Testing

/// A restart with another number of partitions, or another rule for keys, changes no result.
@Suite("Recovery into other partitions", .timeLimit(.minutes(5)))
struct RepartitionRecoveryTests {
    /// Puts keys where the hash would not.
    private struct LastDigit: Partitioner {
        let partitionCount: Int

        func partition(for key: String) -> Int {
            Int(key.utf8.last ?? 0) % partitionCount
        }
    }

    private enum Rule: CustomStringConvertible {
        /// nil: the engine's default.
        case hash(Int?)
        case lastDigit(Int)

        var description: String {
            switch self {
            case .hash(let count): "hash \(count.map { "\($0)" } ?? "default")"
            case .lastDigit(let count): "last digit \(count)"
            }
        }
    }

    private enum Keeper: CaseIterable {
        case update, updateWhole, map, plainWindow, longWindow, slidingWindow, inverseWindow
        case groupWindow, countWindow

        func declare(
            _ stream: DStream<(String, Int)>, _ rule: Rule, name: String?
        ) -> DStream<String> {
            func named<Element: Sendable>(_ stream: DStream<Element>) -> DStream<Element> {
                name.map { stream.named($0) } ?? stream
            }
            func window(_ length: Duration, _ slide: Duration) -> DStream<String> {
                let sums =
                    switch rule {
                    case .hash(let count):
                        stream.reduceByKeyAndWindow(
                            +, window: length, slide: slide, partitions: count)
                    case .lastDigit(let count):
                        stream.reduceByKeyAndWindow(
                            +, window: length, slide: slide,
                            partitioner: LastDigit(partitionCount: count))
                    }
                return named(sums).map { "\($0)" }
            }
            switch self {
            case .update:
                let sums =
                    switch rule {
                    case .hash(let count):
                        stream.updateStateByKey(partitions: count) { $0.reduce($1 ?? 0, +) }
                    case .lastDigit(let count):
                        stream.updateStateByKey(partitioner: LastDigit(partitionCount: count)) {
                            $0.reduce($1 ?? 0, +)
                        }
                    }
                return named(sums).map { "\($0)" }
            case .updateWhole:
                typealias Entry = (String, [Int], Int?)
                let add: @Sendable ([Entry]) -> [(String, Int)] = { entries in
                    entries.map { ($0.0, $0.1.reduce($0.2 ?? 0, +)) }
                }
                let sums =
                    switch rule {
                    case .hash(let count):
                        stream.updateStateByKey(
                            partitioner: HashPartitioner(partitionCount: count ?? 2), add)
                    case .lastDigit(let count):
                        stream.updateStateByKey(
                            partitioner: LastDigit(partitionCount: count), add)
                    }
                return named(sums).map { "\($0)" }
            case .map:
                var spec = StateSpec<String, Int, Int, String>.function { key, value, state in
                    let sum = (state.getOption() ?? 0) + (value ?? 0)
                    try state.update(sum)
                    return "\(key) \(sum)"
                }
                switch rule {
                case .hash(nil): break
                case .hash(let count?): spec = spec.numPartitions(count)
                case .lastDigit(let count):
                    spec = spec.partitioner(LastDigit(partitionCount: count))
                }
                return named(stream.mapWithState(spec).mapped)
            case .plainWindow: return window(.seconds(3), .seconds(1))
            case .longWindow: return window(.seconds(13), .seconds(1))
            case .slidingWindow: return window(.seconds(9), .seconds(3))
            case .inverseWindow:
                let sums =
                    switch rule {
                    case .hash(let count):
                        stream.reduceByKeyAndWindow(
                            +, inverse: -, window: .seconds(6), partitions: count)
                    case .lastDigit(let count):
                        stream.reduceByKeyAndWindow(
                            +, inverse: -, window: .seconds(6),
                            partitioner: LastDigit(partitionCount: count))
                    }
                return named(sums).map { "\($0)" }
            case .groupWindow:
                let groups =
                    switch rule {
                    case .hash(let count):
                        stream.groupByKeyAndWindow(.seconds(5), partitions: count)
                    case .lastDigit(let count):
                        stream.groupByKeyAndWindow(
                            .seconds(5), partitioner: LastDigit(partitionCount: count))
                    }
                return named(groups).map { "\($0) \($1.sorted())" }
            case .countWindow:
                let count: Int? = if case .hash(let count) = rule { count } else { 3 }
                return named(
                    stream.map(\.0).countByValueAndWindow(.seconds(4), partitions: count)
                ).map { "\($0)" }
            }
        }
    }

    private static let batches: [[(String, Int)]] = (0..<30).map { number in
        (0..<(number % 4 + 1)).map { ("key\((number * 5 + $0 * 3) % 11)", number + $0) }
    }

    /// Runs from one batch to another by each rule in turn.
    private func run(
        _ keeper: Keeper, _ parts: [(rule: Rule, batches: Int)], name: String?
    ) async throws -> [BatchTime: [String]] {
        let medium = SimulatedStorageMedium()
        var output: [BatchTime: [String]] = [:]
        var done = 0
        for (rule, count) in parts {
            var components = StreamHarness.quietComponents
            components.checkpointStore = try await FileCheckpointStore.open("/state", on: medium)
            let harness = StreamHarness(
                startTime: .seconds(Int64(done)), components: components)
            // What earlier runs had must come from the checkpoint.
            let input = Self.batches.enumerated().map { $0 < done ? [("gone", 1000)] : $1 }
            let stream = harness.input(input)
            let seen = harness.record(keeper.declare(stream, rule, name: name))
            try await harness.goOn(for: 0..<count, isSettled: true)
            #expect(harness.errors.isEmpty, "\(rule): \(harness.errors)")
            for batch in seen.batches { output[batch.time] = batch.elements.sorted() }
            done += count
        }
        return output
    }

    @Test("no key is lost, doubled or refused", arguments: Keeper.allCases, [nil, "kept"])
    private func moved(keeper: Keeper, name: String?) async throws {
        let whole = try await run(keeper, [(.hash(2), 24)], name: name)
        let changes: [[Rule]] = [
            [.hash(2), .hash(5), .hash(2)], [.hash(nil), .hash(3), .hash(nil)],
            [.hash(4), .hash(nil), .hash(1)], [.hash(3), .lastDigit(3), .hash(3)],
            [.lastDigit(2), .lastDigit(5), .hash(nil)],
        ]
        for rules in changes {
            for first in [5, 10] {
                let parts = zip(rules, [first, 4, 20 - first]).map { ($0, $1) }
                let output = try await run(keeper, parts, name: name)
                #expect(output == whole, "\(rules) after \(first)")
            }
        }
    }
}
