import BatchEngine
import DStreamCore
import DStreamTestKit
import Testing

/// Which files a batch reads, decided without a disk.
@Suite("Choosing files")
struct FilesSelectionTests {
    /// A listing before a batch, and what is to be read.
    struct Step: Sendable {
        let batch: Int64
        let listing: [(String, Int64)]
        let chosen: [String]

        init(_ batch: Int64, _ listing: [(String, Int64)], _ chosen: [String]) {
            self.batch = batch
            self.listing = listing
            self.chosen = chosen
        }
    }

    static let table: [(name: String, steps: [Step])] = [
        ("nothing there", [Step(101, [], [])]),
        (
            "after the start and up to the batch",
            [Step(101, [("start", 100), ("late", 102), ("now", 101)], ["now"])]
        ),
        (
            "a later file waits for its batch",
            [Step(101, [("a", 102)], []), Step(102, [("a", 102)], ["a"])]
        ),
        (
            "a file is read once, changed or not",
            [Step(101, [("a", 101)], ["a"]), Step(102, [("a", 102)], [])]
        ),
        (
            "another name is another file",
            [Step(101, [("a", 101)], ["a"]), Step(102, [("b", 101)], ["b"])]
        ),
        (
            "what comes late is read while it is in the window",
            [
                Step(101, [], []), Step(104, [("a", 102)], ["a"]),
                Step(105, [("b", 102), ("c", 103)], ["c"]),
            ]
        ),
        (
            "a changed file is read again once its batch is forgotten",
            [
                Step(101, [("a", 101)], ["a"]), Step(103, [("a", 103)], []),
                Step(104, [("a", 104)], []), Step(105, [("a", 105)], []),
                Step(106, [("a", 106)], ["a"]), Step(107, [("a", 107)], []),
            ]
        ),
        (
            "the same batch has the same files",
            [Step(101, [("a", 101)], ["a"]), Step(101, [("b", 101)], ["a"])]
        ),
        (
            "a batch of the past gets nothing new",
            [Step(105, [("a", 105)], ["a"]), Step(104, [("b", 104)], [])]
        ),
        (
            "what skipped batches would have read is the next one's",
            [
                Step(101, [("a", 101)], ["a"]),
                Step(110, [("a", 101), ("b", 102), ("c", 109), ("d", 111)], ["b", "c"]),
                Step(111, [("e", 108), ("d", 111)], ["d"]),
            ]
        ),
        ("a path that is listed twice", [Step(101, [("a", 101), ("a", 101)], ["a"])]),
    ]

    private func seconds(_ count: Int64) -> BatchTime { .seconds(count) }

    /// What an input does with a listing, without a disk.
    struct Chooser {
        var selection: FileSelection
        var known = KnownFiles(.byModificationTime)

        mutating func select(
            from files: [FileSelection.Entry], for batch: BatchTime,
            remembering: Duration = .zero
        ) -> [String] {
            selection.prepare(for: batch, remembering: remembering)
            if let files = selection.files(of: batch) { return files.map(\.path) }
            if selection.isPast(batch) { return [] }
            var listing = FileListing()
            listing.directories = [FileListing.Directory(key: 1, files: files)]
            let judgement = FileJudgement(
                listing, known: known, selection: selection, batch: batch, shifts: [.zero])
            selection.adopt(judgement.chosen, for: batch)
            known.take(judgement.tables, at: batch)
            return judgement.chosen.map(\.path)
        }
    }

    private func fresh(
        window: Duration = .seconds(3), batches: [FileSelection.Batch] = []
    ) -> Chooser {
        Chooser(
            selection: FileSelection(
                slide: .seconds(1), window: window, start: .seconds(100), batches: batches))
    }

    private func listing(_ files: [(String, Int64)]) -> [FileSelection.Entry] {
        files.map {
            FileSelection.Entry(path: $0.0, modified: seconds($0.1), print: UInt32($0.1))
        }
    }

    @Test("what each listing gives", arguments: FilesSelectionTests.table.indices)
    func chosen(row: Int) {
        var selection = fresh()
        for step in Self.table[row].steps {
            let chosen = selection.select(from: listing(step.listing), for: seconds(step.batch))
            #expect(chosen == step.chosen, "\(Self.table[row].name), batch \(step.batch)")
        }
    }

    @Test("what batches have read survives a restart")
    func restart() {
        var selection = fresh()
        for batch in 101...104 as ClosedRange<Int64> {
            _ = selection.select(from: listing([("f\(batch)", batch)]), for: seconds(batch))
        }
        var restarted = fresh(batches: selection.selection.batches)
        #expect(restarted.selection.batches == selection.selection.batches)
        // A batch that is run again reads what it read, whatever lies there now.
        #expect(restarted.select(from: [], for: seconds(103)) == ["f103"])
        let files = listing([("f103", 103), ("f104", 104), ("new", 104)])
        #expect(restarted.select(from: files, for: seconds(105)) == ["new"])
    }

