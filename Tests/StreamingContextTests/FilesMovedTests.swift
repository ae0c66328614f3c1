import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Files and directories that go and come back, under one name or several.
@Suite("Files that go and come back", .timeLimit(.minutes(5)))
struct FilesMovedTests {
    private static func put(_ lines: DStream<String>, into sink: ScriptedSink, _ tag: String = "") {
        lines.foreachRDD { rdd, time in
            try sink.insert(try await rdd.collect().sorted().map { tag + $0 }, at: time)
        }
    }

    private static func move(_ root: WatchedDirectory, _ from: String, _ to: String) throws {
        try FileSystem.rename(
            "\(root.path)/\(from)", to: "\(root.path)/\(to)", durability: .handedOver)
    }

    @Test("a filter that admits again what it had admitted", arguments: [false, true])
    func filter(restarts: Bool) async throws {
        let (root, sink, run) = (try WatchedDirectory(), ScriptedSink(), DurableRun())
        let admitted = Locked(".csv")
        func declare(_ harness: StreamHarness) {
            let lines = harness.ssc.fileStream(
                root.path, filter: { path in path.hasSuffix(admitted.withLock { $0 }) })
            Self.put(lines.map { $0.1 }, into: sink)
        }
        var harness = try await run.start(from: .seconds(100), declare)
        try root.write("a.csv", "a\n", at: 100_500)
        try root.write("b.tsv", "b\n", at: 100_500)
        for (time, name) in [(100, ".csv"), (101, ".tsv"), (102, ".csv"), (103, ".tsv")] {
            if restarts, time > 100 { await harness.ssc.stop(graceful: true) }
            admitted.withLock { $0 = name }
            if restarts, time > 100 {
                harness = try await run.start(from: .seconds(Int64(time)), declare)
            }
            try await harness.advanceAndSettle()
        }
        await harness.ssc.stop(graceful: true)
        #expect(sink.rows == ["101:a", "102:b"])
    }

    @Test("a link whose target is away for a while", arguments: [false, true])
    func link(restarts: Bool) async throws {
        let (root, other) = (try WatchedDirectory(), try WatchedDirectory())
        let (sink, run) = (ScriptedSink(), DurableRun())
        func declare(_ harness: StreamHarness) {
            Self.put(harness.ssc.textFileStream(root.path), into: sink)
        }
        for name in ["old", "a"] { try other.write("disk/\(name)", "\(name)\n", at: 100_500) }
        #expect(symlink("\(other.path)/disk/old", "\(root.path)/old") == 0)
        var harness = try await run.start(from: .seconds(100), declare)
        #expect(symlink("\(other.path)/disk/a", "\(root.path)/a") == 0)
        try await harness.advanceAndSettle()
        if restarts { await harness.ssc.stop(graceful: true) }
        try Self.move(other, "disk", "away")
        if restarts { harness = try await run.start(from: .seconds(101), declare) }
        try await harness.advanceAndSettle()
        try Self.move(other, "away", "disk")
        try await harness.advanceAndSettle()
        await harness.ssc.stop(graceful: true)
        #expect(sink.rows == ["101:a"])
    }

    @Test("150 directories that are away for a batch")
    func manyDirectories() async throws {
        let (root, sink, run) = (try WatchedDirectory(), ScriptedSink(), DurableRun())
        let harness = try await run.start(from: .seconds(100)) {
            Self.put($0.ssc.textFileStream("\(root.path)/in/*"), into: sink)
        }
        for number in 0..<150 { try root.write("in/\(number)/a", "a\n", at: 100_500) }
        try await harness.advanceAndSettle()
        #expect(sink.rows.count == 150)
        try Self.move(root, "in", "away")
        try await harness.advanceAndSettle()
        try Self.move(root, "away", "in")
        try await harness.advanceAndSettle()
        await harness.ssc.stop(graceful: true)
        #expect(sink.rows.count == 150)
    }

    @Test("a directory that goes to another path and back, and grows there")
    func backAgain() async throws {
        let (root, sink, run) = (try WatchedDirectory(), ScriptedSink(), DurableRun())
        try root.write("x/old", "old\n", at: 1000)
        let harness = try await run.start(from: .seconds(100)) {
            Self.put($0.ssc.textFileStream("\(root.path)/*"), into: sink)
        }
        var place = "x"
        for (next, name) in [("x", "a"), ("y", "b"), ("x", "c")] {
            if next != place { try Self.move(root, place, next) }
            place = next
            try root.write("\(place)/\(name)", "\(name)\n", at: 100_500)
            try await harness.advanceAndSettle()
        }
        await harness.ssc.stop(graceful: true)
        #expect(sink.rows == ["101:a", "102:b", "103:c"])
    }

    @Test(
        "a directory whose only file has grown when it is moved",
        .enabled(if: WatchedDirectory.tellsBirths))
    func grown() async throws {
        let (root, sink, run) = (try WatchedDirectory(), ScriptedSink(), DurableRun())
        let harness = try await run.start(from: .seconds(100)) {
            Self.put($0.ssc.textFileStream("\(root.path)/*"), into: sink)
        }
        try root.write("in/a", "a\n", at: 100_500)
        try await harness.advanceAndSettle()
        try OpenFile("\(root.path)/in/a", .append).write(Array("b\n".utf8))
        try Self.move(root, "in", "moved")
        try await harness.advanceAndSettle()
        await harness.ssc.stop(graceful: true)
        #expect(sink.rows == ["101:a"])
        #expect(run.warnings.all.contains { $0.contains("/moved/a: changed after a batch") })
    }

