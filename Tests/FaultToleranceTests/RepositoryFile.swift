import BatchEngine

/// A file of this repository, by its path from the root.
struct RepositoryFile {
    private static let root =
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

    let path: String

    init(_ path: String) { self.path = path }

    var bytes: [UInt8] {
        get throws { try FileSystem.readAll("\(Self.root)/\(path)") }
    }

    var text: String {
        get throws { String(decoding: try bytes, as: UTF8.self) }
    }
}
