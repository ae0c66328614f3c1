import Foundation
import Testing

/// The page on parity with Spark names every case that is excepted, under its reason, and no other.
///
/// An exception is one only if what we declare differs from what was recorded: a name on the page
/// whose case agrees with the record makes this fail.
@Suite(.timeLimit(.minutes(5))) struct ParityPageTests {
    private struct Exception: Hashable, CustomStringConvertible {
        let reason: String
        let family: String
        let label: String

        var description: String { "\(family): \(label), because: \(reason)" }
    }

    @Test func theExceptedCasesAreOnThePage() async throws {
        var excepted = Set<Exception>()
        for family in try ConformanceFamilies.all() {
            for (label, deviations) in try await ConformanceRun.shared.report(family).excepted {
                for deviation in deviations {
                    excepted.insert(
                        Exception(reason: deviation.rawValue, family: family, label: label))
                }
            }
        }
        let listed = try Self.listed()
        #expect(listed.subtracting(excepted).isEmpty, "the page lists what needs no exception")
        #expect(excepted.subtracting(listed).isEmpty, "the page does not list these")
        #expect(Set(excepted.map(\.reason)) == Set(Deviation.allCases.map(\.rawValue)))
    }

    /// The cases that the page lists, each behind the family that it is listed under.
    private static func listed() throws -> Set<Exception> {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(
            contentsOf: root.appendingPathComponent("Docs/SparkParity.md"), encoding: .utf8)
        let heading = try #require(page.range(of: "\n## Recorded cases that are excepted\n"))
        var listed = Set<Exception>()
        for part in page[heading.upperBound...].components(separatedBy: "\n- ").dropFirst() {
            // Another section ends the list.
            let text = part.components(separatedBy: "\n## ")[0]
            let items = text.components(separatedBy: "\n  - ")
            let reason = items[0].split(whereSeparator: \.isWhitespace).joined(separator: " ")
            for item in items.dropFirst() {
                let names = item.matches(of: #/`([\w./]+)`/#).map { String($0.1) }
                let family = try #require(names.first)
                for name in names.dropFirst() {
                    listed.insert(Exception(reason: reason, family: family, label: name))
                }
            }
        }
        return listed
    }
}
