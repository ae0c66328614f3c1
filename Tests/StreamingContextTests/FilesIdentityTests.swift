import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Synchronization
import Testing

/// A batch reads the files that it was given, and no others that have their names.
@Suite("Which file has the name", .timeLimit(.minutes(5)))
struct FilesIdentityTests {
    private static func declare(
        _ harness: StreamHarness, _ directory: String, _ sink: ScriptedSink,
        window: Duration? = nil
    ) {
        let lines = harness.ssc.textFileStream(directory)
        (window.map { lines.window($0) } ?? lines).foreachRDD { rdd, time in
            try sink.insert(try await rdd.collect(), at: time)
        }
    }

    /// What happens to a file between its choice and its reading, and why it cannot be read then.
    private enum Change: CaseIterable {
        case replaced, remade, shortened

        func apply(to root: WatchedDirectory, _ text: String) throws {
            switch self {
            case .replaced: try root.write("a", text, at: 100_500)
            case .remade:
                try root.remove("a")
                try root.write("a", text, at: 100_500, isTold: true)
            case .shortened: try OpenFile("\(root.path)/a", .replace).write(Array("x".utf8))
            }
        }

        var reason: String {
            self == .shortened
                ? "it had 2 bytes when its batch was given it, and has 1"
                : "another file has taken the name of the one that its batch was given"
        }
    }

    @Test("a file that another one replaces before its batch reads it fails the batch by name")
    func replaced() async throws {
        for change in Change.allCases where change != .remade || WatchedDirectory.tellsBirths {
            let root = try WatchedDirectory()
            let harness = StreamHarness.forFiles()
            let versions = Notes<Int>()
            let lines = harness.record(
                harness.ssc.textFileStream(root.path).transform { rdd in
                    // After the choice, before the tasks; the last one is left alone.
                    let version = versions.all.count
                    versions.add(version)
                    if version < 3 { try change.apply(to: root, "\(version + 1)\n") }
                    return rdd
                })
            try await harness.ssc.start()
            try root.write("a", "0\n", at: 100_500, isTold: true)
            for _ in 0..<5 { try await harness.advance() }
            await harness.ssc.stop()
            let isOnce = change == .shortened
            #expect(lines.batches.flatMap(\.elements) == (isOnce ? [] : ["3"]), "\(change)")
            #expect(harness.errors.count == (isOnce ? 1 : 3), "\(change): \(harness.errors)")
            for error in harness.errors {
                #expect("\(error)".contains("\(root.path)/a cannot be read: \(change.reason)"))
            }
        }
    }

    @Test("a window has after a restart what it had read, though the files are gone or others")
    func window() async throws {
        let (root, sink, run) = (try WatchedDirectory(), ScriptedSink(), DurableRun())
        func declare(_ harness: StreamHarness) {
            Self.declare(harness, root.path, sink, window: .seconds(3))
        }
        let first = try await run.start(from: .seconds(100), declare)
        for (name, time) in [("a", 100_500), ("b", 101_500)] as [(String, Int64)] {
            try root.write(name, "\(name)\n", at: time)
            try await first.advanceAndSettle()
        }
        await first.ssc.stop(graceful: true)
        try root.remove("a")
        try root.write("b", "other\n", at: 102_500)
        let second = try await run.start(from: .seconds(102), declare)
        try await second.advanceAndSettle()
        await second.ssc.stop(graceful: true)
        #expect(second.errors.isEmpty, "\(second.errors)")
        #expect(sink.rows == ["101:a", "102:a", "102:b", "103:a", "103:b", "103:other"])
    }

    @Test("a window over a direct stream has what it had read, though the records have expired")
    func directWindow() async throws {
        let (topic, sink, run) = (ExpiringTopic(), ScriptedSink(), DurableRun())
        func declare(_ harness: StreamHarness) {
            harness.ssc.directStream(topic).stream.window(.seconds(3)).foreachRDD { rdd, time in
                try sink.insert(try await rdd.collect().map { "\($0)" }, at: time)
            }
        }
        let first = try await run.start(from: .seconds(100), declare)
        for _ in 0..<2 {
            topic.grow(by: 1)
            try await first.advanceAndSettle()
        }
        await first.ssc.stop(graceful: true)
        topic.expire()
        topic.grow(by: 1)
        let second = try await run.start(from: .seconds(102), declare)
        try await second.advanceAndSettle()
        await second.ssc.stop(graceful: true)
        #expect(second.errors.isEmpty, "\(second.errors)")
        #expect(sink.rows == ["101:0", "102:0", "102:1", "103:0", "103:1", "103:2"])
    }

