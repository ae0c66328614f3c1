/// The targets that `Package.swift` declares, read from its text.
///
/// Asking the package manager would need the lock that the running `swift test` holds.
struct Manifest {
    struct Target: Hashable {
        let name: String
        let path: String
        let dependencies: Set<String>
        let line: Int
    }

    let targets: [Target]

    /// Reads the text of a manifest: calls of `module`, `tests` and `program`, and of the package
    /// manager's own functions, with a literal name.
    init(_ file: SourceFile) {
        var targets: [Target] = []
        var index = 0
        let code = file.code
        while index < code.count {
            let (target, next) = Self.target(code, index)
            if let target { targets.append(target) }
            index = next
        }
        self.targets = targets
    }

    private static let folders = [
        "module": "Modules/", "tests": "Tests/", "program": "", "target": "Sources/",
        "executableTarget": "Sources/", "testTarget": "Tests/", "systemLibrary": "Sources/",
    ]

    private static func target(_ code: [Token], _ index: Int) -> (Target?, next: Int) {
        guard let name = code.text(at: index), let folder = folders[name],
            code.text(at: index - 1) != "func", code.text(at: index + 1) == "(",
            let end = code.closing(index + 1)
        else { return (nil, index + 1) }
        var position = index + 2
        if code.text(at: position) == "name" { position += 2 }
        guard let name = code.string(at: position) else { return (nil, index + 1) }
        var path = folder + name
        var dependencies: Set<String>?
        while position < end {
            let label = code.text(at: position)
            if ["at", "path"].contains(label), let value = code.string(at: position + 2) {
                path = value
            }
            if label == "[", let close = code.closing(position) {
                // With its label, or without any.
                let isLabelled = code.text(at: position - 2) == "dependencies"
                if dependencies == nil, isLabelled || code.text(at: position - 1) == "," {
                    dependencies = names(code, position, close)
                }
                position = close
            }
            position += 1
        }
        let line = code[index].line
        return (
            Target(name: name, path: path, dependencies: dependencies ?? [], line: line), end + 1
        )
    }

    /// The names in a list of dependencies: plain strings, and those behind a label `name`.
    private static func names(_ code: [Token], _ open: Int, _ close: Int) -> Set<String> {
        var names = Set<String>()
        var depth = 0
        for index in open + 1..<close {
            switch code.text(at: index) {
            case "(", "[": depth += 1
            case ")", "]": depth -= 1
            default: break
            }
            guard let name = code.string(at: index) else { continue }
            if depth == 0 || code.text(at: index - 2) == "name" { names.insert(name) }
        }
        return names
    }
}
