import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Synchronization
import Testing

/// What file streams know after a restart: nothing is lost, and nothing read twice.
@Suite("New files after a restart", .timeLimit(.minutes(5)))
struct FilesRestartTests {
    /// Keeps checkpoints in memory, and may forget part of them or refuse them.
    private final class Store: CheckpointStore {
        struct Full: Error {}
        let kept = Mutex<(record: CheckpointRecord?, state: [OperatorState])>((nil, []))
        let written = Mutex<[Int]>([])
        let mayWrite = Mutex(true)

        func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {
            guard mayWrite.withLock({ $0 }) else { throw Full() }
            written.withLock { $0.append(state.reduce(0) { $0 + $1.values.bytes.count }) }
            kept.withLock { kept in
                kept.record = record
                kept.state = (kept.state + state).filter { $0.time >= record.oldestState }
            }
        }

        func recover() async throws -> RecoveredCheckpoint? {
            kept.withLock { kept in
                kept.record.map { RecoveredCheckpoint(record: $0, state: kept.state) }
            }
        }
    }

    /// A run over a directory that is watched.
    private struct Run {
        let harness: StreamHarness
        let lines: OutputRecorder<String>

        init(
            _ root: WatchedDirectory, _ directory: String, _ store: Store, from start: BatchTime,
            detection: FileDetection = .byAppearance, lateBatches: LateBatches = .generate,
            _ warnings: Notes<String> = Notes()
        ) async throws {
            let harness = StreamHarness.forFiles(
                detection: detection, lateBatches: lateBatches, from: start, store: store,
                warnings)
            lines = harness.record(harness.ssc.textFileStream(root.path))
            self.harness = harness
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                harness.ssc
            }
            try await harness.ssc.start()
        }

