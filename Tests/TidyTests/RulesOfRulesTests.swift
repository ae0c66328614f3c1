import Testing

/// Each rule finds what it is for, and nothing else: on small made-up trees.
@Suite struct RulesOfRulesTests {
    @Test(arguments: [
        "import Foundation", "@_exported public import Dispatch", "internal import Glibc",
        "@preconcurrency import Musl", "import struct Foundation.Date", "import\n    JobGeneration",
        "let a = 1; import func Darwin.exit", "@_spi(A) private import FaultTolerance",
        "#if canImport(Glibc)\nimport Glibc\n#endif", "import `Foundation`",
        "package import StreamingContext", "import FoundationEssentials",
    ])
    func forbiddenImportsAreFound(text: String) {
        let tree = SourceTree(["Modules/ReceiverRuntime/A/B.swift": text])
        #expect(ImportTable.house.findings(tree).count == 1)
    }

    @Test func siblingsDoNotMeet() {
        let siblings = ["JobGeneration", "ReceiverRuntime", "FaultTolerance"]
        for module in siblings {
            for other in siblings where other != module {
                let tree = SourceTree(["Modules/\(module)/A.swift": "\nimport \(other)"])
                let finding = Finding("Modules/\(module)/A.swift", 2, "import \(other)")
                #expect(ImportTable.house.findings(tree) == [finding])
            }
        }
    }

    @Test func allowedImportsPass() {
        let tree = SourceTree([
            "Modules/BatchEngine/System/A.swift": "#if canImport(Glibc)\nimport Glibc\n#endif",
            "Modules/BatchEngine/A.swift": "// import Foundation\nlet a = \"import Dispatch\"",
            "Modules/DStreamCore/A.swift": "public import BatchEngine\nimport Synchronization",
            "Modules/FoundationCodecs/A.swift": "public import Foundation",
            "Modules/DStreamCore/B.swift": "let a: B = .import",
            "Tests/DStreamCoreTests/A.swift": "import Foundation",
        ])
        #expect(ImportTable.house.findings(tree) == [])
        let unknown = SourceTree(["Modules/Kafka/A.swift": ""])
        #expect(ImportTable.house.findings(unknown).count == 1)
        let addition = ImportTable(rows: ["Kafka": .addition(others: ["CKafka"])])
        let text = "import CKafka; public import StreamingContext"
        #expect(addition.findings(SourceTree(["Modules/Kafka/A.swift": text])) == [])
    }

