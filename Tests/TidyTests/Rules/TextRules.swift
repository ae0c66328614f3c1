/// References to decision records that lead nowhere, in sources and documents.
func deadDecisionLinks(_ tree: SourceTree) -> [Finding] {
    let records = decisionRecords(tree)
    return tree.files.filter { !$0.path.hasPrefix("Tests/TidyTests/") }.flatMap { file in
        numbered(file.lines).flatMap { number, line in
            line.matches(of: #/Decisions/(\d{4}[\w-]*)/#).compactMap { match in
                let name = String(match.1)
                let isKnown = records.contains { $0 == name || $0.hasPrefix(name + "-") }
                return isKnown ? nil : Finding(file, number, "no decision record \(name)")
            }
        }
    }
}

/// Decision records whose number is taken.
func ambiguousDecisions(_ tree: SourceTree) -> [Finding] {
    let groups = Dictionary(grouping: decisionRecords(tree)) { $0.prefix(4) }
    return groups.values.filter { $0.count > 1 }.flatMap { group in
        group.sorted().map { Finding("Docs/Decisions/\($0).md", 1, "number taken twice") }
    }.sorted { $0.path < $1.path }
}

private func decisionRecords(_ tree: SourceTree) -> [String] {
    tree.files.compactMap { file in
        file.path.hasPrefix("Docs/Decisions/") && file.path.hasSuffix(".md") ? file.baseName : nil
    }
}

/// Links between documents that lead nowhere.
func deadDocumentLinks(_ tree: SourceTree) -> [Finding] {
    let paths = tree.paths
    return tree.files.filter { $0.path.hasSuffix(".md") }.flatMap { file in
        var isCode = false
        let folder = file.path.split(separator: "/").dropLast().map(String.init)
        return numbered(file.lines).flatMap { number, line -> [Finding] in
            if line.drop(while: { $0 == " " }).hasPrefix("```") { isCode.toggle() }
            guard !isCode, line.contains("](") else { return [] }
            let prose = line.replacing(#/`[^`]*`/#, with: "")
            return prose.matches(of: #/\]\(([^)\s]+)\)/#).compactMap { match in
                let target = String(match.1.prefix { $0 != "#" })
                guard !target.isEmpty, !target.contains(":") else { return nil }
                let isKnown = paths.contains(resolve(target, from: folder))
                return isKnown ? nil : Finding(file, number, "no file \(target)")
            }
        }
    }
}

private func resolve(_ target: String, from folder: [String]) -> String {
    var parts = folder
    for part in target.split(separator: "/") where part != "." {
        if part == ".." { _ = parts.popLast() } else { parts.append(String(part)) }
    }
    return parts.joined(separator: "/")
}

/// Promises that no test names: `**S7**` in the semantics, `S7` in a test's text.
func untestedPromises(_ tree: SourceTree) -> [Finding] {
    let tests = tree.swift("Tests").filter { !$0.path.hasPrefix("Tests/TidyTests/") }
    var named = Set<String>()
    for file in tests where file.text.contains("S") {
        for match in file.text.matches(of: #/\bS\d+\b/#) { named.insert(String(match.output)) }
    }
    return tree.files.filter { $0.path == "Docs/Semantics.md" }.flatMap { file in
        numbered(file.lines).flatMap { number, line in
            // A promise marked as later is not made yet.
            line.matches(of: #/\*\*(S\d+)\*\*(?! \*later\*)/#).compactMap { match in
                let promise = String(match.1)
                guard !named.contains(promise) else { return nil }
                return Finding(file, number, "no test names promise \(promise)")
            }
        }
    }
}

/// Words that speak of how the project was made, and paths of somebody's machine.
func strayText(_ tree: SourceTree) -> [Finding] {
    // In pieces, so that this file does not find itself.
    let word = try? Regex("(?i)sub" + "-?agent")
    let folders = ["ho" + "me/\\w", "Us" + "ers/\\w", "ro" + "ot/", "wo" + "rk/"]
    let path = try? Regex("(^|[^\\w.}~*])/(" + folders.joined(separator: "|") + ")")
    guard let word, let path else { return [Finding("", 0, "a pattern is broken")] }
    return tree.files.flatMap { file in
        numbered(file.lines).compactMap { number, line in
            if line.utf8.contains(UInt8(ascii: "/")), line.firstMatch(of: path) != nil {
                return Finding(file, number, "path of a developer's machine")
            }
            guard line.firstMatch(of: word) != nil else { return nil }
            return Finding(file, number, "a word that is none of the project's")
        }
    }
}

private func numbered(_ lines: [Substring]) -> [(number: Int, line: Substring)] {
    lines.enumerated().map { ($0.offset + 1, $0.element) }
}
