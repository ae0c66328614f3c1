import Testing

/// The rules on size, names and text find what they are for, and nothing else.
@Suite struct RulesOfSizeAndTextTests {
    private func lines(_ count: Int) -> String { String(repeating: "a\n", count: count) }

    @Test func longFilesAreFound() {
        let tree = SourceTree([
            "Modules/A/A.swift": lines(500), "Modules/A/B.swift": lines(501),
            "Modules/A/C.swift": lines(500) + "a", "Docs/A.md": lines(600),
        ])
        #expect(longFiles(tree).map(\.path) == ["Modules/A/B.swift", "Modules/A/C.swift"])
    }

    @Test(arguments: [
        "func a() {\n", "init?<T>(_ a: T = { b() }()) {\n", "subscript(a: Int) -> Int {\n",
        "deinit {\n", "var a: [Int] {\n", "static func < (a: A, b: A) -> Bool {\n",
        "func a<T>(\n) async throws(E) -> @Sendable (T) -> Void\nwhere T: B {\n",
    ])
    func longFunctionsAreFound(head: String) {
        let before = "struct S {\n"
        let body = 70 - head.count { $0 == "\n" } - 1
        let fits = SourceTree(["Modules/A/A.swift": before + head + lines(body) + "}\n}"])
        #expect(longFunctions(fits) == [])
        let long = SourceTree(["Modules/A/A.swift": before + head + lines(body + 1) + "}\n}"])
        #expect(longFunctions(long).map(\.line) == [2])
    }

    @Test func bracesInStringsAndRequirementsDoNotConfuse() {
        let text = """
            protocol P {
                func a()
                func b() -> Int
                init(c: Int)
                var d: Int { get }
            }
            struct S { func e() { print("{ \\(f { "}" })") } // {
            }
            let g = S.init(h: 1)
            """
        let spans = FunctionSpan.all(in: SourceFile("Modules/A/A.swift", text))
        #expect(
            spans == [
                FunctionSpan(name: "d", line: 5, lastLine: 5),
                FunctionSpan(name: "e", line: 7, lastLine: 7),
            ])
    }

    @Test(arguments: [
        "class StreamManager {}", "enum Utils {}", "actor HTTPHelper {}", "struct AImpl {}",
        "typealias InfoTable = Int", "protocol TableInfo {}", "struct BatchInfoManager {}",
    ])
    func emptyNamesAreFound(text: String) {
        #expect(bannedNames(SourceTree(["Modules/A/A.swift": text])).count == 1)
    }

    @Test func knownNamesPass() {
        let tree = SourceTree([
            "Modules/A/BatchInfo.swift": "struct BatchInfo {}; class StreamInputInfo {}",
            "Modules/A/A.swift": "enum Information {}; struct Implicit {}; let helper = 1",
            "Tests/A/ReceiverInfoTests.swift": "struct OutputOperationInfoTests {}",
        ])
        #expect(bannedNames(tree) == [])
        let files = SourceTree(["Modules/A/A+Helper.swift": "", "Modules/A/TableInfo.swift": ""])
        #expect(bannedNames(files).count == 2)
        #expect(words("HTTPHelper+aBImpl_c9") == ["HTTP", "Helper", "A", "B", "Impl", "C9"])
    }

    @Test func deadDecisionLinksAreFound() {
        let record = "Docs/Decisions/0007-a-b.md"
        let folder = "Decisions/"
        let tree = SourceTree([
            record: "", "Modules/A/A.swift": "// Docs/\(folder)0007-a-b.md\n// \(folder)0008-c.md",
            "Docs/A.md": "\(folder)0007 and \(folder)0007-a and \(folder)0007-x, \(folder)NNNN-t",
        ])
        #expect(
            deadDecisionLinks(tree) == [
                Finding("Modules/A/A.swift", 2, "no decision record 0008-c"),
                Finding("Docs/A.md", 1, "no decision record 0007-x"),
            ])
        let twice = SourceTree([record: "", "Docs/Decisions/0007-c.md": "", "Docs/0007-d.md": ""])
        #expect(ambiguousDecisions(twice).count == 2)
        #expect(ambiguousDecisions(tree).isEmpty)
    }

    @Test func deadDocumentLinksAreFound() {
        let tree = SourceTree([
            "README.md": "[a](Docs/A.md#part) [b](Docs) [c](https://a.b) [d](#e)\n[f](Docs/B.md)",
            "Docs/A.md": "[a](../README.md) `[b](c.md)`\n```\n[d](e.md)\n```\n[g](h.md)",
        ])
        #expect(
            deadDocumentLinks(tree) == [
                Finding("README.md", 2, "no file Docs/B.md"),
                Finding("Docs/A.md", 5, "no file h.md"),
            ])
    }

    @Test func untestedPromisesAreFound() {
        let tree = SourceTree([
            "Docs/Semantics.md": "- **S1** a\n- **S2** see S1\n- **S12** b",
            "Tests/ATests/A.swift": "/// S12, and not xS2.\n@Test func s1() {}",
        ])
        #expect(untestedPromises(tree).map(\.line) == [1, 2])
    }

    @Test func strayTextIsFound() {
        let home = "/ho" + "me/ann/x"
        let tree = SourceTree([
            "Docs/A.md": "a\nsee \(home)\nhttps://a.b\(home)", "Docs/B.md": "a Sub" + "Agent",
            "Tools/a": "cd /wo" + "rk/main", "Docs/C.md": "Docs/wo" + "rk/a, ~/ro" + "ot/",
            "Modules/A/A.swift": "let a = \"/ro" + "ot/b\" // of a ship's agents",
        ])
        #expect(
            strayText(tree).map { "\($0.path):\($0.line)" } == [
                "Docs/A.md:2", "Docs/B.md:1", "Tools/a:1", "Modules/A/A.swift:1",
            ])
    }

    @Test func theTopIsCompared() {
        let tree = SourceTree([
            "Package.swift": "", "Modules/A": "", "Tests/A": "", "Tools/A": "", "Docs/A": "",
            ".swift-format": "", ".gitignore": "", ".ci/run": "", "LICENSE": "", "notes.txt": "",
        ])
        let findings = strayTopLevel(tree)
        #expect(findings.map(\.path) == ["notes.txt", "README.md"])
        let ignored = Ignored(".build/\n*.o\n.DS_Store\n")
        #expect(ignored.matches(".build") && ignored.matches("a.o") && ignored.matches(".DS_Store"))
        #expect(!ignored.matches("a.object") && !ignored.matches("build"))
    }

    @Test func exceptionsHoldExactly() {
        let finding = Finding("A", 1, "x")
        let once = [Allowance(path: "A", what: "x", count: 1, reason: "")]
        #expect(remaining([finding], allowing: once) == [])
        #expect(remaining([finding, Finding("A", 2, "x")], allowing: once).map(\.line) == [2])
        #expect(remaining([Finding("B", 1, "x")], allowing: once).count == 2)
        #expect(remaining([], allowing: once).map(\.line) == [0])
        withKnownIssue { expectNone([finding], "A rule:") }
    }
}
