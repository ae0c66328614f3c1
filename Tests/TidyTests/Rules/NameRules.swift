/// Words that say nothing, in names of types and files.
let bannedWords: Set<String> = [
    "Manager", "Util", "Utils", "Utility", "Utilities", "Helper", "Helpers", "Impl",
    "Implementation", "Info",
]

/// Names that Spark's users know; they may be part of longer ones.
let knownNames = [
    "StreamInputInfo", "OutputOperationInfo", "BatchInfo", "ReceiverInfo", "InputInfoTracker",
]

/// Types and files named with a banned word.
func bannedNames(_ tree: SourceTree) -> [Finding] {
    tree.everything.flatMap { file in
        var findings: [Finding] = []
        if let word = bannedWord(in: file.baseName) {
            findings.append(Finding(file, 1, "file name with '\(word)'"))
        }
        let code = file.code
        for index in code.indices
        where typeKeywords.contains(code.text(at: index) ?? "")
            && code.text(at: index - 1) != "import"
        {
            guard code.indices.contains(index + 1), code[index + 1].kind == .word,
                let word = bannedWord(in: code[index + 1].text)
            else { continue }
            let name = code[index + 1].text
            findings.append(Finding(file, code[index].line, "\(name): '\(word)'"))
        }
        return findings
    }
}

private let typeKeywords: Set<String> = [
    "struct", "class", "enum", "actor", "protocol", "typealias", "associatedtype",
]

private func bannedWord(in name: String) -> String? {
    var rest = name
    for known in knownNames { rest = rest.replacing(known, with: "_") }
    return words(rest).first { bannedWords.contains($0) }
}

/// The words of a name in camel case, each with a capital first letter.
func words(_ name: String) -> [String] {
    name.split { !$0.isLetter && !$0.isNumber }.flatMap { part in
        part.matches(of: #/[A-Z]+(?![a-z])|[A-Z]?[^A-Z]+/#).map { match in
            match.output.prefix(1).uppercased() + match.output.dropFirst()
        }
    }
}
