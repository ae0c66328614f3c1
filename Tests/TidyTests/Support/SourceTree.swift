import Foundation

/// A text file of the repository.
struct SourceFile: Sendable {
    /// The path from the top of the repository, with `/` between its parts.
    let path: String
    let text: String
    /// The tokens of a Swift file, comments included; empty for other files.
    let tokens: [Token]
    /// The tokens of a Swift file that a compiler acts on.
    let code: [Token]

    init(_ path: String, _ text: String) {
        self.path = path
        self.text = text
        tokens = path.hasSuffix(".swift") ? Lexer.tokens(of: text) : []
        code = tokens.code
    }

    /// The name without folders and without what follows its first dot.
    var baseName: String {
        String(path.split(separator: "/").last?.prefix { $0 != "." } ?? "")
    }

    /// The folder under `Modules/` that the file lies in, if it does.
    var module: String? {
        let parts = path.split(separator: "/")
        return parts.count > 2 && parts[0] == "Modules" ? String(parts[1]) : nil
    }

    /// The lines, without their ends.
    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
}

/// The text files of the repository, or a few made up for a test of a rule.
struct SourceTree: Sendable {
    /// The files, by path.
    let files: [SourceFile]
    /// The names of everything at the top, but for what `.gitignore` names.
    let topLevel: [String]

    /// A tree made up for a test: paths and their texts.
    init(_ texts: KeyValuePairs<String, String>) {
        files = texts.map { SourceFile($0.key, $0.value) }
        var names = Set<String>()
        for file in files { names.insert(String(file.path.prefix { $0 != "/" })) }
        topLevel = names.sorted()
    }

    /// The Swift sources, in and below the folders that are named.
    func swift(_ folders: String...) -> [SourceFile] {
        files.filter { file in
            file.path.hasSuffix(".swift") && folders.contains { file.path.hasPrefix($0 + "/") }
        }
    }

    /// The sources that reach users; tests do not.
    var shipped: [SourceFile] { swift("Modules", "Tools", "Docs") }

    /// All Swift sources.
    var everything: [SourceFile] { swift("Modules", "Tools", "Docs", "Tests") }

    /// The paths of all files and of all folders that hold one.
    var paths: Set<String> {
        var paths = Set<String>()
        for file in files {
            var path = Substring(file.path)
            while !path.isEmpty, paths.insert(String(path)).inserted {
                path = path.lastIndex(of: "/").map { path[..<$0] } ?? ""
            }
        }
        return paths
    }
}

extension SourceTree {
    /// The repository that this file lies in.
    static let repository = SourceTree(at: root)

    private static let root: URL = {
        // Support, TidyTests, Tests: three folders up from the one with this file.
        var url = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        for _ in 0..<4 { url.deleteLastPathComponent() }
        return url
    }()

    private init(at root: URL) {
        let manager = FileManager.default
        let rules = (try? String(contentsOf: root.appending(path: ".gitignore"), encoding: .utf8))
        let ignored = Ignored(rules ?? "")
        let names = (try? manager.contentsOfDirectory(atPath: root.path)) ?? []
        topLevel = names.filter { !ignored.matches($0) }.sorted()
        var paths: [String] = []
        for name in topLevel where name != ".git" {
            paths.append(name)
            let below = (try? manager.subpathsOfDirectory(atPath: root.path + "/" + name)) ?? []
            paths += below.map { name + "/" + $0 }
        }
        files = paths.sorted().compactMap { path in
            let isIgnored = path.split(separator: "/").contains { ignored.matches(String($0)) }
            guard !isIgnored, let data = manager.contents(atPath: root.path + "/" + path),
                let text = String(data: data, encoding: .utf8)
            else { return nil }
            return SourceFile(path, text)
        }
    }
}

/// The simple patterns of a `.gitignore`: a name, or `*` and how a name ends.
struct Ignored {
    private let patterns: [String]

    init(_ text: String) {
        patterns = text.split(separator: "\n").map {
            $0.hasSuffix("/") ? String($0.dropLast()) : String($0)
        }
    }

    func matches(_ name: String) -> Bool {
        patterns.contains { $0.hasPrefix("*") ? name.hasSuffix($0.dropFirst()) : name == $0 }
    }
}
