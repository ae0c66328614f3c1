/// Who may import whom: the table of the design, row by row.
struct ImportTable {
    struct Row {
        /// Modules of this package.
        let modules: Set<String>
        /// Modules of the toolchain, and C libraries.
        let others: Set<String>

        init(_ modules: Set<String>, others: Set<String> = ["Synchronization"]) {
            self.modules = modules
            self.others = others
        }

        /// A connector, a user interface, a cluster engine: it stands on what users stand on.
        static func addition(others: Set<String> = []) -> Row {
            Row(
                ["StreamingContext", "ReceiverRuntime", "DStreamCore", "BatchEngine"],
                others: others.union(["Synchronization"]))
        }
    }

    let rows: [String: Row]

    /// The rows in force; a new module begins with a row here.
    static let house = ImportTable(rows: [
        "BatchEngine": Row(["CFileStatus", "CPoll", "CPrefetch"]),
        // The one place for Foundation: codecs of its types.
        "FoundationCodecs": Row(["BatchEngine"], others: ["Foundation"]),
        "DStreamCore": Row(["BatchEngine"]),
        "JobGeneration": Row(["DStreamCore", "BatchEngine"]),
        "ReceiverRuntime": Row(["DStreamCore", "BatchEngine"]),
        "FaultTolerance": Row(["DStreamCore", "BatchEngine", "CChecksum"]),
        "ProcessEngine": Row(["BatchEngine"]),
        "SQLiteSink": Row(["DStreamCore", "BatchEngine", "CSQLite"]),
        "StreamingContext": Row(layers),
        "DStreamTestKit": Row(layers.union(["StreamingContext"])),
    ])

    private static let layers: Set<String> = [
        "BatchEngine", "DStreamCore", "JobGeneration", "ReceiverRuntime", "FaultTolerance",
        "ProcessEngine",
    ]

    /// The folder of the system calls, and what may be imported there only.
    static let system = "Modules/BatchEngine/System/"
    static let platforms: Set<String> = ["Glibc", "Darwin", "Musl"]

    /// Imports that the table does not allow.
    func findings(_ tree: SourceTree) -> [Finding] {
        tree.swift("Modules").flatMap { file in
            guard let module = file.module, let row = rows[module] else {
                return [Finding(file, 1, "no row in the import table for this module")]
            }
            var allowed = row.modules.union(row.others)
            if file.path.hasPrefix(Self.system) { allowed.formUnion(Self.platforms) }
            return Import.all(in: file).filter { !allowed.contains($0.module) }
                .map { Finding(file, $0.line, "import \($0.module)") }
        }
    }

    /// Where the dependencies in the manifest go beyond the table, or miss a module.
    func findings(_ tree: SourceTree, _ manifest: Manifest) -> [Finding] {
        var findings: [Finding] = []
        let targets = manifest.targets.filter { $0.path.hasPrefix("Modules/") }
        for target in targets {
            for name in target.dependencies.sorted()
            where rows[target.name]?.modules.contains(name) != true {
                findings.append(
                    Finding("Package.swift", target.line, "\(target.name) depends on \(name)"))
            }
        }
        for module in Set(tree.swift("Modules").compactMap(\.module)).sorted() {
            let target = targets.first { $0.path == "Modules/" + module }
            let imports = tree.swift("Modules/" + module).flatMap { Import.all(in: $0) }
            let needed = Set(imports.map(\.module)).intersection(rows.keys)
            for name in needed.subtracting(target?.dependencies ?? []).sorted() {
                findings.append(
                    Finding("Package.swift", target?.line ?? 0, "\(module) lacks \(name)"))
            }
        }
        return findings
    }
}

/// An import declaration, in whatever form.
struct Import: Hashable {
    let module: String
    let line: Int
    /// The attributes in front of it, without `@`.
    let attributes: Set<String>

    /// The imports of a file: those of modules, of single declarations, with any attributes.
    static func all(in file: SourceFile) -> [Import] {
        let code = file.code
        return code.indices.compactMap { index in
            guard code.text(at: index) == "import", code.text(at: index - 1) != "." else {
                return nil
            }
            let isKind = kinds.contains(code.text(at: index + 1) ?? "")
            guard let name = code.text(at: isKind ? index + 2 : index + 1) else { return nil }
            return Import(
                module: name.filter { $0 != "`" }, line: code[index].line,
                attributes: attributes(code, before: index))
        }
    }

    private static let kinds: Set<String> = [
        "struct", "class", "enum", "actor", "protocol", "typealias", "func", "let", "var",
    ]
    private static let access: Set<String> = [
        "public", "package", "internal", "fileprivate", "private",
    ]

    private static func attributes(_ code: [Token], before index: Int) -> Set<String> {
        var attributes = Set<String>()
        var position = index - 1
        while position >= 0 {
            if access.contains(code.text(at: position) ?? "") {
                position -= 1
            } else if code.text(at: position) == ")" {
                while position > 0, code.text(at: position) != "(" { position -= 1 }
                position -= 1
            } else if code.text(at: position - 1) == "@" {
                attributes.insert(code[position].text)
                position -= 2
            } else {
                break
            }
        }
        return attributes
    }
}

/// Attributes of the standard library's authors, and `@testable`, which release builds do not know.
func underscoredAttributes(_ tree: SourceTree) -> [Finding] {
    tree.everything.flatMap { file in
        file.findings { code, index in
            guard code.text(at: index - 1) == "@", let name = code.text(at: index) else {
                return nil
            }
            return name.hasPrefix("_") || name == "testable" ? "@" + name : nil
        }
    }
}