        var elements: [[String]] { lines.batches.map { $0.elements.sorted() } }
    }

    private func inDirectory(_ body: (String) async throws -> Void) async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "files")
        defer { try? FileSystem.removeTree(directory) }
        try await body(directory)
    }

    @Test("what appeared while the program was down is read, whatever its time")
    func appeared() async throws {
        try await inDirectory { directory in
            let (root, store) = (try WatchedDirectory(), Store())
            try root.write("old", "old\n", at: 1000)
            var start: Int64 = 100
            for run in 0..<4 {
                let current = try await Run(root, directory, store, from: .seconds(start))
                try root.write("on\(run)", "on\(run)\n", at: 5000)
                try await current.harness.advance()
                try await current.harness.advance()
                await current.harness.ssc.stop(graceful: true)
                #expect(current.harness.errors.isEmpty, "\(current.harness.errors)")
                let first = run == 0 ? ["on0"] : ["off\(run - 1)", "on\(run)"]
                // Batches missed while down come first, and the first one takes all that is there.
                #expect(current.elements.flatMap { $0 }.sorted() == first)
                try root.write("off\(run)", "off\(run)\n", at: 3000)
                try root.remove("on\(run)")
                start += 2 + Int64(run)
            }
        }
    }

    @Test(
        "batches that no checkpoint speaks of run again with their files, and no others",
        arguments: [LateBatches.generate, .skip], FileDetection.allCases)
    func again(late: LateBatches, detection: FileDetection) async throws {
        try await inDirectory { directory in
            let (root, store) = (try WatchedDirectory(), Store())
            let first = try await Run(
                root, directory, store, from: .seconds(100), detection: detection,
                lateBatches: late)
            try root.write("a", "a\n", at: 100_500)
            try await first.harness.advance()
            store.mayWrite.withLock { $0 = false }
            for name in ["b", "c"] {
                try root.write(name, "\(name)\n", at: harnessTime(first))
                try await first.harness.advanceUntilCompleted()
            }
            await first.harness.ssc.stop()
            #expect(first.elements == [["a"], ["b"], ["c"]])
            try root.write("late", "late\n", at: 101_600)
            store.mayWrite.withLock { $0 = true }
            let second = try await Run(
                root, directory, store, from: .seconds(110), detection: detection,
                lateBatches: late)
            try await second.harness.advance()
            try await second.harness.advance()
            await second.harness.ssc.stop(graceful: true)
            #expect(second.harness.errors.isEmpty, "\(second.harness.errors)")
            #expect(second.lines.batches.prefix(2).map(\.elements) == [["b"], ["c"]])
            #expect(second.elements.flatMap { $0 } == ["b", "c", "late"])
        }
    }

    private func harnessTime(_ run: Run) -> Int64 { run.harness.clock.now.milliseconds + 500 }

    @Test("a checkpoint holds what its batches changed, not all files that are there")
    func size() async throws {
        try await inDirectory { directory in
            let (root, store) = (try WatchedDirectory(), Store())
            for number in 0..<2000 { try root.write("old\(number)", "", at: 1000) }
            let run = try await Run(root, directory, store, from: .seconds(100))
            for number in 0..<10 {
                try root.write("n\(number)", "n\n", at: 5000)
                try root.remove("old\(number)")
                try await run.harness.advance()
            }
            await run.harness.ssc.stop(graceful: true)
            let sizes = store.written.withLock { $0 }
            #expect(sizes.first.map { $0 > 2000 * 17 } == true)
            #expect(sizes.suffix(5).allSatisfy { $0 < 2000 }, "\(sizes)")

            let second = try await Run(root, directory, store, from: .seconds(110))
            try await second.harness.advance()
            await second.harness.ssc.stop(graceful: true)
            #expect(second.elements.flatMap { $0 }.isEmpty)
        }
    }

    @Test(
        "a file that was replaced before its batch ran again fails it, and is read by the next one")
    func replaced() async throws {
        try await inDirectory { directory in
            let (root, store) = (try WatchedDirectory(), Store())
            let warnings = Notes<String>()
            var all: [[String]] = []
            var errors: [String] = []
            for (start, isFailing) in [(100, true), (103, false)] as [(Int64, Bool)] {
                let harness = StreamHarness.forFiles(
                    from: .seconds(start), store: store, warnings)
                let lines = harness.record(
                    harness.ssc.textFileStream(root.path).map { line in
                        if isFailing { throw Boom() }
                        return line
                    })
                _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                    harness.ssc
                }
                try await harness.ssc.start()
                if isFailing { try root.write("a", "1\n", at: 100_500) }
                try await harness.advance()
                try await harness.advance()
                await harness.ssc.stop(graceful: true)
                all += lines.batches.map(\.elements).filter { !$0.isEmpty }
                errors = harness.errors.map { "\($0)" }
                if isFailing { try root.write("a", "2\n", at: 100_500) }
            }
            #expect(all == [["2"]])
            #expect(errors.count == 1, "\(errors)")
            let reason = "\(root.path)/a cannot be read: another file has taken the name"
            #expect(errors.first?.contains(reason) == true)
            #expect(errors.first?.contains("101000") == true)
        }
    }

    /// What an earlier version kept: paths, and not which files had them.
    private static func earlier(_ piece: OperatorState, reading path: String) -> OperatorState {
        var writer = ByteWriter()
        writer.writeZigzag(BatchTime.seconds(100).milliseconds)
        writer.writeZigzag(BatchTime.seconds(101).milliseconds)
        writer.writeVarint(1)
        writer.writeString(path)
        return OperatorState(
            operatorID: piece.operatorID, time: piece.time, kind: .whole, partition: 0,
            partitionCount: 1, values: EncodedValues(bytes: writer.bytes, count: 1))
    }

    @Test("a checkpoint of an earlier version is gone on from by times")
    func upgrade() async throws {
        try await inDirectory { directory in
            let (root, store) = (try WatchedDirectory(), Store())
            let warnings = Notes<String>()
            try root.write("old", "old\n", at: 1000)
            let first = try await Run(
                root, directory, store, from: .seconds(100), detection: .byModificationTime)
            try root.write("a", "a\n", at: 100_500)
            try await first.harness.advance()
            await first.harness.ssc.stop(graceful: true)
            store.kept.withLock { kept in
                guard let newest = kept.state.last(where: { $0.partition == 2 }) else { return }
                kept.state = [Self.earlier(newest, reading: "\(root.path)/a")]
            }
            try root.write("b", "b\n", at: 103_000)
            let second = try await Run(root, directory, store, from: .seconds(105), warnings)
            try root.write("c", "c\n", at: 1000)
            try await second.harness.advance()
            await second.harness.ssc.stop(graceful: true)
            #expect(second.elements.flatMap { $0 } == ["b", "c"])
            #expect(warnings.all.count == 1)
            #expect(warnings.all.first?.contains("2 that were modified up to") == true)
        }
    }
}