    @Test("more is remembered when a stream asks for it")
    func remembering() {
        var selection = fresh()
        for batch in 101...120 as ClosedRange<Int64> {
            _ = selection.select(from: [], for: seconds(batch), remembering: .seconds(10))
        }
        #expect(selection.selection.batches.map(\.time) == (109...120).map { seconds($0) })
    }

    /// Files come at any time with any modification time; each that may be read is read once.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func everyAcceptableFileIsReadOnce(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        func draw(_ limit: Int) -> Int { random.int(0...limit - 1) }
        let window = Int64(1 + draw(5))
        var selection = fresh(window: .seconds(window))
        var files: [(name: String, modified: Int64, seen: Int64)] = []
        var reads: [String: [Int64]] = [:]
        for batch in 101...140 as ClosedRange<Int64> {
            for _ in 0..<draw(4) {
                files.append(("f\(files.count)", batch + Int64(draw(9) - 6), batch))
            }
            let entries = listing(files.map { ($0.name, $0.modified) })
            for path in selection.select(from: entries, for: seconds(batch)) {
                reads[path, default: []].append(batch)
            }
        }
        for file in files {
            let first = max(file.seen, file.modified)
            let isAcceptable =
                file.modified > 100 && file.modified > first - window && first <= 140
            #expect(reads[file.name] ?? [] == (isAcceptable ? [first] : []), "\(file), \(window)")
        }
    }
}

/// Paths that stand for many directories.
@Suite("Patterns for directories")
struct FilesPatternTests {
    @Test(
        arguments: [
            ("a", "a", true), ("a", "b", false), ("a", "ab", false), ("*", "", true),
            ("*", ".hidden", true), ("a*", "a", true), ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*a*b*", "xxaxxbxx", true), ("*ab", "aab", true), ("?", "é", true), ("?", "", false),
            ("a?c", "abc", true), ("[abc]", "b", true), ("[abc]", "d", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]", "d", true), ("[!a-c]", "b", false), ("[]a]", "]", true), ("[a-]", "-", true),
            ("\\*", "*", true), ("\\*", "a", false), ("2024-[01][0-9]", "2024-11", true),
            ("日*", "日本", true),
        ] as [(String, String, Bool)])
    func names(_ pattern: String, _ name: String, _ matches: Bool) throws {
        #expect(try NamePattern(pattern).matches(name) == matches)
    }

    @Test(arguments: ["[", "[a", "[]", "[b-a]", "a\\", "{a", "a/{b,[}", "", "hdfs://host/a"])
    func unreadable(_ pattern: String) {
        #expect(throws: PatternProblem.self) { _ = try DirectoryPattern(pattern) }
    }

    @Test("a pattern cannot stand for endlessly many paths")
    func tooMany() {
        let pattern = String(repeating: "{a,b}", count: 11)
        #expect(throws: PatternProblem.self) { _ = try DirectoryPattern(pattern) }
    }

    @Test("wildcards at every depth, braces with slashes, each directory once")
    func directories() throws {
        let root = try WatchedDirectory()
        for name in ["a/x1", "a/x2", "b/x1", "c/y", "{odd}"] {
            try FileSystem.createDirectory("\(root.path)/\(name)")
        }
        try root.write("a/x3", "a file", at: 0)
        func find(_ pattern: String) throws -> [String] {
            let found = try DirectoryPattern("\(root.path)/\(pattern)").find()
            #expect(found.problems.isEmpty)
            return found.directories.map { String($0.dropFirst(root.path.count + 1)) }
        }
        #expect(try find("a") == ["a"])
        #expect(try find("a/") == ["a"])
        #expect(try find("*/x?") == ["a/x1", "a/x2", "b/x1"])
        #expect(try find("{a,b}/x1") == ["a/x1", "b/x1"])
        #expect(try find("{a/x1,c/y,{a,b}/x*}") == ["a/x1", "a/x2", "b/x1", "c/y"])
        #expect(try find("[b-c]/*") == ["b/x1", "c/y"])
        #expect(try find("{,./}a") == ["a"])
        #expect(try find("\\{odd\\}") == ["{odd}"])
        #expect(try find("missing/*") == [])
        #expect(try find("a/x3/*") == [])
        #expect(
            try DirectoryPattern("file://\(root.path)/a").find().directories == ["\(root.path)/a"])
        #expect(try DirectoryPattern("file:\(root.path)").find().directories == [root.path])
    }
}
