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

/// What else can lie in a directory: the files beside it are read all the same.
@Suite("Odd things in a watched directory")
struct FilesOddTests {
    #if os(Linux)
        // Other systems see one name, however it is written.
        @Test(
            "names that are only written the same are two files", .timeLimit(.minutes(5)),
            arguments: [false, true])
        func twoNames(isDirectory: Bool) async throws {
            let root = try WatchedDirectory()
            let harness = StreamHarness.forFiles()
            let stream = harness.ssc.textFileStream(isDirectory ? "\(root.path)/*" : root.path)
            let lines = harness.record(stream)
            try await harness.ssc.start()
            let end = isDirectory ? "/file" : ""
            try root.write("caf\u{E9}\(end)", "together\n", at: 100_500)
            try root.write("cafe\u{301}\(end)", "apart\n", at: 100_500)
            await harness.advance()
            await harness.advance()
            await harness.ssc.stop()
            #expect(lines.batches.map { Set($0.elements) } == [["together", "apart"], []])
        }

        @Test("a name that is no UTF-8 is reported", .timeLimit(.minutes(5)))
        func nameOfOtherBytes() async throws {
            let root = try WatchedDirectory()
            let warnings = Notes<String>()
            let harness = StreamHarness.forFiles(warnings)
            let lines = harness.record(harness.ssc.textFileStream(root.path))
            try await harness.ssc.start()
            try root.write("a", "a\n", at: 100_500)
            try root.write("b", "b\n", at: 100_500)
            let odd = Array("\(root.path)/b".utf8CString.dropLast()) + [-1, 0]
            #expect(rename("\(root.path)/b", odd) == 0)
            await harness.advance()
            await harness.advance()
            await harness.ssc.stop()
            #expect(lines.batches.map(\.elements) == [["a"], []])
            #expect(warnings.all.count == 1)
            let path = "\(root.path)/b\u{FFFD}"
            #expect(warnings.all.first?.contains("\(path) cannot be read: its name") == true)
        }
    #endif

    @Test("a link that leads nowhere hides no other file", .timeLimit(.minutes(5)))
    func links() async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(warnings)
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        try await harness.ssc.start()
        for name in ["a", "z"] { try root.write(name, "\(name)\n", at: 100_500) }
        #expect(symlink("gone", "\(root.path)/b") == 0)
        #expect(symlink("itself", "\(root.path)/itself") == 0)
        await harness.advance()
        await harness.advance()
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == [["a", "z"], []])
        #expect(warnings.all.count == 1)
        #expect(warnings.all.first?.contains("\(root.path)/itself: Too many levels") == true)
    }

    @Test("a pipe fails its batch by name instead of being waited for", .timeLimit(.minutes(5)))
    func pipe() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        try await harness.ssc.start()
        #expect(mkfifo("\(root.path)/pipe", 0o600) == 0)
        try root.touch("pipe", at: 100_500)
        await harness.advance()
        try root.write("a", "a\n", at: 101_500)
        await harness.advance()
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == [["a"]])
        #expect(harness.errors.count == 1)
        let text = harness.errors.first.map { "\($0)" } ?? ""
        #expect(text.contains("\(root.path)/pipe cannot be read: it is a pipe"), "\(text)")
    }

    @Test("an empty file has no records, however long they are", .timeLimit(.minutes(5)))
    func noRecords() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        let records = harness.record(
            harness.ssc.binaryRecordsStream(root.path, recordLength: .max))
        try await harness.ssc.start()
        try root.write("a", "", at: 100_500)
        await harness.advance()
        await harness.ssc.stop()
        #expect(records.batches.map(\.elements) == [[]])
    }
}
