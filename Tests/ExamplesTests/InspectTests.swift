import BatchEngine
import DStreamTestKit
import Foundation
import StreamingContext
import Testing

/// The command `inspect inputs`: what it prints, and what it takes.
@Suite("inspect inputs", .timeLimit(.minutes(5)))
struct InspectTests {
    private struct Output: Equatable {
        var lines: [String]
        var status: Int32
    }

    /// Runs the command to its end.
    private func inspect(_ folder: String, _ arguments: String...) async throws -> Output {
        let path = "\(folder)/output"
        try FileSystem.removeTree(path)
        try FileSystem.append(path, [], durability: .handedOver)
        let process = Process()
        process.executableURL = try ExampleRun.program("inspect")
        process.arguments = ["inputs"] + arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        let (exit, isOver) = AsyncStream.makeStream(of: Int32.self)
        process.terminationHandler = { isOver.yield($0.terminationStatus) }
        try process.run()
        var ends = exit.makeAsyncIterator()
        let status = try #require(await ends.next(isolation: #isolation))
        let text = String(decoding: try FileSystem.readAll(path), as: UTF8.self)
        return Output(lines: text.split(separator: "\n").map(String.init), status: status)
    }

    /// Runs a batch of two files, one of which cannot be read.
    private func run(in folder: String) async throws {
        try FileSystem.createDirectory("\(folder)/in")
        let harness = StreamHarness()
        harness.ssc.textFileStream("\(folder)/in").foreachRDD { rdd in _ = try await rdd.count() }
        let ssc = try await StreamingContext.getOrCreate(
            checkpointDirectory: "\(folder)/checkpoint"
        ) { harness.ssc }
        try await ssc.start()
        for name in ["a", "b.gz"] {
            try FileSystem.append(
                "\(folder)/in/\(name)", Array("line\n".utf8), durability: .handedOver)
        }
        await #expect(throws: StreamError.self) { try await harness.advance() }
        await ssc.stop()
    }

    @Test("lists what a restart reads again, and forgets a part of it")
    func inputs() async throws {
        try await withTemporaryFolder { folder in
            try await run(in: folder)
            let (title, good) = ("batch 1000: stream 0 (textFileStream):", "\(folder)/in/a")
            let bad = "\(folder)/in/b.gz"
            let before = Output(lines: [title, "  \(good)", "  \(bad)"], status: 0)
            #expect(try await inspect(folder, "checkpoint") == before)
            let after = Output(lines: [title, "  \(good)", "  \(bad), forgotten"], status: 0)
            #expect(try await inspect(folder, "forget", "checkpoint", "1000", "0", bad) == after)
            #expect(try await inspect(folder, "checkpoint") == after)
            let all = Output(
                lines: [title, "  \(good), forgotten", "  \(bad), forgotten"], status: 0)
            #expect(try await inspect(folder, "forget", "checkpoint", "1000", "0") == all)
        }
    }

    @Test("what cannot be forgotten is refused in words, and nothing is forgotten")
    func refused() async throws {
        try await withTemporaryFolder { folder in
            try await run(in: folder)
            let before = try await inspect(folder, "checkpoint")
            for (batch, stream, text) in [
                ("2000", "0", "stream 0 has chosen nothing for batch 2000"),
                ("1000", "1", "stream 1 has chosen nothing for batch 1000"),
                ("1s", "0", "1s 0: not a batch in milliseconds and the number of a stream"),
                ("1000", "a", "1000 a: not a batch in milliseconds and the number of a stream"),
            ] {
                let refusal = try await inspect(folder, "forget", "checkpoint", batch, stream)
                #expect(refusal.lines.first?.contains(text) == true, "\(refusal)")
                #expect(refusal.status == 1)
            }
            let refusal = try await inspect(folder, "forget", "checkpoint", "1000", "0", "c")
            let text = "c is not in what stream 0 chose for batch 1000"
            #expect(refusal.lines.first?.contains(text) == true, "\(refusal)")
            #expect(refusal.status == 1)
            #expect(try await inspect(folder, "checkpoint") == before)
        }
    }

    @Test("too few words are answered with the usage; where nothing waits, it says so")
    func nothing() async throws {
        try await withTemporaryFolder { folder in
            let usage = try await inspect(folder, "forget", "checkpoint")
            #expect(usage.status == 2 && usage.lines.first?.hasPrefix("usage: inspect ") == true)
            try FileSystem.createDirectory("\(folder)/checkpoint")
            let empty = Output(
                lines: ["no batch that runs again has chosen files or offsets in checkpoint"],
                status: 0)
            #expect(try await inspect(folder, "checkpoint") == empty)
            let none = try await inspect(folder, "none")
            #expect(none.status == 1 && none.lines.first?.contains("none") == true, "\(none)")
        }
    }
}
