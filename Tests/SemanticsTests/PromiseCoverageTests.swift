import BatchEngine
import Testing

/// Every numbered promise has a test that names it.
@Suite("Promises")
struct PromiseCoverageTests {
    private func text(_ path: [String]) throws -> String {
        var parts = #filePath.split(separator: "/").map(String.init)
        parts.removeLast(3)
        return String(
            decoding: try FileSystem.readAll("/" + (parts + path).joined(separator: "/")),
            as: UTF8.self)
    }

    @Test("that are not marked later have a test here that names them")
    func promises() throws {
        let promises = try text(["Docs", "Semantics.md"]).split(separator: "\n").compactMap {
            line in
            line.firstMatch(of: #/^- \*\*(S\d+)\*\* (\*later\*)?/#)
        }.filter { $0.2 == nil }.map { String($0.1) }
        #expect(promises.count >= 16)
        let tests =
            try [
                "ProcessingPromises", "ReceivingPromises", "EndingPromises", "CrashPromises",
                "SinkPromises", "UpgradePromises",
                "FailurePromises",
            ].map { name in
                try text(["Tests", "SemanticsTests", name + ".swift"])
            }.joined()
            + ["WorkerProcessTests", "ReplicatedInputTests"].map { name in
                try text(["Tests", "ProcessEngineTests", name + ".swift"])
            }.joined()
        let named = Set(tests.matches(of: #/"(S\d+): /#).map { String($0.1) })
        #expect(Set(promises).subtracting(named).isEmpty, "untested promises")
        #expect(named.subtracting(promises).isEmpty, "tests of what is not promised")
    }

    @Test("differences that are there have a test here that names them")
    func differences() throws {
        let list = try text(["Docs", "Semantics.md"]).split(separator: "## Where we differ")[1]
        let items = list.split(separator: #/\n(?=\d+\. )/#).compactMap { item in
            item.firstMatch(of: #/^(\d+)\. /#).map { (String($0.1), item.contains("*later*")) }
        }
        #expect(items.count >= 10)
        let tests = try text(["Tests", "SemanticsTests", "Differences.swift"])
        let named = Set(tests.matches(of: #/@Test\(\s*"(\d+): /#).map { String($0.1) })
        // Of formats of our own there is nothing to test before there are any.
        let expected = Set(items.filter { !$0.1 && $0.0 != "7" }.map(\.0))
        #expect(named == expected)
    }
}
