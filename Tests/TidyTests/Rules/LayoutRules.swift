let requiredAtTop: Set<String> = [
    "Package.swift", "Modules", "Tests", "Tools", "Docs", ".swift-format", "README.md",
    ".gitignore", ".ci",
]
let allowedAtTop: Set<String> = requiredAtTop.union([".git", ".build", "LICENSE"])

/// What lies at the top of the repository and should not, and what is missing there.
func strayTopLevel(_ tree: SourceTree) -> [Finding] {
    let names = Set(tree.topLevel)
    let stray = names.subtracting(allowedAtTop).sorted()
    let missing = requiredAtTop.subtracting(names).sorted()
    return stray.map { Finding($0, 0, "does not belong at the top") }
        + missing.map { Finding($0, 0, "is missing at the top") }
}

/// Folders with Swift sources that no target builds, and targets without any.
func unbuiltFolders(_ tree: SourceTree, _ manifest: Manifest) -> [Finding] {
    let targets = Set(manifest.targets.map(\.path))
    var folders = Set<String>()
    for file in tree.everything where !builtElsewhere.contains(where: file.path.hasPrefix) {
        let parts = file.path.split(separator: "/")
        let depth = parts[0] == "Docs" ? 3 : 2
        guard parts.count > depth else { continue }
        folders.insert(parts.prefix(depth).joined(separator: "/"))
    }
    let unbuilt = folders.subtracting(targets).sorted()
    return unbuilt.map { Finding($0, 0, "is built by no target") }
}

/// What `Tools/checks/consumer` builds, as a package of its own.
private let builtElsewhere = ["Tests/PackageTests/"]

/// Packages inside the package.
func nestedPackages(_ tree: SourceTree) -> [Finding] {
    tree.files.filter { $0.path.hasSuffix("/Package.swift") }.map {
        Finding($0, 1, "a package inside the package")
    }
}
