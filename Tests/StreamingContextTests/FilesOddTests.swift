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
            try await harness.advance()
            try await harness.advance()
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
            try await harness.advance()
            try await harness.advance()
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
        try await harness.advance()
        try await harness.advance()
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == [["a", "z"], []])
        #expect(warnings.all.count == 1)
        #expect(warnings.all.first?.contains("\(root.path)/itself: Too many levels") == true)
    }

    @Test(
        "a file that cannot be looked at for a while is not read again", .timeLimit(.minutes(5)),
        arguments: FileDetection.allCases)
    func unseen(detection: FileDetection) async throws {
        let (root, elsewhere) = (try WatchedDirectory(), try WatchedDirectory())
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(
            remember: .seconds(1), detection: detection, warnings)
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        /// Lets the link in the watched directory lead to a file, or into a circle.
        func close(_ name: String) throws {
            let path = "\(elsewhere.path)/\(name)"
            if FileSystem.exists(path) {
                try FileSystem.rename(path, to: path + ".kept", durability: .handedOver)
            }
            #expect(symlink(name, path) == 0)
        }
        func open(_ name: String) throws {
            let path = "\(elsewhere.path)/\(name)"
            try FileSystem.rename(path + ".kept", to: path, durability: .handedOver)
        }
        for name in ["old", "new"] {
            #expect(symlink("\(elsewhere.path)/\(name)", "\(root.path)/\(name)") == 0)
        }
        try elsewhere.write("old", "old\n", at: 99_500)
        try close("old")
        try await harness.ssc.start()
        try elsewhere.write("new", "new\n", at: 100_500)
        try await harness.advance()
        try close("new")
        try root.write("a", "a\n", at: 101_500)
        try await harness.advance()
        try open("new")
        try open("old")
        for _ in 0..<2 { try await harness.advance() }
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == [["new"], ["a"], [], []])
        #expect(warnings.all.filter { $0.contains("Too many levels") }.count == 2)
        let reason =
            detection == .byAppearance ? "there at the start and changed" : "modified before"
        #expect(warnings.all.contains { $0.contains("/old: \(reason)") }, "\(warnings.all)")
        #expect(warnings.all.count == 4, "\(warnings.all)")
        #expect(warnings.all.contains { $0.contains("/old: there before the start") })
    }

    @Test("a pipe fails its batch by name instead of being waited for", .timeLimit(.minutes(5)))
    func pipe() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        try await harness.ssc.start()
        #expect(mkfifo("\(root.path)/pipe", 0o600) == 0)
        try root.touch("pipe", at: 100_500)
        try await harness.advance()
        try root.write("a", "a\n", at: 101_500)
        try await harness.advance()
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
        try await harness.advance()
        await harness.ssc.stop()
        #expect(records.batches.map(\.elements) == [[]])
    }
}
