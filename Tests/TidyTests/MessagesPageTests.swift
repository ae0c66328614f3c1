import Testing

/// The page that messages lead to has what they name, and quotes others as they are.
@Suite struct MessagesPageTests {
    private let modules = SourceTree.repository.swift("Modules")

    /// The first column of the table.
    private func entries() throws -> [String] {
        let files = SourceTree.repository.files
        let page = try #require(files.first { $0.path == "Docs/Messages.md" })
        return page.lines.filter { $0.hasPrefix("| ") }.dropFirst()
            .map { row in String(row.dropFirst(2).prefix { $0 != "|" }.dropLast()) }
    }

    @Test func everyEntryThatAMessageNamesIsThere() throws {
        let page = Set(try entries())
        let named = Set(
            modules.flatMap { file in
                file.text.matches(of: #/MessageTable\.see\("([^"]+)"\)/#).map { String($0.1) }
            })
        #expect(named.count >= 6)
        for entry in named {
            let anchor = entry.split(separator: " ").joined(separator: "-")
            #expect(page.contains("<a name=\"\(anchor)\"></a>\(entry)"), "\(entry)")
        }
    }

    /// `…` and words in capitals stand for what a program fills in; `code: ` begins an error's text.
    @Test func everyMessageThatIsQuotedIsInTheSources() throws {
        let literals = modules.map { file in
            file.tokens.filter { $0.kind == .string }.map(\.text).joined()
        }
        let words = Set(modules.flatMap(\.code).filter { $0.kind == .word }.map(\.text))
        let quoted = try entries().filter { !$0.hasPrefix("<a ") }
            .flatMap { $0.split(separator: #/<br>/#) }
        #expect(quoted.count >= 25)
        for message in quoted {
            var text = message
            if let code = message.prefixMatch(of: #/([a-z]+[A-Z]\w*): /#) {
                #expect(words.contains(String(code.1)), "\(message)")
                text = message[code.range.upperBound...]
            }
            let parts = text.split(separator: #/…|\b[A-Z]+\b/#)
                .map { $0.drop { " :".contains($0) } }.filter { $0.count > 3 }
            #expect(!parts.isEmpty, "\(message)")
            #expect(
                literals.contains { literal in parts.allSatisfy { literal.contains($0) } },
                "\(message)")
        }
    }
}
