import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Synchronization
import Testing

/// Which files are new, whatever clocks say, and what is said of those that are not read.
@Suite("New files", .timeLimit(.minutes(5)))
struct FilesDetectionTests {
    private static let start = BatchTime.seconds(1_000_000)

    /// Ten files, one per batch; before the fourth the machine's clock is set.
    @Test(
        "a step of the clock loses no file, and is reported once",
        arguments: FileDetection.allCases, [-120, -30, -1, 3600, 3 * 86400] as [Int64])
    func clockStep(detection: FileDetection, seconds: Int64) async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(
            detection: detection, from: Self.start, warnings)
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        try await harness.ssc.start()
        for number in 0..<10 as Range<Int64> {
            let now = harness.clock.wallNow.milliseconds
            try root.write("\(number)", "\(number)\n", at: now + 500)
            // After it was stamped and before it is found.
            if number == 3 { harness.clock.stepWall(by: .seconds(seconds)) }
            try await harness.advance()
        }
        for _ in 0..<130 { try await harness.advance() }
        await harness.ssc.stop()
        #expect(lines.batches.prefix(10).map(\.elements) == (0..<10).map { ["\($0)"] })
        #expect(lines.batches.dropFirst(10).allSatisfy { $0.elements.isEmpty })
        #expect(warnings.all.count == 1)
        let way = seconds < 0 ? "set back by" : "set on by"
        #expect(warnings.all.first?.contains("the machine's clock was \(way)") == true)
        #expect(warnings.all.first?.contains("batch 1000004000") == true, "\(warnings.all)")
    }

    @Test("a clock that is three days behind the files", arguments: FileDetection.allCases)
    func clockBehind(detection: FileDetection) async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(
            detection: detection, from: Self.start, warnings)
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        try await harness.ssc.start()
        let ahead = Duration.seconds(3 * 86400)
        for number in 0..<10 {
            let now = (harness.clock.now + ahead).milliseconds + 500
            try root.write("\(number)", "\(number)\n", at: now)
            try await harness.advance()
        }
        let early = lines.batches.flatMap(\.elements)
        // A time server sets it right.
        harness.clock.stepWall(by: ahead)
        try await harness.advance()
        await harness.ssc.stop()
        let all = (0..<10).map { "\($0)" }
        #expect(early == (detection == .byAppearance ? all : []))
        #expect(lines.batches.flatMap(\.elements).sorted() == all)
        let future = warnings.all.filter { $0.contains("modified in the future") }
        #expect(future.count == (detection == .byAppearance ? 0 : 10))
    }

    @Test("a file with an old time that is moved in", arguments: FileDetection.allCases)
    func oldTime(detection: FileDetection) async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(detection: detection, warnings)
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        try await harness.ssc.start()
        for name in ["a", "b", "c", "d", "e"] { try root.write(name, "\(name)\n", at: 50_000) }
        try await harness.advance()
        for _ in 0..<70 { try await harness.advance() }
        try root.write("f", "f\n", at: 60_000)
        try await harness.advance()
        try await harness.advance()
        await harness.ssc.stop()
        let all = ["a", "b", "c", "d", "e", "f"]
        #expect(lines.batches.flatMap(\.elements) == (detection == .byAppearance ? all : []))
        let path = root.path
        if detection == .byAppearance {
            #expect(warnings.all.isEmpty)
        } else {
            #expect(warnings.all.count == 2)
            let reason = "modified before the start, or longer ago than fileStreamMinimumRemember"
            let some = "\(path)/a, \(path)/b, \(path)/c and 2 more: \(reason)"
            #expect(warnings.all.first?.contains(some) == true)
            #expect(warnings.all.last?.contains("\(path)/f: \(reason)") == true)
            #expect(warnings.all.allSatisfy { $0.contains("byAppearance") })
        }
    }

    @Test("what was there at the start is passed over", arguments: FileDetection.allCases)
    func atTheStart(detection: FileDetection) async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(detection: detection, warnings)
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        try root.write("old", "old\n", at: 99_000)
        try await harness.ssc.start()
        for name in ["new", "newer"] {
            try root.write(name, "\(name)\n", at: harness.clock.now.milliseconds + 500)
            try await harness.advance()
        }
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == [["new"], ["newer"]])
        #expect(warnings.all.count == 1)
        #expect(warnings.all.first?.contains("/old: there before the start, so not read") == true)
    }

    @Test("all that was there is read when that is wanted")
    func existing() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        let lines = harness.record(
            harness.ssc.fileStream(root.path, newFilesOnly: false).map(\.1))
        try root.write("old", "old\n", at: 5)
        try await harness.run(batches: 2)
        #expect(lines.batches.map(\.elements) == [["old"], []])
    }

    @Test("a file that changes after it was read is reported, and not read again")
    func changes() async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(warnings)
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        try root.write("old", "old\n", at: 1000)
        try await harness.ssc.start()
        try root.write("a", "1\n", at: 100_500)
        try await harness.advance()
        for _ in 0..<2 {
            for name in ["a", "old"] {
                try FileSystem.append(
                    "\(root.path)/\(name)", Array("2\n".utf8), durability: .handedOver)
            }
            try await harness.advance()
        }
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == [["1"], [], []])
        #expect(warnings.all.count == 3)
        #expect(warnings.all[0].contains("/old: there before the start"))
        #expect(warnings.all[1].contains("/old: there at the start and changed since"))
        #expect(warnings.all[2].contains("/a: changed after a batch had chosen it"))
    }

    @Test(
        "another file of the same name, length and time is read, also one that gets the same inode",
        .enabled(if: WatchedDirectory.tellsBirths))
    func replaced() async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(warnings)
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        try await harness.ssc.start()
        for number in 0..<6 {
            if number % 2 == 1 { try root.remove("a") }
            try root.write("a", "\(number)\n", at: 100_500, isTold: true)
            try await harness.advance()
        }
        try await harness.advance()
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == (0..<6).map { ["\($0)"] } + [[]])
        #expect(warnings.all.isEmpty)
    }

    @Test("a disk that is taken out and comes back is not read again")
    func disk() async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles()
        let lines = harness.record(harness.ssc.textFileStream("\(root.path)/in"))
        try root.write("in/a", "a\n", at: 1000)
        try await harness.ssc.start()
        try root.write("in/b", "b\n", at: 100_500)
        try await harness.advance()
        try FileSystem.rename(
            "\(root.path)/in", to: "\(root.path)/out", durability: .handedOver)
        try await harness.advance()
        // The empty place of the disk.
        try FileSystem.createDirectory("\(root.path)/in")
        try await harness.advance()
        try FileSystem.remove("\(root.path)/in")
        try FileSystem.rename(
            "\(root.path)/out", to: "\(root.path)/in", durability: .handedOver)
        try root.write("in/c", "c\n", at: 100_500)
        try await harness.advance()
        await harness.ssc.stop()
        #expect(lines.batches.map(\.elements) == [["b"], [], [], ["c"]])
    }

    @Test("what left a directory is forgotten")
    func forgotten() {
        var known = KnownFiles(.byAppearance)
        func file(_ name: String, _ inode: UInt64) -> FileSelection.Entry {
            FileSelection.Entry(path: name, modified: .zero, inode: inode, print: 1)
        }
        for round in 0..<2000 as Range<UInt64> {
            var listing = FileListing()
            // A directory of its own each time, which is gone the next.
            listing.directories = [
                FileListing.Directory(key: round + 10, files: [file("\(round)/a", round + 10_000)]),
                FileListing.Directory(key: 1, files: [file("f\(round)", round + 1)]),
            ]
            let judgement = FileJudgement(
                listing, known: known,
                selection: FileSelection(
                    slide: .seconds(1), window: .seconds(1), start: .zero),
                batch: .seconds(Int64(round)), shifts: [.zero])
            #expect(judgement.chosen.map(\.path) == ["\(round)/a", "f\(round)"])
            known.take(judgement.tables, at: .seconds(Int64(round)))
        }
        #expect(known.count == 1002)
    }

    /// What a batch makes of one directory.
    private func judge(
        _ known: inout KnownFiles, _ files: [FileSelection.Entry], unseen: [String] = []
    ) -> FileJudgement {
        var listing = FileListing()
        listing.directories = [FileListing.Directory(key: 1, files: files)]
        listing.directories[0].unseen = unseen
        let judgement = FileJudgement(
            listing, known: known,
            selection: FileSelection(slide: .seconds(1), window: .seconds(1), start: .zero),
            batch: .seconds(1), shifts: [.zero])
        known.take(judgement.tables, at: .seconds(1))
        return judgement
    }

    @Test("a file that was read and changed gives its number to another one, which is read")
    func reusedAfterChange() {
        var known = KnownFiles(.byAppearance)
        func judge(_ print: UInt32, born birth: UInt32) -> FileJudgement {
            self.judge(
                &known,
                [
                    FileSelection.Entry(
                        path: "a", modified: .zero, inode: 7, print: print, birth: birth)
                ])
        }
        #expect(judge(1, born: 1).chosen.map(\.path) == ["a"])
        let changed = judge(2, born: 1)
        #expect(changed.chosen.isEmpty && changed.passed[.hasChanged]?.count == 1)
        let grown = judge(3, born: 1)
        #expect(grown.chosen.isEmpty && grown.passed.isEmpty)
        #expect(judge(4, born: 2).chosen.map(\.path) == ["a"])
        #expect(judge(4, born: 2).chosen.isEmpty)
        // Made anew with the time and the length of the one before.
        #expect(judge(4, born: 3).chosen.map(\.path) == ["a"])
        // The file system does not say it any more.
        #expect(judge(4, born: 0).chosen.isEmpty)
    }

    @Test("what can never be looked at keeps no endless number of files")
    func unseenForEver() {
        var known = KnownFiles(.byAppearance)
        for round in 0..<3000 as Range<UInt64> {
            let file = FileSelection.Entry(
                path: "f\(round)", modified: .zero, inode: round + 1, print: 1)
            let judgement = judge(&known, [file], unseen: ["odd"])
            #expect(judgement.chosen.map(\.path) == ["f\(round)"])
        }
        #expect(known.count == 1002)
    }
}
