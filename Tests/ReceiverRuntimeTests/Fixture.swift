import Foundation

/// A file of recorded cases, read as loosely typed JSON.
enum Fixture {
    struct Malformed: Error { let text: String }

    /// The cases of a family by name, in order.
    static func vectors(_ family: String) throws -> [(name: String, vector: [String: Any])] {
        let tests = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent()
        let file = tests.appendingPathComponent("Fixtures/conformance/\(family).json")
        let json = try JSONSerialization.jsonObject(with: Data(contentsOf: file))
        guard let root = json as? [String: Any], let vectors = root["vectors"] as? [[String: Any]]
        else { throw Malformed(text: family) }
        return try vectors.map { ($0.string("name") ?? "", try $0.checked()) }
    }
}

extension [String: Any] {
    func string(_ key: String) -> String? { self[key] as? String }
    func int(_ key: String) -> Int? { self[key] as? Int }
    func bool(_ key: String) -> Bool? { self[key] as? Bool }
    func object(_ key: String) -> [String: Any]? { self[key] as? [String: Any] }
    func objects(_ key: String) -> [[String: Any]] { self[key] as? [[String: Any]] ?? [] }

    /// Lists of names by stream number, as results are written.
    func names(_ key: String) -> [Int: [String]]? {
        guard let lists = self[key] as? [String: [String]] else { return nil }
        return Dictionary<Int, [String]>(
            uniqueKeysWithValues: lists.compactMap { key, names in Int(key).map { ($0, names) } })
    }

    fileprivate func checked() throws -> [String: Any] {
        guard string("name") != nil else { throw Fixture.Malformed(text: "\(self)") }
        return self
    }
}
