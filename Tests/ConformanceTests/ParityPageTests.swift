import Foundation
import Testing

/// The page on parity with Spark names every case that is excepted, and no other.
@Suite struct ParityPageTests {
    @Test func theExceptedCasesAreOnThePage() async throws {
        var excepted = Set<String>()
        for family in try ConformanceFamilies.all() {
            for (name, _) in try await ConformanceRun.shared.report(family).excepted {
                excepted.insert("\(family): \(name)")
            }
        }
        #expect(try Self.listed() == excepted)
    }

    /// The cases that the page lists, each behind the family that it is listed under.
    private static func listed() throws -> Set<String> {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(
            contentsOf: root.appendingPathComponent("Docs/SparkParity.md"), encoding: .utf8)
        let heading = try #require(page.range(of: "\n## Recorded cases that are excepted\n"))
        let items = page[heading.upperBound...].components(separatedBy: "\n  - ").dropFirst()
        var listed = Set<String>()
        for item in items {
            // The item's own lines: another reason begins at the margin.
            let text = item.components(separatedBy: "\n- ")[0]
            let names = text.matches(of: #/`(\w+)`/#).map { String($0.1) }
            let family = try #require(names.first)
            for name in names.dropFirst() { listed.insert("\(family): \(name)") }
        }
        return listed
    }
}