    @Test func theManifestIsRead() {
        let manifest = Manifest(
            SourceFile(
                "Package.swift",
                """
                func module(_ name: String, _ d: [Target.Dependency] = []) -> Target {
                    .target(name: name, dependencies: d, path: "Modules/\\(name)")
                }
                let package = Package(name: "p", products: [.library(name: "A", targets: ["A"])],
                    targets: [
                        module("A", settings: ["x"]),
                        module("B", ["A", .product(name: "Q", package: "q")]),
                        .target(name: "C", dependencies: [
                            .target(name: "B", condition: .when(traits: ["T"]))],
                            path: "Modules/C", swiftSettings: ["y"]),
                        program("e", at: "Tools/e", ["A"]), tests("ATests", ["A"]),
                    ])
                """))
        #expect(manifest.targets.map(\.name) == ["A", "B", "C", "e", "ATests"])
        #expect(manifest.targets.map(\.dependencies) == [[], ["A", "Q"], ["B"], ["A"], ["A"]])
        #expect(
            manifest.targets.map(\.path) == [
                "Modules/A", "Modules/B", "Modules/C", "Tools/e", "Tests/ATests",
            ])
        #expect(manifest.targets.map(\.line) == [6, 7, 8, 11, 11])
    }

    @Test func dependenciesAreComparedWithTable() {
        let table = ImportTable(rows: ["A": .init([]), "B": .init(["A"]), "C": .init(["A"])])
        let tree = SourceTree([
            "Modules/A/A.swift": "", "Modules/B/B.swift": "import A",
            "Modules/C/C.swift": "import A",
        ])
        let text = "module(\"A\", [\"B\"])\nmodule(\"B\", [\"A\"])\nmodule(\"C\")"
        let findings = table.findings(tree, Manifest(SourceFile("Package.swift", text)))
        #expect(
            findings == [
                Finding("Package.swift", 1, "A depends on B"),
                Finding("Package.swift", 3, "C lacks A"),
            ])
    }

    @Test func unbuiltFoldersAreFound() {
        let tree = SourceTree([
            "Modules/A/X/B.swift": "", "Tests/ATests/B.swift": "", "Docs/Examples/E/main.swift": "",
            "Docs/Examples/F/main.swift": "", "Tests/PackageTests/A/A.swift": "",
            "Tools/x/Package.swift": "",
        ])
        let text = "module(\"A\"), program(\"E\", at: \"Docs/Examples/E\", [])"
        let findings = unbuiltFolders(tree, Manifest(SourceFile("Package.swift", text)))
        #expect(findings.map(\.path) == ["Docs/Examples/F", "Tests/ATests", "Tools/x"])
        #expect(nestedPackages(tree).map(\.path) == ["Tools/x/Package.swift"])
    }

    @Test func attributesOfTheLibraryAreFound() {
        let tree = SourceTree([
            "Modules/A/A.swift": "@_exported public import B\n@_transparent func a() {}",
            "Tests/A/A.swift": "@testable import A\n@Test func b() {} // @_spi",
        ])
        let findings = underscoredAttributes(tree)
        #expect(findings.map(\.what) == ["@_exported", "@_transparent", "@testable"])
    }

    @Test(arguments: [
        "Task { }", "Task{ }", "Task<Void, Never> { }", "_ = Task(priority: .low) { }",
        "Task.init { }", "Task.detached { }", "try await Task.sleep(for: a)",
        "Task<Never, Never>.sleep(nanoseconds: 1)", "let a = ContinuousClock()",
        "ContinuousClock.now", "var a: SuspendingClock", "Date()", "Date.now",
        "\"\\(Date())\"", "Task.immediate { }", "let a = ContinuousClock\n.init()",
    ])
    func unownedTasksAndTimeAreFound(text: String) {
        #expect(unownedTasksAndTime(SourceTree(["Modules/A/A.swift": text])).count == 1)
        #expect(unownedTasksAndTime(SourceTree(["Tools/A/A.swift": text])).isEmpty)
    }

    @Test(arguments: [
        "group.addTask { }", "// Task { }", "\"Task.sleep\"", "Task.checkCancellation()",
        "let a: Task<Void, Never>", "a: ContinuousClock.Instant", "Task.isCancelled ? a : b",
        "x.Task { }", "withTaskGroup { }", "Task.yield()",
    ])
    func ownedTasksPass(text: String) {
        #expect(unownedTasksAndTime(SourceTree(["Modules/A/A.swift": text])) == [])
    }

    @Test(arguments: [
        "Task.sleep(for: a)", "Task<Never, Never>.sleep(nanoseconds: 1)", "usleep(5)",
        "Thread.sleep(forTimeInterval: 1)", "Thread.sleepUntilDate(a)", "sleep(1)",
        "nanosleep(&a, nil)", "Glibc.sleep(1)",
    ])
    func sleepsAreFound(text: String) {
        #expect(sleepingTests(SourceTree(["Tests/A/A.swift": text])).count == 1)
        #expect(sleepingTests(SourceTree(["Modules/A/A.swift": text])).isEmpty)
    }

    @Test func unseenLocksAreFound() {
        let text = "import Synchronization\nlet a = Mutex(0)"
        #expect(unseenLocks(SourceTree(["Tests/A/A.swift": text])).map(\.line) == [2])
        #expect(unseenLocks(SourceTree(["Modules/A/A.swift": text])).count == 1)
        #expect(unseenLocks(SourceTree(["Tests/PublicAPITests/A.swift": text])) == [])
    }

    @Test(arguments: [
        "clock.sleep(until: a)", "func sleep() {}", "\"sleep(1)\"", "async let sleep = a",
    ])
    func clocksMaySleep(text: String) {
        #expect(sleepingTests(SourceTree(["Tests/A/A.swift": text])) == [])
    }

    @Test func forcedCodeIsFound() {
        let text = "try! a()\nb as! C\ntry a()\nd as? E\n!a\n\"try!\"\ntry !a()"
        let findings = forcedCode(SourceTree(["Tools/A/A.swift": text]))
        #expect(
            findings == [
                Finding("Tools/A/A.swift", 1, "try!"), Finding("Tools/A/A.swift", 2, "as!"),
            ])
    }

    @Test func unsafeCodeIsFound() {
        let text = """
            class A: @unchecked Sendable {}
            nonisolated(unsafe) var a
            unsafeBitCast(a, to: B.self) // unsafeBitCast
            nonisolated func c()
            a.assumeIsolated { }
            """
        let findings = unsafeCode(SourceTree(["Docs/Examples/A/A.swift": text]))
        #expect(findings.map(\.line) == [1, 2, 3, 5])
        #expect(unsafeCode(SourceTree(["Tests/A/A.swift": text])).isEmpty)
    }

    @Test func notesWithoutNumberAreFound() {
        let text = """
            // TODO: a
            // TODO(#12): a
            /* b
               FIXME */
            fatalError("TODO")
            let todo = "TODO" // mastodon TODOs
            preconditionFailure("FIXME: later")
            """
        let findings = unnumberedNotes(SourceTree(["Tests/A/A.swift": text]))
        #expect(findings.map(\.line) == [1, 4, 5, 7])
    }
}
