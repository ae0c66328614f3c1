import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Directories below a watched one: which files in them are read, and when.
@Suite("Directories in watched directories", .timeLimit(.minutes(5)))
struct FilesDirectoryTests {
    /// Batches by which the manual clock is ahead of the one that gives files their times.
    private static let headStart = 30

    @Test("a directory is no file, and is reported once", arguments: FileDetection.allCases)
    func subdirectory(detection: FileDetection) async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(detection: detection, warnings)
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        try await harness.ssc.start()
        try root.write("a", "a\n", at: 100_500)
        for batch in 0..<3 as Range<Int64> {
            try root.write("sub/\(batch)", "\(batch)\n", at: 100_500 + batch * 1000)
            try root.touch("sub", at: 100_500 + batch * 1000)
            try await harness.advance()
        }
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == [["a"], [], []])
        #expect(warnings.all.count == 1)
        let text = "\(root.path)/sub: a directory, so its files are not read"
        #expect(warnings.all.first?.contains(text) == true)
    }

    @Test("at any depth, hidden directories and links excepted", arguments: FileDetection.allCases)
    func recursive(detection: FileDetection) async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(detection: detection, warnings)
        let lines = harness.record(harness.ssc.textFileStream(root.path, recursive: true))
        try await harness.ssc.start()
        for name in ["a", "x/b", "x/y/z/c", "_x/no", "x/.y/no"] {
            try root.write(name, "\(name)\n", at: 100_500)
        }
        #expect(symlink("..", "\(root.path)/x/loop") == 0)
        try await harness.advance()
        try root.write("x/y/d", "x/y/d\n", at: 101_500)
        try await harness.advance()
        await harness.ssc.stop()
        #expect(
            lines.batches.map { $0.elements.sorted() } == [["a", "x/b", "x/y/z/c"], ["x/y/d"]])
        #expect(warnings.all.isEmpty)
        #expect(harness.errors.isEmpty, "\(harness.errors)")
    }

    @Test("a filter chooses files, not the directories they are in", arguments: [false, true])
    func filtered(isRecursive: Bool) async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(warnings)
        let lines = harness.record(
            harness.ssc.fileStream(
                root.path, recursive: isRecursive, filter: { $0.hasSuffix(".csv") }))
        try await harness.ssc.start()
        for name in ["a.csv", "b", "x/c.csv", "x/d", "x/y/e.csv"] {
            try root.write(name, "\(name)\n", at: 100_500)
        }
        try await harness.advance()
        try await harness.advance()
        await harness.ssc.stop()
        let all = isRecursive ? ["a.csv", "x/c.csv", "x/y/e.csv"] : ["a.csv"]
        #expect(lines.batches.map { $0.elements.map(\.1) } == [all, []])
        #expect(warnings.all.isEmpty)
    }

    @Test("a pattern that matches files says so")
    func pattern() async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(warnings)
        let lines = harness.record(harness.ssc.textFileStream("\(root.path)/*.csv"))
        try await harness.ssc.start()
        try root.write("a.csv", "a\n", at: 100_500)
        try await harness.advance()
        try await harness.advance()
        await harness.ssc.stop()
        #expect(lines.batches.flatMap(\.elements).isEmpty)
        let reports = warnings.all.filter { $0.contains("a.csv: a file where the pattern stands") }
        #expect(reports.count == 1)
    }

    /// Ten lines from each of sixty batches, saved into a directory whose directories are watched.
    @Test(
        "saved batches are read once and whole",
        arguments: FileDetection.allCases, ["/*", "", "recursive"])
    func saved(detection: FileDetection, form: String) async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(
            remember: .seconds(300), detection: detection, from: .now, warnings)
        let saved = (0..<60).map { batch in (0..<10).map { "\(batch)-\($0)" } }
        let input = harness.input(
            [[String]?](repeating: nil, count: Self.headStart) + saved, partitions: 3)
        input.saveAsTextFiles(prefix: "\(root.path)/out")
        let lines = harness.record(
            form == "recursive"
                ? harness.ssc.textFileStream(root.path, recursive: true)
                : harness.ssc.textFileStream(root.path + form))
        try await harness.run(batches: Self.headStart + 62)
        #expect(harness.errors.isEmpty, "\(harness.errors)")
        let all = lines.batches.flatMap(\.elements)
        if form.isEmpty {
            #expect(all.isEmpty)
            #expect(
                reports(warnings).contains { $0.contains("a directory, so its files are not read") }
            )
        } else {
            #expect(all.count == 600 && Set(all).count == 600)
            #expect(lines.batches.allSatisfy { $0.elements.count % 10 == 0 })
            #expect(reports(warnings).isEmpty)
        }
    }

    @Test("a directory that is being saved into is left alone until it is complete")
    func unfinished() async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(remember: .seconds(3), warnings)
        let lines = harness.record(harness.ssc.textFileStream("\(root.path)/*"))
        try await harness.ssc.start()
        try root.write("out/_temporary", "", at: 100_500)
        try root.write("out/part-00000", "0\n", at: 100_500)
        for _ in 0..<3 { try await harness.advance() }
        #expect(reports(warnings).isEmpty)
        try await harness.advance()
        try await harness.advance()
        #expect(reports(warnings).count == 1)
        let path = "\(root.path)/out"
        #expect(
            reports(warnings).first?.contains("\(path) holds _temporary and no _SUCCESS") == true)
        try root.write("out/part-00001", "1\n", at: 100_500)
        try root.write("out/_SUCCESS", "", at: 100_500)
        try await harness.advance()
        // Another one comes as a whole.
        try root.write("_next/part-00000", "2\n", at: 100_500)
        try FileSystem.rename(
            "\(root.path)/_next", to: "\(root.path)/next", durability: .handedOver)
        try await harness.advance()
        await harness.ssc.stop()
        #expect(
            lines.batches.map { $0.elements.sorted() } == [[], [], [], [], [], ["0", "1"], ["2"]])
    }

    @Test("a batch that is saved again is not read again", arguments: FileDetection.allCases)
    func savedAgain(detection: FileDetection) async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(detection: detection, from: .now, warnings)
        let lines = harness.record(harness.ssc.textFileStream("\(root.path)/*"))
        try await harness.ssc.start()
        for _ in 0..<Self.headStart { try await harness.advance() }
        let context = harness.ssc.batchContext
        for run in 0..<3 {
            let rdd = context.parallelize(["\(run)", "x"], partitions: 2)
            try await rdd.saveAsTextFile("\(root.path)/out-1000")
            try await harness.advance()
        }
        await harness.ssc.stop()
        let read = lines.batches.map { $0.elements.sorted() }
        #expect(read.suffix(3) == [["0", "x"], [], []])
        #expect(reports(warnings).count == 1)
        #expect(reports(warnings).first?.contains("part-00000") == true)
    }

    @Test("a save that failed is never read, and one that repairs it is, once")
    func failedSave() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        let lines = harness.record(harness.ssc.textFileStream("\(root.path)/*"))
        try await harness.ssc.start()
        let rdd = harness.ssc.batchContext.parallelize([0, 1], partitions: 2)
        let path = "\(root.path)/out-1000"
        await #expect(throws: (any Error).self) {
            try await rdd.map { number -> Int in
                if number == 1 { throw Boom() }
                return number
            }.saveAsTextFile(path)
        }
        #expect(FileSystem.exists("\(path)/part-00000"))
        try await harness.advance()
        try await rdd.saveAsTextFile(path)
        try await harness.advance()
        try await harness.advance()
        await harness.ssc.stop()
        #expect(lines.batches.map { $0.elements.sorted() } == [[], ["0", "1"], []])
    }
}

/// What was reported, but for a pattern that nothing matches yet.
private func reports(_ warnings: Notes<String>) -> [String] {
    warnings.all.filter { !$0.contains("is no directory yet") }
}

extension BatchTime {
    /// By the clock that stamps files.
    fileprivate static var now: BatchTime {
        BatchTime(milliseconds: SystemTime.wall().milliseconds / 1000 * 1000)
    }
}
