import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Testing

/// What would be in no checkpoint keeps a program from starting with checkpoints, and only that.
@Suite("Kept without a codec", .timeLimit(.minutes(5)))
struct MissingCodecTests {
    /// What people have: it can be written, and nobody said so.
    private struct Visits: Codable, Hashable {
        var count = 0
    }

    /// Nothing can be said to write it.
    private struct Opaque: Sendable {}

    private enum Keeper: String, CaseIterable {
        case updateStateByKey, mapWithState, window, reduceByWindow, reduceByKeyAndWindow
        case groupByKeyAndWindow

        /// Declares the operator's forms; gives how many.
        func declare(on events: DStream<(String, Visits)>, _ harness: StreamHarness) -> Int {
            let rule = HashPartitioner<String>(partitionCount: 2)
            var count = 0
            func add(_ stream: DStream<some Sendable>) {
                _ = harness.record(stream)
                count += 1
            }
            let first: @Sendable (Visits, Visits) -> Visits = { first, _ in first }
            let pair: @Sendable ((String, Visits), (String, Visits)) -> (String, Visits) = {
                first, _ in first
            }
            switch self {
            case .updateStateByKey:
                add(events.updateStateByKey { $0.first ?? $1 })
                add(events.updateStateByKey(partitioner: rule) { $0.first ?? $1 })
                add(events.updateStateByKey { $0.first ?? $1 }.window(.seconds(3)))
            case .mapWithState:
                let keeping = StateSpec<String, Visits, Visits, Int>.function { _, _, _ in 1 }
                add(events.mapWithState(keeping).mapped)
            case .window:
                add(events.map { $0 }.window(.seconds(3)))
                add(events.window(.seconds(4), slide: .seconds(2)))
            case .reduceByWindow:
                add(events.reduceByWindow(pair, window: .seconds(3)))
                add(events.reduceByWindow(pair, window: .seconds(60)))
                add(events.reduceByWindow(pair, inverse: pair, window: .seconds(3)))
            case .reduceByKeyAndWindow:
                add(events.reduceByKeyAndWindow(first, window: .seconds(3)))
                add(events.reduceByKeyAndWindow(first, window: .seconds(60)))
                add(
                    events.reduceByKeyAndWindow(first, window: .seconds(60), partitioner: rule))
                add(events.reduceByKeyAndWindow(first, inverse: first, window: .seconds(3)))
                add(
                    events.reduceByKeyAndWindow(
                        first, inverse: first, window: .seconds(3), partitioner: rule))
            case .groupByKeyAndWindow:
                add(events.groupByKeyAndWindow(.seconds(3)))
                add(events.groupByKeyAndWindow(.seconds(3), partitioner: rule))
            }
            return count
        }
    }

    private func harness(isCheckpointed: Bool) -> StreamHarness {
        var components = StreamHarness.quietComponents
        components.storageMedium = SimulatedStorageMedium()
        let harness = StreamHarness(components: components)
        if isCheckpointed { harness.ssc.checkpoint("/state") }
        return harness
    }

    @Test("start() names operator, place, type and the line to add", arguments: Keeper.allCases)
    private func refused(keeper: Keeper) async throws {
        let harness = harness(isCheckpointed: true)
        let count = keeper.declare(on: harness.input([[("a", Visits())]]), harness)
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        let parts = try #require(error.map { $0.parts.isEmpty ? [$0] : $0.parts })
        for part in parts {
            #expect(part.code == .codecMissing && part.site?.name == keeper.rawValue)
            #expect(part.message.contains("what \(keeper.rawValue) keeps"), "\(part)")
            #expect(part.message.contains("add `extension Visits: StreamCodable {}`"), "\(part)")
        }
        // Each once, whatever parts it is made of.
        #expect(parts.count == count)
        #expect(Set(parts.compactMap { $0.site?.line }).count == count)
    }

