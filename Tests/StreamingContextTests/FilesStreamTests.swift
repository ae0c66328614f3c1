import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Testing

/// Streams of the files that appear in directories.
@Suite("Streams of files")
struct FilesStreamTests {
    @Test("the last line needs no end, and every end of line counts", .timeLimit(.minutes(5)))
    func lines() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        let pairs = harness.record(harness.ssc.fileStream(root.path))
        let texts: [([UInt8], [String], [Int])] = [
            (Array("".utf8), [], []),
            (Array("x\r\ny\r\n".utf8), ["x", "y"], [0, 3]),
            (Array("p\rq\n\r\nr".utf8), ["p", "q", "", "r"], [0, 2, 4, 6]),
            ([0xEF, 0xBB, 0xBF] + Array("a\nb".utf8), ["a", "b"], [0, 5]),
            ([0x61, 0xFF, 0x0A, 0xC3, 0xA9, 0x0A], ["a\u{FFFD}", "é"], [0, 3]),
        ]
        try await harness.ssc.start()
        for (index, text) in texts.enumerated() {
            try root.write("f\(index)", text.0, at: 100_500 + Int64(index) * 1000)
            try await harness.advance()
        }
        await harness.ssc.stop()
        #expect(harness.errors.isEmpty)
        #expect(lines.batches.map(\.elements) == texts.map(\.1))
        #expect(pairs.batches.map { $0.elements.map(\.1) } == texts.map(\.1))
        #expect(pairs.batches.map { $0.elements.map(\.0) } == texts.map(\.2))
    }

    @Test("files larger than what is read at once, cut anywhere", .timeLimit(.minutes(5)))
    func largeFiles() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        let pairs = harness.record(harness.ssc.fileStream(root.path))
        let long = String(repeating: "é", count: 800_000)
        let all = (0..<60_000).map { "line \($0)" } + [long, "end"]
        try await harness.ssc.start()
        try root.write("large", all.joined(separator: "\r\n"), at: 100_500)
        try await harness.advance()
        await harness.ssc.stop()
        #expect(lines.batches.first?.elements == all)
        var offset = 0
        var isRight = pairs.batches.first?.elements.count == all.count
        for (pair, line) in zip(pairs.batches.first?.elements ?? [], all) {
            isRight = isRight && pair == (offset, line)
            offset += line.utf8.count + 2
        }
        #expect(isRight)
    }

    @Test("a thousand files, one partition each, and what is told of them", .timeLimit(.minutes(5)))
    func manyFiles() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        let records = harness.record(harness.ssc.binaryRecordsStream(root.path, recordLength: 2))
        try await harness.ssc.start()
        for index in 1000..<2000 { try root.write("\(index)", "\(index)\n\n", at: 100_500) }
        try await harness.advance()
        try await harness.advance()
        await harness.ssc.stop()
        let first = try #require(lines.batches.first)
        #expect(first.partitions == (1000..<2000).map { ["\($0)", ""] })
        #expect(lines.batches.last?.partitions.isEmpty == true)
        #expect(records.batches.first?.elements.count == 3000)
        let info = try #require(harness.listener.events.compactMap(\.completedBatch).first)
        let inputs = info.streamIDToInputInfo.sorted { $0.key < $1.key }.map(\.value)
        #expect(inputs.map(\.recordCount) == [0, 3000])
        let paths = (1000..<2000).map { "\(root.path)/\($0)" }.joined(separator: "\n")
        #expect(inputs.map(\.metadataDescription) == [paths, paths])
    }

    @Test(
        "by its time, a file that is written all the time is read again when the window has passed",
        .timeLimit(.minutes(5)))
    func touched() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles(
            remember: .milliseconds(1500), detection: .byModificationTime)
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        try await harness.ssc.start()
        for batch in 0..<6 as Range<Int64> {
            try root.write("a", "\(batch)\n", at: 100_500 + batch * 1000)
            try await harness.advance()
        }
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == [["0"], [], [], [], ["4"], []])
    }

    @Test(
        "a missing directory is told of once, and is read when it is there", .timeLimit(.minutes(5))
    )
    func missingDirectory() async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(warnings)
        let lines = harness.record(harness.ssc.textFileStream("\(root.path)/later"))
        try await harness.ssc.start()
        try await harness.advance()
        try await harness.advance()
        try root.write("later/a", "1\n", at: 102_500)
        try await harness.advance()
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == [[], [], ["1"]])
        #expect(warnings.all.count == 1)
        #expect(warnings.all.first?.contains("\(root.path)/later is no directory yet") == true)
        #expect(harness.errors.isEmpty)
    }

    @Test("the filter sees paths, never those with _ or .", .timeLimit(.minutes(5)))
    func filter() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        let seen = Notes<String>()
        let stream = harness.ssc.fileStream(
            root.path,
            filter: { path in
                seen.add(path)
                return !path.hasSuffix("no")
            }, newFilesOnly: false)
        let pairs = harness.record(stream)
        try root.write("old", "old\n", at: 50_000)
        try root.write("too old", "", at: 40_000)
        for name in ["yes", "no", "_yes", ".yes"] { try root.write(name, name, at: 100_500) }
        try await harness.run(batches: 1)
        #expect(pairs.batches.first?.elements.map(\.1) == ["old", "yes"])
        #expect(Set(seen.all) == Set(["old", "too old", "yes", "no"].map { "\(root.path)/\($0)" }))
    }

    @Test(
        "a persisted stream of files reads them once for all its outputs", .timeLimit(.minutes(5)))
    func persisted() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        let stream = harness.ssc.textFileStream(root.path).persist()
        stream.foreachRDD { rdd in
            _ = try await rdd.count()
            try root.remove("a")
        }
        let lines = harness.record(stream)
        try await harness.ssc.start()
        try root.write("a", "1\n", at: 100_500)
        try await harness.advance()
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == [["1"]])
        #expect(harness.errors.isEmpty)
    }

    @Test("a window over files and a slice of them", .timeLimit(.minutes(5)))
    func windowed() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles(remember: .seconds(1))
        let stream = harness.ssc.textFileStream(root.path)
        let lines = harness.record(stream.window(.seconds(3)))
        let sliced = Notes<[String]>()
        stream.foreachRDD { _, time in
            let rdds = try await stream.slice(from: .seconds(101), through: time + .seconds(1))
            var all: [String] = []
            for rdd in rdds { all += try await rdd.collect() }
            sliced.add(all)
        }
        try await harness.ssc.start()
        for batch in 0..<5 as Range<Int64> {
            try root.write("f\(batch)", "\(batch)\n", at: 100_500 + batch * 1000)
            try await harness.advance()
        }
        await harness.ssc.stop()
        #expect(harness.errors.isEmpty)
        #expect(
            lines.batches.map(\.elements) == [
                ["0"], ["0", "1"], ["0", "1", "2"], ["1", "2", "3"], ["2", "3", "4"],
            ])
        #expect(sliced.all.first == ["0"] && sliced.all.dropFirst().first == ["0", "1"])
    }

    @Test("declarations that cannot work are reported by start", .timeLimit(.minutes(5)))
    func badDeclarations() async throws {
        let harness = StreamHarness.forFiles()
        _ = harness.record(harness.ssc.textFileStream("/tmp/[a"))
        _ = harness.record(harness.ssc.textFileStream(""))
        _ = harness.record(harness.ssc.fileStream("s3a://bucket/a"))
        _ = harness.record(harness.ssc.binaryRecordsStream("/tmp", recordLength: 0))
        let error = await #expect(throws: StreamError.self) { try await harness.ssc.start() }
        #expect(error?.parts.map(\.code) == Array(repeating: .badDeclaration, count: 4))
        #expect(
            error?.parts.compactMap(\.site?.name) == [
                "textFileStream", "textFileStream", "fileStream", "binaryRecordsStream",
            ])
    }

    @Test("the same RDD for every batch", .timeLimit(.minutes(5)))
    func constant() async throws {
        let harness = StreamHarness()
        let rdd = harness.ssc.batchContext.parallelize([1, 2, 3], partitions: 2)
        let output = harness.record(harness.ssc.constantStream(rdd).map { $0 * 2 })
        try await harness.run(batches: 2)
        #expect(output.batches.map(\.elements) == [[2, 4, 6], [2, 4, 6]])
    }
}
