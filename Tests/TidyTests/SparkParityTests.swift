import Testing

/// `Docs/SparkParity.md` says what is so: of the repository, and the rules of made-up tables.
@Suite struct SparkParityTests {
    private let tree = SourceTree.repository

    @Test func everyMemberOfSparkIsInTheTable() throws {
        expectNone(parityMembers(tree), "Members of Spark and rows of the table that disagree:")
        let document = try #require(tree.files.first { $0.path == ParityTable.path })
        #expect(ParityTable(document).rows.count >= 300)
    }

    @Test func whatTheTableNamesIsDeclaredAndTested() {
        expectNone(parityClaims(tree), "Rows of the table that the code does not bear out:")
    }

    @Test func keysAreReadAsTheTableSays() {
        expectNone(parityKeys(tree), "Configuration keys and rows of the table that disagree:")
    }

    private func page(_ rows: String...) -> String {
        "## 2 D\n\n| Spark | here | status | test | why |\n|---|---|---|---|---|\n"
            + rows.joined(separator: "\n")
    }

    @Test func membersAreComparedWithTheList() {
        let text = page("| `a` | `D.a()` | done | `T` | |", "| `b` | – | later | | No. |")
        let list = "# 2 D\na\nc\n"
        let counts = "2 rows: 1 done, 0 differ, 1 later, 0 not applicable\n"
        func findings(_ text: String, _ list: String) -> [String] {
            let tree = SourceTree([
                "Docs/SparkParity.md": text, "Tests/Fixtures/spark-members.txt": list,
            ])
            return parityMembers(tree).map(\.what)
        }
        #expect(
            findings(counts + text, list) == [
                "c is not in the table", "b is no member on the list",
            ])
        #expect(findings(text, "# 2 D\na\nb") == ["it does not say " + counts.dropLast()])
        #expect(findings(counts + text, "# 2 D\na\nb\n") == [])
        #expect(findings(counts + text, "# 3 E\na\n# 2 D\nb\n").count == 2)
        #expect(findings(page("| `a` | `D.a()` | finished | `T` | |"), "").count == 2)
    }

    private static let module = """
        extension A.D {
            public func map<B: C<(E, F)>>(
                @O<(H, I), J> _ g: (H, I) -> J, by k: [L: M], file: String = #fileID, line: UInt = #line
            ) -> N {}
            public static func + (left: D, right: D) -> D {}
            public init?(_ o: Int = max(1, 2)) {}
            public var p: Int
        }
        struct Q {}
        """

    @Test(arguments: [
        ("D.map(_:by:)", true), ("D.map(_:)", false), ("Q.map(_:by:)", true),
        ("R.map(_:by:)", false), ("D.map", true), ("D.+(left:right:)", true),
        ("D.init(_:)", true), ("D.init()", false), ("A.D.p", true), ("Q", true), ("R", false),
    ])
    func declarationsAreFound(name: String, isFound: Bool) {
        let file = SourceFile("Modules/A/A.swift", Self.module)
        #expect(Declarations([file]).contain(name) == isFound)
    }

    @Test(arguments: [
        ("| `a` | `D.map(_:by:)` | done | `T` | |", []),
        ("| `a` | `Swift.max` | done | `T` | |", []),
        ("| `a` | `D.p` | differs | `T` | It is odd. |", ["T: no p"]),
        ("| `a` | `D.map(_:by:)` | differs | `T` | |", ["a does not say how it differs"]),
        ("| `a` | `D.map(by:)` | done | `T` | |", ["D.map(by:) is not declared"]),
        ("| `a` | `D.map(_:by:)` | done | `U` | |", ["no test U", "U: no map"]),
        ("| `a` | `D.map(_:by:)` | done | | |", ["a lacks a name or a test"]),
        ("| `a` | – | later | | |", ["a has no reason"]),
        ("| `a` | – | not applicable | | It is for JVMs. |", []),
    ])
    func claimsAreCompared(row: String, expected: [String]) {
        let tree = SourceTree([
            "Docs/SparkParity.md": page(row), "Modules/A/A.swift": Self.module,
            "Tests/ATests/T.swift": "d.map({ $0 }, by: [:]) // p",
        ])
        #expect(parityClaims(tree).map(\.what) == expected)
    }

    @Test func keysAreCompared() {
        let tree = SourceTree([
            "Docs/SparkParity.md": page(
                "| `spark.streaming.a` | `C.a` | done | `T` | |",
                "| `spark.streaming.b` | `C.b` | done | `T` | |",
                "| `spark.streaming.c` | – | later | | No. |",
                "| `spark.streaming.d` | – | later | | No. |",
                "| `spark.streaming.e.f` | – | later | | No. |",
                "| `spark.streaming.g` | – | later | | No. |"),
            "Modules/StreamingContext/SparkKeys.swift": """
            let old = "spark.streaming.a"
            let keys = ["spark.streaming.c": x, "spark.streaming.h": y]
            let ignored: Set<String> = ["spark.streaming.b", "spark.streaming.d"]
            let others = ["spark.streaming.e."].contains(where: key.hasPrefix("spark.streaming."))
            """,
        ])
        #expect(
            parityKeys(tree).map(\.what) == [
                "spark.streaming.b is ignored", "spark.streaming.c is read",
                "spark.streaming.g is unknown", "spark.streaming.h is not in the table",
            ])
    }
}
