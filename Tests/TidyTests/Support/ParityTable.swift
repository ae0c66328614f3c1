/// The rows of `Docs/SparkParity.md`.
struct ParityTable {
    static let path = "Docs/SparkParity.md"

    enum Status: String, CaseIterable {
        case done, differs, later
        case notApplicable = "not applicable"

        /// Whether something stands for the member.
        var isThere: Bool { self == .done || self == .differs }
    }

    struct Row {
        let line: Int
        /// The heading it is under.
        let section: String
        /// The member, in Spark's words.
        let member: String
        /// What stands for it here, such as `DStream.map(_:)`.
        let names: [String]
        let status: Status
        /// Files of tests, without folder and extension.
        let tests: [String]
        let reason: String
    }

    private(set) var rows: [Row] = []
    /// Rows that cannot be read.
    private(set) var findings: [Finding] = []

    init(_ document: SourceFile) {
        var section = ""
        for (index, line) in document.lines.enumerated() {
            if line.hasPrefix("## ") { section = String(line.dropFirst(3)) }
            guard line.hasPrefix("| `") else { continue }
            let cells = line.dropFirst().split(separator: "|", omittingEmptySubsequences: false)
                .map { $0.drop { $0 == " " } }
            guard cells.count == 6, let member = Self.quoted(cells[0]).first,
                let status = Status(rawValue: Self.trimmed(cells[2]))
            else {
                findings.append(Finding(document, index + 1, "no row with a status: \(line)"))
                continue
            }
            rows.append(
                Row(
                    line: index + 1, section: section, member: member,
                    names: Self.quoted(cells[1]), status: status, tests: Self.quoted(cells[3]),
                    reason: Self.trimmed(cells[4])))
        }
    }

    private static func quoted(_ cell: Substring) -> [String] {
        cell.matches(of: #/`([^`]+)`/#).map { String($0.1) }
    }

    private static func trimmed(_ cell: Substring) -> String {
        var cell = cell
        while cell.last == " " { cell.removeLast() }
        return String(cell)
    }
}

/// What the modules declare, as far as the table names it.
struct Declarations {
    /// What a file declares: `map`, and `map(_:)` without the labels of the place in the source.
    private struct Names {
        var types: Set<String> = []
        var members: Set<String> = []
    }

    private let files: [Names]

    init(_ files: [SourceFile]) { self.files = files.map(Self.names) }

    /// Whether a file that declares or extends the type declares the member: `DStream.map(_:)`.
    func contain(_ name: String) -> Bool {
        let path = name.prefix { $0 != "(" }
        let labels = name.dropFirst(path.count)
        guard let dot = path.lastIndex(of: ".") else {
            return files.contains { $0.types.contains(name) }
        }
        let type = path[..<dot].split(separator: ".").last.map(String.init) ?? ""
        let member = String(path[path.index(after: dot)...]) + labels
        return files.contains { $0.types.contains(type) && $0.members.contains(member) }
    }

    private static let types: Set<String> = [
        "struct", "class", "enum", "protocol", "actor", "typealias", "extension",
    ]

    private static func names(_ file: SourceFile) -> Names {
        let code = file.code
        var names = Names()
        for index in code.indices {
            switch code.text(at: index) {
            case let keyword? where types.contains(keyword):
                var next = index + 1
                while let name = code.text(at: next), code[next].kind == .word {
                    names.types.insert(name)
                    names.members.insert(name)
                    guard code.text(at: next + 1) == "." else { break }
                    next += 2
                }
            case "var", "let", "case": names.members.insert(code.text(at: index + 1) ?? "")
            case "init" where code.text(at: index - 1) != ".":
                if let labels = labels(code, index + 1) { names.members.insert("init" + labels) }
            case "func":
                var (name, next) = (code.text(at: index + 1) ?? "", index + 2)
                if code[index + 1].kind == .mark {
                    while let mark = code.text(at: next), mark != "(" {
                        (name, next) = (name + mark, next + 1)
                    }
                }
                names.members.insert(name)
                if let labels = labels(code, next) { names.members.insert(name + labels) }
            default: break
            }
        }
        return names
    }

    /// The labels of the parameters that begin at `index`, perhaps behind type parameters.
    private static func labels(_ code: [Token], _ index: Int) -> String? {
        var open = code.skippingTypeArguments(index)
        if ["?", "!"].contains(code.text(at: open)) { open += 1 }
        guard code.text(at: open) == "(", let close = code.closing(open) else { return nil }
        var labels = ""
        var position = open
        while position < close {
            let mark = code.text(at: position)
            if mark == "(" || mark == "[" || mark == "{", position != open {
                position = (code.closing(position) ?? close) + 1
                continue
            }
            position += 1
            guard mark == "(" || mark == "," else { continue }
            // An attribute may stand before the label.
            if code.text(at: position) == "@" {
                position = code.skippingTypeArguments(position + 2)
            }
            guard let label = code.text(at: position) else { continue }
            let isLabel = [code.text(at: position + 1), code.text(at: position + 2)].contains(":")
            if isLabel, !["file", "line", ")"].contains(label) { labels += label + ":" }
        }
        return "(\(labels))"
    }
}
