import Foundation

/// A file of recorded cases, read as loosely typed JSON.
enum Fixture {
    struct Malformed: Error { let text: String }

    /// The first case of a pipeline.
    static func vector(_ family: String, pipeline: String) throws -> [String: Any] {
        let tests = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent()
        let file = tests.appendingPathComponent("Fixtures/conformance/\(family).json")
        let json = try JSONSerialization.jsonObject(with: Data(contentsOf: file))
        guard let root = json as? [String: Any], let vectors = root["vectors"] as? [[String: Any]],
            let vector = vectors.first(where: { $0.string("pipeline") == pipeline })
        else { throw Malformed(text: "\(family): \(pipeline)") }
        return vector
    }
}

extension [String: Any] {
    func string(_ key: String) -> String? { self[key] as? String }
    func bool(_ key: String) -> Bool? { self[key] as? Bool }
    func objects(_ key: String) -> [[String: Any]] { self[key] as? [[String: Any]] ?? [] }
}
