import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Files that can never be read: what each policy does, and the ways out.
@Suite("Files that can never be read", .timeLimit(.minutes(5)))
struct UnreadableFileTests {
    private enum Trouble: String, CaseIterable {
        case compressed = "b.gz"
        case pipe = "pipe"
        case removed = "gone"
        case forbidden = "secret"

        /// Nothing is forbidden to a superuser.
        static var possible: [Trouble] { allCases.filter { $0 != .forbidden || geteuid() != 0 } }

        var reason: String {
            switch self {
            case .compressed: "files are compressed"
            case .pipe: "it is a pipe, a socket or a device"
            case .removed: "No such file"
            case .forbidden: "Permission denied"
            }
        }

        /// Lets the file appear in the batch after 101 seconds.
        func appear(in root: WatchedDirectory) throws {
            if self == .pipe {
                try #require(mkfifo("\(root.path)/\(rawValue)", 0o600) == 0)
                try root.touch(rawValue, at: 101_500)
            } else {
                try root.write(rawValue, "bad\n", at: 101_500)
            }
            if self == .forbidden { try #require(chmod("\(root.path)/\(rawValue)", 0) == 0) }
        }
    }

    /// Lines go to a sink; a file that is to be gone is removed between its choice and its reading.
    private static func declare(
        _ harness: StreamHarness, _ root: WatchedDirectory, _ sink: ScriptedSink
    ) {
        harness.ssc.textFileStream(root.path).transform { rdd, time in
            if time == .seconds(102) { try root.remove(Trouble.removed.rawValue) }
            return rdd
        }.foreachRDD { rdd, time in try sink.insert(try await rdd.collect(), at: time) }
    }

    @Test("under .deadLetter the file is named in the letter, and the stream goes on")
    func deadLetter() async throws {
        for trouble in Trouble.possible {
            let (root, sink) = (try WatchedDirectory(), ScriptedSink())
            var run = DurableRun()
            run.policy = .deadLetter
            let first = try await run.start(from: .seconds(100)) { Self.declare($0, root, sink) }
            try root.write("a", "1\n", at: 100_500)
            try await first.advanceAndSettle()
            try trouble.appear(in: root)
            try root.write("good", "2\n", at: 101_500)
            try await first.advanceAndSettle()
            try root.write("c", "3\n", at: 102_500)
            try await first.advanceAndSettle()
            let report = await first.ssc.stop(graceful: true)
            #expect(sink.rows == ["101:1", "103:3"])
            #expect(first.errors.isEmpty && report.isDrained, "\(first.errors)")
            #expect(report.deadLetterCount == 1 && report.failedBatches.isEmpty)
            let letter = try #require(try await run.letters().first)
            #expect(letter.entry.unreadCount == 1 && letter.entry.elementCount == 1)
            let input = try #require(letter.inputs.first)
            #expect(try input.elements?.decode(as: String.self) == ["2"])
            #expect(input.unread.map(\.name) == ["\(root.path)/\(trouble.rawValue)"])
            let reason = try #require(input.unread.first?.reason)
            #expect(reason.contains(trouble.reason), "\(reason)")

            // Its batch is settled: a restart does not run it again.
            let second = try await run.start(from: .seconds(103)) { Self.declare($0, root, sink) }
            try await second.advanceAndSettle()
            await second.ssc.stop()
            #expect(sink.rows == ["101:1", "103:3"] && second.errors.isEmpty)
            try await replay(run, root, sink, trouble)
        }
    }

    /// A replay reads the file if it can be read by then, and keeps the letter if not.
    private func replay(
        _ run: DurableRun, _ root: WatchedDirectory, _ sink: ScriptedSink, _ trouble: Trouble
    ) async throws {
        func replayed() async throws -> StreamingContext.ReplayReport {
            let components = run.quietComponents
            let harness = StreamHarness(startTime: .seconds(200), components: components)
            harness.ssc.checkpoint(DurableRun.directory)
            harness.ssc.textFileStream(root.path).transform { rdd in rdd }.foreachRDD { rdd, time in
                try sink.insert(try await rdd.collect(), at: time)
            }
            return try await harness.ssc.replayDeadLetters()
        }
        let first = try await replayed()
        #expect(first.replayed.isEmpty && first.failed.count == 1, "\(first)")
        let error = first.failed.first.map { "\($0.error)" } ?? ""
        #expect(error.contains(trouble.reason), "\(error)")
        guard trouble != .compressed else { return }
        if trouble == .pipe { try root.remove(trouble.rawValue) }
        try root.write(trouble.rawValue, "bad\n", at: 101_500)
        let second = try await replayed()
        #expect(second.replayed.count == 1, "\(second)")
        #expect(sink.rows == ["101:1", "103:3", "102:2", "102:bad"])
        #expect(try await run.letters().isEmpty)
    }

