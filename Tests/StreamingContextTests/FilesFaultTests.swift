import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Testing

/// Files that cannot be read: what fails, what is said, and what is not lost.
@Suite("Files that cannot be read")
struct FilesFaultTests {
    /// The innermost error of ours.
    private func cause(_ error: (any Error)?) -> StreamError? {
        switch error {
        case let error as StreamError: cause(error.underlying) ?? error
        case let error as EngineError: cause(error.underlying)
        case let error as OperatorFailure: cause(error.underlying)
        default: nil
        }
    }

    @Test("a file that goes before it is read fails its batch by name", .timeLimit(.minutes(5)))
    func vanished() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        let stream = harness.ssc.textFileStream(root.path)
        // Runs when the batch is generated: after the choice, before the tasks.
        let lines = harness.record(
            stream.transform { rdd in
                try root.remove("b")
                return rdd
            })
        try await harness.ssc.start()
        for name in ["a", "b", "c"] { try root.write(name, "\(name)\n", at: 100_500) }
        try await harness.advance()
        try root.write("d", "d\n", at: 101_500)
        try await harness.advance()
        let read = harness.ssc.graph.fileInputs.first?.batches ?? []
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == [["d"]])
        #expect(harness.errors.count == 1)
        let error = try #require(cause(harness.errors.first))
        #expect(error.code == .fileUnreadable)
        #expect(error.site?.name == "textFileStream")
        #expect(error.message.contains("\(root.path)/b cannot be read"))
        #expect("\(error)".contains("No such file"))
        // Running the batch again reads all its files, also those that could be read.
        let paths = ["a", "b", "c"].map { "\(root.path)/\($0)" }
        #expect(read.first?.time == .seconds(101))
        #expect(read.first?.files.map(\.path) == paths)
    }

    @Test(
        "what is no plain file is named", .timeLimit(.minutes(5)),
        arguments: [
            ("logs.gz", ".gz files are compressed"),
            ("odd.bin", "5 bytes, which is no multiple of the record length 2"),
        ])
    func notPlain(_ name: String, _ reason: String) async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        let isBinary = name.hasSuffix(".bin")
        let count = Notes<Int>()
        if isBinary {
            harness.ssc.binaryRecordsStream(root.path, recordLength: 2).foreachRDD { rdd in
                count.add(try await rdd.count())
            }
        } else {
            harness.ssc.textFileStream(root.path).foreachRDD { rdd in
                count.add(try await rdd.count())
            }
        }
        try await harness.ssc.start()
        try root.write(name, "12345", at: 100_500)
        try await harness.advance()
        try await harness.advance()
        await harness.ssc.stop()
        #expect(count.all == [0])
        let error = try #require(cause(harness.errors.first))
        #expect(error.code == .fileUnreadable)
        #expect("\(error)".contains(reason), "\(error)")
        #expect(error.message.contains("\(root.path)/\(name)"))
    }

    @Test("a failed task reads its file again", .timeLimit(.minutes(5)))
    func retried() async throws {
        let root = try WatchedDirectory()
        var configuration = StreamingContext.Configuration()
        configuration.maxTaskFailures = 2
        let harness = StreamHarness(startTime: .seconds(100), configuration: configuration)
        let tries = Notes<Void>()
        let lines = harness.record(
            harness.ssc.textFileStream(root.path).map { line in
                tries.add(())
                if tries.all.count == 2 { throw Boom() }
                return line
            })
        try await harness.ssc.start()
        try root.write("a", "1\n2\n3\n", at: 100_500)
        try await harness.advance()
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == [["1", "2", "3"]])
        #expect(tries.all.count == 5)
    }

    @Test("an output that cannot be written is not blamed on the input", .timeLimit(.minutes(5)))
    func outputFails() async throws {
        let root = try WatchedDirectory()
        let output = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        harness.ssc.textFileStream(root.path).saveAsTextFiles(prefix: "\(output.path)/out")
        try await harness.ssc.start()
        try root.write("a", "1\n", at: 100_500)
        try await harness.advance()
        // The place of the next batch's part is taken: it cannot be put there.
        try FileSystem.createDirectory("\(output.path)/out-102000/part-00000/x")
        try root.write("b", "2\n", at: 101_500)
        try await harness.advance()
        try root.write("c", "3\n", at: 102_500)
        try await harness.advance()
        await harness.ssc.stop()
        #expect(try output.text("out-101000/part-00000") == "1\n")
        #expect(try FileSystem.list("\(output.path)/out-102000") == ["_temporary", "part-00000"])
        #expect(try output.text("out-103000/part-00000") == "3\n")
        #expect(harness.errors.map(\.code) == [.outputFailed])
        #expect(cause(harness.errors.first)?.code == .outputFailed)
        let text = harness.errors.map { "\($0)" }.joined()
        #expect(text.contains("rename") && text.contains("out-102000"))
    }

    @Test("a directory that cannot be made fails the batch", .timeLimit(.minutes(5)))
    func noDirectory() async throws {
        let output = try WatchedDirectory()
        try output.write("file", "", at: 0)
        let harness = StreamHarness.forFiles()
        let input = harness.input([["a"], ["b"]])
        input.saveAsTextFiles(prefix: "\(output.path)/file/out", suffix: "txt")
        input.saveAsTextFiles(prefix: "\(output.path)/x/y/out", suffix: "txt")
        try await harness.run(batches: 1)
        #expect(harness.errors.map(\.outputOperation) == [0])
        #expect("\(harness.errors)".contains("mkdir"))
        #expect(
            try FileSystem.list("\(output.path)/x/y/out-101000.txt") == [
                "_SUCCESS", "part-00000", "part-00001",
            ])
    }

    @Test("a task that is tried again leaves one version of its part", .timeLimit(.minutes(5)))
    func oneVersion() async throws {
        let output = try WatchedDirectory()
        var configuration = StreamingContext.Configuration()
        configuration.maxTaskFailures = 3
        let harness = StreamHarness(configuration: configuration)
        let tries = Notes<Void>()
        let input = harness.input([Array(0..<20_000)], partitions: 1).map { number in
            if number == 19_999 {
                tries.add(())
                if tries.all.count < 3 { throw Boom() }
            }
            return number
        }
        input.saveAsTextFiles(prefix: "\(output.path)/out")
        try await harness.run(batches: 1)
        #expect(harness.errors.isEmpty && tries.all.count == 3)
        #expect(try FileSystem.list("\(output.path)/out-1000") == ["_SUCCESS", "part-00000"])
        #expect(
            try output.text("out-1000/part-00000") == (0..<20_000).map { "\($0)\n" }.joined())
    }

    @Test("object files come back with their partitions", .timeLimit(.minutes(5)))
    func objects() async throws {
        struct NoCodec: Sendable {}
        let output = try WatchedDirectory()
        let harness = StreamHarness()
        let back = Notes<[[String: Int]]>()
        let input = harness.input([[("a", 1), ("b", 2), ("c", 3)], []])
        input.saveAsObjectFiles(prefix: "\(output.path)/obj", suffix: "bin")
        input.foreachRDD { rdd, time in
            let path = "\(output.path)/obj-\(time.milliseconds).bin"
            let pairs = try await rdd.context.objectFile(path, of: (String, Int).self)
            back.add(
                try await pairs.collectPartitions().map { Dictionary(uniqueKeysWithValues: $0) })
        }
        try await harness.run(batches: 2)
        #expect(harness.errors.isEmpty)
        #expect(back.all == [[["a": 1], ["b": 2, "c": 3]], [[:], [:]]])
        let refused = StreamHarness()
        refused.input([[NoCodec()]]).saveAsObjectFiles(prefix: "\(output.path)/none")
        let error = await #expect(throws: StreamError.self) { try await refused.ssc.start() }
        #expect(error?.code == .codecMissing && error?.site?.name == "saveAsObjectFiles")
    }
}