    @Test("what an operator with state emits is kept for a window, too")
    func emitted() async throws {
        let harness = harness(isCheckpointed: true)
        let spec = StateSpec<String, Int, Int, Visits>.function { _, _, _ in Visits() }
        let stream = harness.input([[("a", 1)]]).mapWithState(spec).mapped
        let line: UInt = #line + 1
        _ = harness.record(stream.window(.seconds(3)))
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        #expect(error?.code == .codecMissing && error?.site?.line == line)
    }

    @Test("a recovered context refuses it as well")
    func recovered() async throws {
        let harness = harness(isCheckpointed: false)
        let states = harness.input([[("a", 1)]]).updateStateByKey { values, state in
            Visits(count: (state?.count ?? 0) + values.count)
        }
        _ = harness.record(states)
        let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: "/state") {
            harness.ssc
        }
        let error = await #expect(throws: StreamError.self) { try await ssc.start() }
        #expect(error?.code == .codecMissing && error?.site?.name == "updateStateByKey")
    }

    @Test("a store for checkpoints without a directory counts")
    func ownStore() async throws {
        var components = StreamHarness.quietComponents
        components.checkpointStore = InMemoryCheckpointStore()
        let harness = StreamHarness(components: components)
        _ = harness.record(harness.input([[Visits()]]).map { $0 }.window(.seconds(3)))
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        #expect(error?.code == .codecMissing && error?.site?.name == "window")
    }

    @Test("a type that is not Codable is to be made so first")
    func notCodable() async throws {
        let harness = harness(isCheckpointed: true)
        _ = harness.record(harness.input([[Opaque()]]).map { $0 }.window(.seconds(3)))
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        #expect(error?.message.contains("make it Codable and add") == true)
    }

    @Test("without checkpoints a window keeps anything")
    func withoutCheckpoints() async throws {
        let harness = harness(isCheckpointed: false)
        let seen = harness.record(harness.input([[Opaque()], [Opaque()]]).window(.seconds(3)))
        try await harness.run(batches: 2)
        #expect(harness.errors.isEmpty)
        #expect(seen.batches.map(\.elements.count) == [1, 2])
    }

    @Test("what no later batch reads needs no codec, and checkpoints are written")
    func notKept() async throws {
        let harness = harness(isCheckpointed: true)
        let events = harness.input([[("a", Opaque())], [("a", Opaque())]]).map { $0 }
        // Remembered for as long as the counts, and read by nobody but its own batch.
        let counts = events.persist().updateStateByKey { values, state in
            (state ?? 0) + values.count
        }
        _ = harness.record(events)
        let seen = harness.record(counts)
        try await harness.run(batches: 2)
        #expect(harness.errors.isEmpty)
        #expect(seen.batches.last?.elements.map(\.1) == [2])
        let failures = harness.listener.events.filter(\.isCheckpointFailed)
        #expect(failures.isEmpty, "\(failures)")
    }

    @Test("received blocks that no log has are kept for a window, and for no other reason")
    func received() async throws {
        for protection in [InputProtection.ignore, .replay] {
            let harness = harness(isCheckpointed: true)
            _ = harness.record(
                harness.ssc.receiverStream(Feed<Visits>(), protection: protection).window(
                    .seconds(3)))
            let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
            #expect(error?.code == .codecMissing && error?.site?.name == "window")
        }
        let harness = harness(isCheckpointed: true)
        _ = harness.record(harness.ssc.receiverStream(Feed<Visits>()))
        try await harness.ssc.start()
        await harness.ssc.stop()
    }

    @Test("a checkpoint interval without a directory is refused, as Spark does")
    func intervalWithoutDirectory() async throws {
        let harness = harness(isCheckpointed: false)
        let line: UInt = #line + 1
        let stream = harness.input([[1]]).map { $0 + 1 }
        stream.checkpoint(.seconds(10))
        _ = harness.record(stream)
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        #expect(error?.code == .checkpointDirectoryMissing)
        #expect(error?.site?.name == "map" && error?.site?.line == line)
        #expect(error?.message.contains("call checkpoint(_:)") == true)
    }
}