    @Test("under .stop each start fails by name until the file is forgotten, which is told")
    func stop() async throws {
        let (root, sink, run) = (try WatchedDirectory(), ScriptedSink(), DurableRun())
        let declare = { (harness: StreamHarness) in Self.declare(harness, root, sink) }
        let first = try await run.start(from: .seconds(100), declare)
        try root.write("a", "1\n", at: 100_500)
        try await first.advanceAndSettle()
        try root.write("b.gz", "bad\n", at: 101_500)
        try root.write("good", "2\n", at: 101_500)
        try await first.advanceAndSettle()
        await first.ssc.stop()
        #expect("\(first.errors)".contains("b.gz cannot be read"), "\(first.errors)")

        // That it is gone does not help: the batch is to read it.
        try root.remove("b.gz")
        let second = try await run.start(from: .seconds(102), declare)
        try await second.listener.batchSettled(.seconds(102))
        await second.ssc.stop()
        #expect("\(second.errors)".contains("b.gz cannot be read"), "\(second.errors)")

        let pending = try await run.pendingInputs()
        #expect(pending.map(\.batch) == [.seconds(102)] && pending[0].kind == .markedFiles)
        #expect(pending[0].name == "textFileStream")
        let parts = ["\(root.path)/b.gz", "\(root.path)/good"]
        #expect(pending[0].parts == parts)
        await #expect(throws: CheckpointError.self) {
            try await run.forget(["\(root.path)/other"], for: .seconds(102))
        }
        await #expect(throws: CheckpointError.self) { try await run.forget(for: .seconds(101)) }
        try await run.forget([parts[0]], for: .seconds(102))
        #expect(try await run.pendingInputs().map(\.forgotten) == [[parts[0]]])

        let third = try await run.start(from: .seconds(102), declare)
        try await third.listener.batchSettled(.seconds(102))
        try root.write("c", "3\n", at: 102_500)
        try await third.advanceAndSettle()
        await third.ssc.stop(graceful: true)
        #expect(sink.rows == ["101:1", "102:2", "103:3"] && third.errors.isEmpty)
        #expect(third.skipped.count == 1 && third.skipped[0].contains(parts[0]))
        #expect(run.warnings.all.contains { $0.contains("forget \(parts[0])") })
    }

    @Test("a program that has the directory keeps others from forgetting")
    func locked() async throws {
        let (root, sink) = (try WatchedDirectory(), ScriptedSink())
        var run = DurableRun()
        run.policy = .continue
        let harness = try await run.start(from: .seconds(100)) { Self.declare($0, root, sink) }
        try root.write("b.gz", "bad\n", at: 100_500)
        try await harness.advanceAndSettle()
        await #expect(throws: LogError.self) { try await run.forget(for: .seconds(101)) }
        await harness.ssc.stop()
        try await run.forget(for: .seconds(101))
    }

    @Test("under .continue later batches and checkpoints go on", arguments: 0..<3)
    func checkpoints(_ pipeline: Int) async throws {
        let root = try WatchedDirectory()
        var run = DurableRun()
        run.policy = .continue
        let harness = try await run.start(from: .seconds(100)) { harness in
            Self.declare(pipeline, harness.ssc.textFileStream(root.path))
        }
        try root.write("b.gz", "bad\n", at: 100_500)
        for number in 0..<9 {
            try await harness.advanceAndSettle()
            try root.write("c\(number)", "a\n", at: harness.clock.now.milliseconds + 500)
        }
        await harness.ssc.stop()
        let files = try await CheckpointFiles(in: DurableRun.directory, run.medium)
        let record = try #require(files.newest?.record)
        #expect(record.time == .seconds(109) && record.newestCompleted == .seconds(109))
        #expect(record.pendingBatches.first == .seconds(101))
        let failures = harness.listener.events.filter(\.isCheckpointFailed)
        #expect(failures.isEmpty, "\(failures)")
    }

    private static func declare(_ pipeline: Int, _ lines: DStream<String>) {
        switch pipeline {
        case 0: lines.foreachRDD { rdd in _ = try await rdd.count() }
        case 1:
            lines.map { ($0, 1) }.updateStateByKey { values, sum in
                (sum ?? 0) + values.reduce(0, +)
            }.foreachRDD { rdd in _ = try await rdd.count() }
        default: lines.window(.seconds(3)).foreachRDD { rdd in _ = try await rdd.count() }
        }
    }
}
