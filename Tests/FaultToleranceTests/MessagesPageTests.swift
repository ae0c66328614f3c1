import BatchEngine
import Testing

/// The page that messages lead to has what they name.
@Suite struct MessagesPageTests {
    private func source(_ path: [String]) throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).map(String.init)
        let bytes = try FileSystem.readAll("/" + (root + path).joined(separator: "/"))
        return String(decoding: bytes, as: UTF8.self)
    }

    private func files(under path: [String]) throws -> [[String]] {
        let root = #filePath.split(separator: "/").dropLast(3).map(String.init)
        return try FileSystem.list("/" + (root + path).joined(separator: "/")).flatMap { name in
            if name.hasSuffix(".swift") { return [path + [name]] }
            return name.contains(".") ? [] : try files(under: path + [name])
        }
    }

    @Test func everyEntryThatAMessageNamesIsThere() throws {
        let page = try source(["Docs", "Messages.md"])
        var entries: Set<String> = []
        for file in try files(under: ["Modules"]) {
            for match in try source(file).matches(of: #/MessageTable\.see\("([^"]+)"\)/#) {
                entries.insert(String(match.1))
            }
        }
        #expect(entries.count >= 6)
        for entry in entries {
            let anchor = entry.split(separator: " ").joined(separator: "-")
            #expect(page.contains("| <a name=\"\(anchor)\"></a>\(entry) |"), "\(entry)")
        }
    }
}