    @Test("a directory and a link to it are listed once")
    func linkBeside() async throws {
        let (root, sink, run) = (try WatchedDirectory(), ScriptedSink(), DurableRun())
        try root.write("in/day1/old", "old\n", at: 100_500)
        try root.link("in/current", to: "in/day1")
        let harness = try await run.start(from: .seconds(100)) {
            Self.put($0.ssc.textFileStream("\(root.path)/in/*"), into: sink)
        }
        try root.write("in/day1/a", "a\n", at: 100_500)
        try await harness.advanceAndSettle()
        await harness.ssc.stop(graceful: true)
        #expect(sink.rows == ["101:a"])
        let text = "/in/day1 is \(root.path)/in/current by another path"
        #expect(run.warnings.all.filter { $0.contains(text) }.count == 1, "\(run.warnings.all)")
    }

    @Test("a saved directory with a part that is linked from one that is gone")
    func linkedPart() async throws {
        let (root, sink, run) = (try WatchedDirectory(), ScriptedSink(), DurableRun())
        let harness = try await run.start(from: .seconds(100)) {
            Self.put($0.ssc.textFileStream("\(root.path)/*"), into: sink)
        }
        for number in 0..<2 { try root.write("_n/part-\(number)", "\(number)\n", at: 100_500) }
        try root.write("_n/_SUCCESS", "", at: 100_500)
        try Self.move(root, "_n", "out1")
        try await harness.advanceAndSettle()
        try FileSystem.createDirectory("\(root.path)/_n")
        try #require(
            Self.hardLink("\(root.path)/out1/part-0", "\(root.path)/_n/part-0") == 0)
        try root.write("_n/part-1", "N\n", at: 100_500, isTold: true)
        try root.write("_n/_SUCCESS", "", at: 100_500)
        try root.remove("out1")
        try Self.move(root, "_n", "out2")
        try await harness.advanceAndSettle()
        await harness.ssc.stop(graceful: true)
        #expect(sink.rows.contains("102:N"), "\(sink.rows)")
    }

    private static func hardLink(_ from: String, _ to: String) -> Int32 {
        systemLink(from, to)
    }

    @Test("what was read before _SUCCESS, or with it, is not read when it is saved again")
    func savedAgain() async throws {
        let (root, sink, run) = (try WatchedDirectory(), ScriptedSink(), DurableRun())
        let harness = try await run.start(from: .seconds(100)) {
            Self.put($0.ssc.textFileStream("\(root.path)/*"), into: sink)
        }
        try root.write("out/part-0", "1\n", at: 100_500)
        try await harness.advanceAndSettle()
        try root.write("out/_SUCCESS", "", at: 100_500)
        try await harness.advanceAndSettle()
        try root.write("out/part-0", "1\n", at: 102_500, isTold: true)
        try await harness.advanceAndSettle()
        // Another directory in its place.
        try root.write("_next/part-0", "1\n", at: 103_500, isTold: true)
        try root.write("_next/_SUCCESS", "", at: 103_500)
        try root.remove("out")
        try Self.move(root, "_next", "out")
        try await harness.advanceAndSettle()
        await harness.ssc.stop(graceful: true)
        #expect(sink.rows == ["101:1"])
    }

    @Test("all outputs of a batch read the same of a file that grows")
    func grows() async throws {
        let (root, sink, run) = (try WatchedDirectory(), ScriptedSink(), DurableRun())
        let harness = try await run.start(from: .seconds(100)) { harness in
            let lines = harness.ssc.textFileStream(root.path)
            lines.foreachRDD { rdd, time in
                try sink.insert(try await rdd.collect().map { "first " + $0 }, at: time)
                if time == .seconds(101) {
                    try OpenFile("\(root.path)/a", .append).write(Array("2\n".utf8))
                }
            }
            Self.put(lines, into: sink, "second ")
        }
        try root.write("a", "1\n", at: 100_500)
        try await harness.advanceAndSettle()
        try await harness.advanceAndSettle()
        await harness.ssc.stop(graceful: true)
        #expect(sink.rows == ["101:first 1", "101:second 1"])
        #expect(
            run.warnings.all.contains { $0.contains("/a: changed after a batch had chosen it") })
    }

    @Test("a replay does not read the file that took the name, which another batch has read")
    func replay() async throws {
        let (root, sink) = (try WatchedDirectory(), ScriptedSink())
        var run = DurableRun()
        run.policy = .deadLetter
        func declare(_ harness: StreamHarness, replaces: Bool) {
            let lines = harness.ssc.textFileStream(root.path).transform { rdd, time in
                if replaces, time == .seconds(101) { try root.write("a", "new\n", at: 100_500) }
                return rdd
            }
            Self.put(lines, into: sink)
        }
        let first = try await run.start(from: .seconds(100)) { declare($0, replaces: true) }
        try root.write("a", "old\n", at: 100_500, isTold: true)
        for _ in 0..<3 { try await first.advanceAndSettle() }
        await first.ssc.stop(graceful: true)
        let harness = StreamHarness(startTime: .seconds(200), components: run.quietComponents)
        harness.ssc.checkpoint(DurableRun.directory)
        declare(harness, replaces: false)
        let report = try await harness.ssc.replayDeadLetters()
        #expect(report.replayed.isEmpty && report.failed.count == 1, "\(report)")
        #expect(sink.rows == ["102:new"])
    }
}

private func systemLink(_ from: String, _ to: String) -> Int32 { link(from, to) }
