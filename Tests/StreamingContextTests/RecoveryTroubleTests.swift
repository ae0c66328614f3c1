import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// What a program meets whose storage or clock is not as it should be: an error that says what and
/// where, and nothing acknowledged is lost.
@Suite("Trouble with what survives", .timeLimit(.minutes(5)))
struct RecoveryTroubleTests {
    /// A program that counts what it receives, on a medium.
    private final class Run: Sendable {
        let harness: StreamHarness
        let feed = FeedReceiver<String>()
        let words: OutputRecorder<String>
        let seen: OutputRecorder<(String, Int)>

        init(
            _ medium: SimulatedStorageMedium, from start: BatchTime, late: LateBatches = .generate
        ) async throws {
            var configuration = StreamingContext.Configuration()
            configuration.lateBatches = late
            var components = StreamHarness.quietComponents
            components.storageMedium = medium
            harness = StreamHarness(
                startTime: start, configuration: configuration, components: components)
            let stream = harness.ssc.receiverStream(feed, protection: .writeAheadLog)
            words = harness.record(stream)
            let counts = stream.map { ($0, 1) }
                .updateStateByKey { values, sum -> Int? in (sum ?? 0) + values.reduce(0, +) }
            seen = harness.record(counts)
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: "/c") { harness.ssc }
            try await harness.ssc.start()
        }

        /// Lets no further checkpoint be written.
        static func refuseCheckpoints(on medium: SimulatedStorageMedium) {
            medium.fail {
                $0.kind == .create && $0.path.hasPrefix("/c/checkpoint-") ? .failed : nil
            }
        }

