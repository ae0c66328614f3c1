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

        /// nil: the hash places keys.
        var custom: LastDigit? {
            if case .lastDigit(let count) = self { LastDigit(partitionCount: count) } else { nil }
        }

        /// nil: the default.
        var count: Int? {
            switch self {
            case .hash(let count): count
            case .lastDigit(let count): count
            }
        }

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
            switch self {
            case .update: update(stream, rule).called(name).map { "\($0)" }
            case .updateWhole: updateWhole(stream, rule).called(name).map { "\($0)" }
            case .map: mapped(stream, rule).called(name)
            case .plainWindow:
                window(stream, rule, .seconds(3), .seconds(1)).called(name).map { "\($0)" }
            case .longWindow:
                window(stream, rule, .seconds(13), .seconds(1)).called(name).map { "\($0)" }
            case .slidingWindow:
                window(stream, rule, .seconds(9), .seconds(3)).called(name).map { "\($0)" }
            case .inverseWindow: inverseWindow(stream, rule).called(name).map { "\($0)" }
            case .groupWindow:
                groupWindow(stream, rule).called(name).map { "\($0) \($1.sorted())" }
            case .countWindow:
                stream.map(\.0).countByValueAndWindow(.seconds(4), partitions: rule.count)
                    .called(name).map { "\($0)" }
            }
        }

        private func update(
            _ stream: DStream<(String, Int)>, _ rule: Rule
        ) -> DStream<(String, Int)> {
            guard let custom = rule.custom else {
                return stream.updateStateByKey(partitions: rule.count) { $0.reduce($1 ?? 0, +) }
            }
            return stream.updateStateByKey(partitioner: custom) { $0.reduce($1 ?? 0, +) }
        }

        private func updateWhole(
            _ stream: DStream<(String, Int)>, _ rule: Rule
        ) -> DStream<(String, Int)> {
            typealias Entry = (String, [Int], Int?)
            let add: @Sendable ([Entry]) -> [(String, Int)] = { entries in
                entries.map { ($0.0, $0.1.reduce($0.2 ?? 0, +)) }
            }
            guard let custom = rule.custom else {
                let hash = HashPartitioner<String>(partitionCount: rule.count ?? 2)
                return stream.updateStateByKey(partitioner: hash, add)
            }
            return stream.updateStateByKey(partitioner: custom, add)
        }

        private func mapped(_ stream: DStream<(String, Int)>, _ rule: Rule) -> DStream<String> {
            var spec = StateSpec<String, Int, Int, String>.function { key, value, state in
                let sum = (state.getOption() ?? 0) + (value ?? 0)
                try state.update(sum)
                return "\(key) \(sum)"
            }
            if let custom = rule.custom {
                spec = spec.partitioner(custom)
            } else if let count = rule.count {
                spec = spec.numPartitions(count)
            }
            return stream.mapWithState(spec).mapped
        }

        private func window(
            _ stream: DStream<(String, Int)>, _ rule: Rule, _ length: Duration, _ slide: Duration
        ) -> DStream<(String, Int)> {
            guard let custom = rule.custom else {
                return stream.reduceByKeyAndWindow(
                    +, window: length, slide: slide, partitions: rule.count)
            }
            return stream.reduceByKeyAndWindow(
                +, window: length, slide: slide, partitioner: custom)
        }

        private func inverseWindow(
            _ stream: DStream<(String, Int)>, _ rule: Rule
        ) -> DStream<(String, Int)> {
            guard let custom = rule.custom else {
                return stream.reduceByKeyAndWindow(
                    +, inverse: -, window: .seconds(6), partitions: rule.count)
            }
            return stream.reduceByKeyAndWindow(
                +, inverse: -, window: .seconds(6), partitioner: custom)
        }

        private func groupWindow(
            _ stream: DStream<(String, Int)>, _ rule: Rule
        ) -> DStream<(String, [Int])> {
            guard let custom = rule.custom else {
                return stream.groupByKeyAndWindow(.seconds(5), partitions: rule.count)
            }
            return stream.groupByKeyAndWindow(.seconds(5), partitioner: custom)
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
            let stream = harness.input(input, from: .seconds(1))
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

extension DStream {
    fileprivate func called(_ name: String?) -> DStream { name.map { named($0) } ?? self }
}
