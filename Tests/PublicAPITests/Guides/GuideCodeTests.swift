import Foundation
import Testing

/// Guides show code that is compiled and run.
@Suite("The code of guides")
struct GuideCodeTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private func sources(_ folder: String) throws -> [String] {
        let folder = Self.root.appending(path: folder)
        return try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil
        )
        .filter { ["swift", "md"].contains($0.pathExtension) }
        .map { try String(contentsOf: $0, encoding: .utf8) }
    }

    /// The contents of the fenced Swift blocks of a text.
    private func blocks(_ text: String) -> [String] {
        var blocks: [String] = []
        var open: [Substring]?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") {
                if let lines = open {
                    blocks.append(lines.joined(separator: "\n"))
                    open = nil
                } else if line == "```swift" {
                    open = []
                }
            } else {
                open?.append(line)
            }
        }
        return blocks
    }

    @Test("stands in a compiled source, word for word")
    func everyBlockIsCompiled() throws {
        let compiled = try sources("Tests/PublicAPITests/Guides")
        let found = try sources("Docs/Guides").flatMap(blocks)
        #expect(found.count >= 6)
        for block in found {
            #expect(
                compiled.contains { $0.contains("\n" + block + "\n") }, "not compiled:\n\(block)")
        }
    }
}