        var last: [String: Int] {
            Dictionary(uniqueKeysWithValues: seen.batches.last?.elements ?? [])
        }
    }

    @Test("a directory is free again after a stop without a start")
    func unlocked() async throws {
        let medium = SimulatedStorageMedium()
        // Kept: it would give the directory back when it is released.
        var contexts: [StreamingContext] = []
        for _ in 0..<2 {
            var components = StreamHarness.quietComponents
            components.storageMedium = medium
            let harness = StreamHarness(components: components)
            let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: "/c") {
                harness.ssc
            }
            await ssc.stop()
            contexts.append(ssc)
        }
    }

    @Test("a store of the program's own that holds an earlier run is refused without getOrCreate")
    func ownStore() async throws {
        let medium = SimulatedStorageMedium()
        for run in 0..<2 {
            var components = StreamHarness.quietComponents
            components.checkpointStore = try await FileCheckpointStore.open("/own", on: medium)
            let harness = StreamHarness(components: components)
            _ = harness.record(harness.input([[1]]))
            if run == 0 {
                try await harness.run(batches: 1)
                continue
            }
            let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
            #expect(error?.code == .checkpointUnwritable)
            #expect("\(error as Any)".contains("an earlier run"), "\(error as Any)")
        }
    }

    @Test("state of keys and values that take no bytes is there after a restart")
    func nothingness() async throws {
        let store = InMemoryCheckpointStore()
        let directory = try FileSystem.createTemporaryDirectory(prefix: "nothing")
        defer { try? FileSystem.removeTree(directory) }
        for run in 0..<2 {
            var components = StreamHarness.quietComponents
            components.checkpointStore = store
            let harness = StreamHarness(startTime: .seconds(Int64(run * 2)), components: components)
            let input = harness.input(
                [[(Nothing(), true)], [(Nothing(), false)]], from: .seconds(1))
            let kept = harness.record(input.updateStateByKey { _, _ in Nothing() })
            let removed: MapWithStateDStream<Nothing, Int, Bool> = input.mapWithState(
                StateSpec.function { _, value, state in
                    if value == true { try state.update(1) } else { try state.remove() }
                    return state.exists
                })
            let left = harness.record(removed.stateSnapshots())
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                harness.ssc
            }
            try await harness.ssc.start()
            try await harness.advance()
            try await harness.advance()
            await harness.ssc.stop(graceful: true)
            #expect(harness.errors.isEmpty, "\(harness.errors)")
            #expect(kept.batches.map(\.elements.count) == [1, 1])
            #expect(left.batches.map(\.elements.count) == (run == 0 ? [1, 0] : [0, 0]))
        }
    }

    private struct Nothing: StreamKey {
        func encode(to writer: inout ByteWriter) {}
        static func decode(from reader: inout ByteReader) throws -> Nothing { Nothing() }
    }

    /// No checkpoint speaks of the batch; under `.skip` it runs again all the same.
    @Test(
        "a batch that ran before its checkpoint could be written runs again with its blocks",
        arguments: [LateBatches.generate, .skip])
    func allocatedAndLeftOut(late: LateBatches) async throws {
        let medium = SimulatedStorageMedium()
        let first = try await Run(medium, from: .zero, late: late)
        try await first.feed.store(block: ["a"])
        try await first.harness.advance()
        try await first.feed.store(block: ["b"])
        Run.refuseCheckpoints(on: medium)
        try await first.harness.advanceUntilCompleted()
        await first.harness.ssc.stop()
        #expect(first.last == ["a": 1, "b": 1])

        // Again, so that what was taken back is taken back once more.
        var after = medium.restarted()
        for (start, isLast) in [(5, false), (9, true)] as [(Int64, Bool)] {
            // Before the start: batches left behind run at once, and would have theirs written.
            if !isLast { Run.refuseCheckpoints(on: after) }
            let next = try await Run(after, from: .seconds(start), late: late)
            if isLast {
                try await next.harness.advance()
            } else {
                try await next.harness.advanceUntilCompleted()
            }
            await next.harness.ssc.stop()
            #expect(next.words.batches.flatMap(\.elements) == ["b"])
            #expect(next.last == ["a": 1, "b": 1])
            #expect(next.harness.errors.isEmpty, "\(next.harness.errors)")
            after = after.restarted()
        }
    }

    @Test("a full disk refuses the block and keeps what was acknowledged")
    func fullDisk() async throws {
        let medium = SimulatedStorageMedium()
        let first = try await Run(medium, from: .zero)
        try await first.feed.store(block: ["a"])
        try await first.harness.advance()
        try await first.feed.store(block: ["b"])
        medium.fail { $0.kind == .append ? .full : nil }
        let error = await #expect(throws: (any Error).self) {
            try await first.feed.store(block: ["c"])
        }
        #expect("\(error as Any)".contains("/c/received/stream-0/"), "\(error as Any)")
        await first.harness.ssc.stop()

        let second = try await Run(medium.restarted(), from: .seconds(1))
        try await second.harness.advance()
        try await second.feed.store(block: ["c"])
        try await second.harness.advance()
        await second.harness.ssc.stop(graceful: true)
        #expect(second.last == ["a": 1, "b": 1, "c": 1])
        #expect(second.harness.errors.isEmpty, "\(second.harness.errors)")
    }

    @Test("a directory that can only be read is refused by name", arguments: [true, false])
    func readOnly(hasRun: Bool) async throws {
        let medium = SimulatedStorageMedium()
        if hasRun {
            let run = try await Run(medium, from: .zero)
            try await run.feed.store(block: ["a"])
            await run.harness.ssc.stop()
        }
        let after = medium.restarted()
        after.fail { $0.kind.isChange ? .readOnly : nil }
        let error = await #expect(throws: (any Error).self) {
            _ = try await Run(after, from: .seconds(1))
        }
        #expect("\(error as Any)".contains("/c"), "\(error as Any)")
        #expect("\(error as Any)".contains("readOnly"), "\(error as Any)")
        if !hasRun { return }
        let second = try await Run(after.restarted(), from: .seconds(1))
        try await second.harness.advance()
        await second.harness.ssc.stop(graceful: true)
        #expect(second.last == ["a": 1])
    }

    @Test("a second program on the directory is refused, and the first goes on")
    func twoPrograms() async throws {
        let medium = SimulatedStorageMedium()
        let first = try await Run(medium, from: .zero)
        try await first.feed.store(block: ["a"])
        let error = await #expect(throws: (any Error).self) {
            _ = try await Run(medium, from: .zero)
        }
        #expect("\(error as Any)".contains("/c is in use"), "\(error as Any)")
        try await first.harness.advance()
        await first.harness.ssc.stop(graceful: true)
        #expect(first.last == ["a": 1])
    }

    @Test("a damaged middle of a log keeps the program from starting", arguments: [0, 1])
    func damagedLog(which: Int) async throws {
        let medium = SimulatedStorageMedium()
        let first = try await Run(medium, from: .zero)
        for word in ["a", "b", "c"] { try await first.feed.store(block: [word]) }
        await first.harness.ssc.stop()
        let after = medium.restarted()
        let directory = "/c/received/" + ["events", "stream-0"][which]
        let name = try #require(try after.list(directory).first { $0.hasPrefix("log-") })
        var bytes = try #require(after.contents(of: "\(directory)/\(name)"))
        let whole = bytes
        bytes[bytes.count / 2] ^= 0x10
        after.setContents(of: "\(directory)/\(name)", to: bytes)
        let error = await #expect(throws: (any Error).self) {
            _ = try await Run(after, from: .seconds(1))
        }
        #expect("\(error as Any)".contains(name), "\(error as Any)")
        // Nothing was cut: with the file mended, all of it is there.
        after.releaseLocks()
        after.setContents(of: "\(directory)/\(name)", to: whole)
        let second = try await Run(after, from: .seconds(1))
        try await second.harness.advance()
        await second.harness.ssc.stop(graceful: true)
        #expect(second.last == ["a": 1, "b": 1, "c": 1])
    }

    /// A state that cannot be encoded for a while.
    private struct Stubborn: StreamCodable, Equatable {
        static let refusals = Mutex(false)
        static var codecShape: String { "Stubborn" }
        var sum: Int

        func encode(to writer: inout ByteWriter) {
            if Self.refusals.withLock({ $0 }) {
                return writer.fail(CodecError(.encodingFailed, "a Stubborn refuses"))
            }
            sum.encode(to: &writer)
        }

        static func decode(from reader: inout ByteReader) throws -> Stubborn {
            Stubborn(sum: try Int.decode(from: &reader))
        }
    }

    @Test("a state that cannot be encoded fails the checkpoint, and the input stays")
    func stateThatFailsToEncode() async throws {
        func start(
            _ medium: SimulatedStorageMedium, from start: BatchTime
        ) async throws -> (StreamHarness, FeedReceiver<String>, OutputRecorder<(String, Stubborn)>)
        {
            var components = StreamHarness.quietComponents
            components.storageMedium = medium
            let harness = StreamHarness(startTime: start, components: components)
            let feed = FeedReceiver<String>()
            let sums = harness.ssc.receiverStream(feed, protection: .writeAheadLog)
                .map { ($0, 1) }
                .updateStateByKey { values, state -> Stubborn? in
                    Stubborn(sum: (state?.sum ?? 0) + values.reduce(0, +))
                }
            let seen = harness.record(sums)
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: "/c") { harness.ssc }
            try await harness.ssc.start()
            return (harness, feed, seen)
        }
        let medium = SimulatedStorageMedium()
        let (first, feed, _) = try await start(medium, from: .zero)
        try await feed.store(block: ["a"])
        try await first.advance()
        Stubborn.refusals.withLock { $0 = true }
        try await feed.store(block: ["a"])
        first.clock.advance(by: .seconds(1))
        // What a task changes goes to the driver with its outcome: with workers the batch fails.
        let leavesProcess = first.ssc.batchContext.engine.capabilities.leavesProcess
        try await first.listener.first { event in
            switch event {
            case .checkpointFailed(_, let message) where !leavesProcess:
                message.contains("a Stubborn refuses")
            case .outputOperationCompleted(let info) where leavesProcess:
                info.failureReason?.contains("a Stubborn refuses") == true
            default: false
            }
        }
        await first.ssc.stop()
        Stubborn.refusals.withLock { $0 = false }
        let (second, _, seen) = try await start(medium.restarted(), from: .seconds(2))
        try await second.advance()
        await second.ssc.stop(graceful: true)
        #expect(seen.batches.last?.elements.map(\.1) == [Stubborn(sum: 2)])
    }

    @Test("a clock that jumped back between runs loses and doubles nothing")
    func clockJumpedBack() async throws {
        let medium = SimulatedStorageMedium()
        let first = try await Run(medium, from: .seconds(100))
        try await first.feed.store(block: ["a"])
        try await first.harness.advance()
        try await first.feed.store(block: ["b"])
        await first.harness.ssc.stop()

        let after = medium.restarted()
        let second = try await Run(after, from: .seconds(90))
        try await second.feed.store(block: ["c"])
        // Batches go on where they were: the next one comes when the clock is there again.
        second.harness.clock.set(to: .seconds(102))
        try await second.harness.listener.batchSettled(.seconds(102))
        #expect(second.last == ["a": 1, "b": 1, "c": 1])
        try await second.feed.store(block: ["d"])
        await second.harness.ssc.stop()

        let third = try await Run(after.restarted(), from: .seconds(50))
        third.harness.clock.set(to: .seconds(103))
        try await third.harness.listener.batchSettled(.seconds(103))
        await third.harness.ssc.stop(graceful: true)
        #expect(third.last == ["a": 1, "b": 1, "c": 1, "d": 1])
        #expect(third.harness.errors.isEmpty, "\(third.harness.errors)")
    }
}