    @Test(
        "a directory that is watched by another path is not read again",
        arguments: ["moved", "link", "in/../in", "other/../in"])
    func moved(_ path: String) async throws {
        let (root, sink, run) = (try WatchedDirectory(), ScriptedSink(), DurableRun())
        let start = { (path: String, seconds: Int64) in
            try await run.start(from: .seconds(seconds)) {
                Self.declare($0, "\(root.path)/\(path)", sink)
            }
        }
        try root.write("in/old", "old\n", at: 1000)
        try FileSystem.createDirectory("\(root.path)/other")
        let first = try await start("in", 100)
        try root.write("in/a", "a\n", at: 100_500)
        try await first.advanceAndSettle()
        await first.ssc.stop(graceful: true)
        if path == "moved" {
            try FileSystem.rename(
                "\(root.path)/in", to: "\(root.path)/moved", durability: .handedOver)
        } else if path == "link" {
            try root.link("link", to: "in")
        }
        let place = path == "moved" ? path : "in"
        try root.write("\(place)/b", "b\n", at: 100_500)
        let second = try await start(path, 101)
        try await second.advanceAndSettle()
        try root.write("\(place)/c", "c\n", at: 100_500)
        try await second.advanceAndSettle()
        await second.ssc.stop(graceful: true)
        #expect(sink.rows == ["101:a", "102:b", "103:c"])
        #expect(!run.warnings.all.contains { $0.contains("the checkpoint knows") })
    }

    @Test("another directory is read as a whole, and that is reported")
    func elsewhere() async throws {
        let (root, sink, run) = (try WatchedDirectory(), ScriptedSink(), DurableRun())
        for (directory, seconds) in [("in", 100), ("copy", 102)] as [(String, Int64)] {
            if directory == "copy" { try root.write("copy/a", "a\n", at: 100_500) }
            let harness = try await run.start(from: .seconds(seconds)) {
                Self.declare($0, "\(root.path)/\(directory)", sink)
            }
            if directory == "in" { try root.write("in/a", "a\n", at: 100_500) }
            try await harness.advanceAndSettle()
            try await harness.advanceAndSettle()
            await harness.ssc.stop(graceful: true)
        }
        #expect(sink.rows == ["101:a", "103:a"])
        let warnings = run.warnings.all.filter { $0.contains("whose files the checkpoint knows") }
        #expect(warnings.count == 1, "\(run.warnings.all)")
        #expect(warnings.first?.contains("\(root.path)/copy") == true)
    }

    @Test("two file streams that have been exchanged are refused")
    func exchanged() async throws {
        let (root, sink, run) = (try WatchedDirectory(), ScriptedSink(), DurableRun())
        func declare(_ first: String, _ second: String) -> (StreamHarness) -> Void {
            { harness in
                for name in [first, second] { Self.declare(harness, "\(root.path)/\(name)", sink) }
            }
        }
        for name in ["x", "y"] { try root.write("\(name)/old", "old\n", at: 1000) }
        let first = try await run.start(from: .seconds(100), declare("x", "y"))
        try await first.advanceAndSettle()
        await first.ssc.stop(graceful: true)
        let refusal = try await run.refusal(from: .seconds(101), declare("y", "x"))
        #expect(refusal?.code == .checkpointMismatch, "\(String(describing: refusal))")
        let text = "\(root.path)/y was watched by another stream"
        #expect(refusal?.message.contains(text) == true)
        let second = try await run.start(from: .seconds(101), declare("x", "y"))
        try await second.advanceAndSettle()
        await second.ssc.stop(graceful: true)
        #expect(sink.rows.isEmpty && second.errors.isEmpty)
    }
}

/// A topic whose records are their offsets, and may expire.
private final class ExpiringTopic: DirectSource {
    private struct Expired: Error {}
    private let state = Locked<(end: Int64, first: Int64)>((0, 0))

    func grow(by count: Int64) { state.withLock { $0.end += count } }
    func expire() { state.withLock { $0.first = $0.end } }

    func latestOffsets() async throws -> [TopicPartition: Int64] {
        [TopicPartition(topic: "t", partition: 0): state.withLock { $0.end }]
    }

    func startingOffset(of partition: TopicPartition) async throws -> Int64 {
        state.withLock { $0.first }
    }

    func read(_ range: OffsetRange, _ body: (Int64) throws -> Void) throws {
        if range.fromOffset < state.withLock({ $0.first }) { throw Expired() }
        for offset in range.fromOffset..<range.untilOffset { try body(offset) }
    }
}
