import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Testing

/// A context made from the checkpoint of an earlier one goes on as if there had been one run.
@Suite("Recovery", .timeLimit(.minutes(5)))
struct RecoveryTests {
    private static let batches: [[(String, Int)]?] = (0..<40).map { number in
        if number % 7 == 3 { return [] }
        return (0..<(number % 4 + 1)).map { ("key\((number * 5 + $0 * 3) % 6)", number + $0) }
    }

    /// What came out, batch by batch, sorted.
    private typealias Output = [BatchTime: [String]]

    private enum Pipeline: CaseIterable {
        case stateless, window, windowCounts, reduceWindow, longWindow, inverseWindow
        case slidingCount, slidingReduce, slidingInverse, slidingWindows
        case updateState, updateWhole, mapWithState, mapWithTimeout, snapshots
        case windowOfMapped, slidingWindowOfMapped, windowOfStates, slidingWindowOfStates

        func declare(on stream: DStream<(String, Int)>) -> DStream<String> {
            switch self {
            case .stateless: return stream.map { "\($0)" }
            case .window: return stream.map { "\($0)" }.window(.seconds(5), slide: .seconds(2))
            case .windowCounts:
                return stream.map { $0.0 }.countByValueAndWindow(.seconds(4), slide: .seconds(1))
                    .map { "\($0)" }
            case .slidingCount:
                return stream.countByWindow(.seconds(6), slide: .seconds(3)).map { "\($0)" }
            case .slidingReduce:
                return stream.reduceByKeyAndWindow(+, window: .seconds(9), slide: .seconds(3))
                    .map { "\($0)" }
            case .slidingInverse:
                return stream.reduceByKeyAndWindow(
                    +, inverse: -, window: .seconds(6), slide: .seconds(3)
                ).map { "\($0)" }
            case .slidingWindows:
                return stream.map { "\($0)" }.window(.seconds(4), slide: .seconds(2))
                    .window(.seconds(8), slide: .seconds(4))
            case .reduceWindow:
                return stream.reduceByKeyAndWindow(+, window: .seconds(3)).map { "\($0)" }
            case .longWindow:
                return stream.reduceByKeyAndWindow(+, window: .seconds(13)).map { "\($0)" }
            case .inverseWindow:
                return stream.reduceByKeyAndWindow(+, inverse: -, window: .seconds(6))
                    .map { "\($0)" }
            case .updateState: return sums(stream).map { "\($0)" }
            case .updateWhole:
                return stream.updateStateByKey(
                    partitioner: HashPartitioner<String>(partitionCount: 2),
                    rememberPartitioner: true
                ) { (entries: [(String, [Int], Int?)]) in
                    entries.map { ($0.0, ($0.2 ?? 0) + $0.1.reduce(0, +)) }
                }.map { "\($0)" }
            case .windowOfMapped: return mapping(stream, nil).mapped.window(.seconds(4))
            case .slidingWindowOfMapped:
                return mapping(stream, .seconds(4)).mapped.map { $0 + "!" }
                    .window(.seconds(6), slide: .seconds(3))
            case .windowOfStates: return sums(stream).window(.seconds(3)).map { "\($0)" }
            case .slidingWindowOfStates:
                return sums(stream).reduceByKeyAndWindow(
                    +, window: .seconds(6), slide: .seconds(3)
                ).map { "\($0)" }
            case .mapWithState: return mapping(stream, nil).mapped
            case .mapWithTimeout: return mapping(stream, .seconds(4)).mapped
            case .snapshots: return mapping(stream, .seconds(3)).stateSnapshots().map { "\($0)" }
            }
        }

        private func sums(_ stream: DStream<(String, Int)>) -> DStream<(String, Int)> {
            stream.updateStateByKey { values, state in
                let sum = (state ?? 0) + values.reduce(0, +)
                return sum % 11 == 10 ? nil : sum
            }
        }

        private func mapping(
            _ stream: DStream<(String, Int)>, _ timeout: Duration?
        ) -> MapWithStateDStream<String, Int, String> {
            var spec = StateSpec<String, Int, Int, String>.function { key, value, state in
                let old = state.getOption() ?? 0
                guard let value else { return "\(key) timed out at \(old)" }
                if (old + value) % 13 == 12, state.exists {
                    try state.remove()
                } else {
                    try state.update(old + value)
                }
                return "\(key) \(old + value)"
            }
            if let timeout { spec = spec.timeout(timeout) }
            return stream.mapWithState(spec)
        }
    }

    /// Runs a pipeline from one batch to another, going on from what is in the store.
    private func run(
        _ pipeline: Pipeline, medium: SimulatedStorageMedium, directory: String,
        from start: BatchTime, batches: Int
    ) async throws -> Output {
        // In memory: thousands of flushes of a disk take their time.
        var components = StreamHarness.quietComponents
        components.checkpointStore = try await FileCheckpointStore.open("/state", on: medium)
        let harness = StreamHarness(startTime: start, components: components)
        // What earlier runs had is gone: it must come from the checkpoint, not be made again.
        let gone = start.milliseconds / 1000
        let input = Self.batches.enumerated().map { number, batch in
            Int64(number) < gone ? [("gone", 1000)] : batch
        }
        let seen = harness.record(pipeline.declare(on: harness.input(input, from: .seconds(1))))
        let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
            harness.ssc
        }
        #expect(ssc === harness.ssc)
        try await ssc.start()
        for _ in 0..<batches { try await harness.advance() }
        await ssc.stop(graceful: true)
        #expect(harness.errors.isEmpty, "\(harness.errors)")
        var output: Output = [:]
        for batch in seen.batches { output[batch.time] = batch.elements.sorted() }
        return output
    }

    @Test("a restart changes nothing", arguments: Pipeline.allCases)
    private func restart(pipeline: Pipeline) async throws {
        do {
            let directory = try FileSystem.createTemporaryDirectory(prefix: "recovery")
            defer { try? FileSystem.removeTree(directory) }
            let whole = try await run(
                pipeline, medium: SimulatedStorageMedium(), directory: directory, from: .zero,
                batches: 30)
            for first in [Int64(1), 4, 5, 8, 13, 14, 20] {
                let medium = SimulatedStorageMedium()
                var output = try await run(
                    pipeline, medium: medium, directory: directory, from: .zero,
                    batches: Int(first))
                let second = try await run(
                    pipeline, medium: medium, directory: directory, from: .seconds(first),
                    batches: 3)
                let third = try await run(
                    pipeline, medium: medium, directory: directory, from: .seconds(first + 3),
                    batches: 27 - Int(first))
                output.merge(second) { _, new in new }
                output.merge(third) { _, new in new }
                #expect(output == whole, "after \(first)")
            }
        }
    }
}
