import Foundation
import Testing

import BatchEngine

/// The lines real Spark Streaming reads from a socket, case by case.
@Suite("Conformance: socket_lines")
struct SocketLinesConformanceTests {
    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    static func vectors() throws -> [[String: Any]] {
        let file = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/conformance/socket_lines.json")
        let json = try JSONSerialization.jsonObject(with: Data(contentsOf: file))
        guard let top = json as? [String: Any] else { throw Problem(description: "no object") }
        try check(top, keys: ["family", "spark", "vectors"])
        guard let vectors = top["vectors"] as? [[String: Any]] else {
            throw Problem(description: "no vectors")
        }
        return vectors
    }

    static func check(_ object: [String: Any], keys: Set<String>) throws {
        let unknown = Set(object.keys).symmetricDifference(keys)
        guard unknown.isEmpty else { throw Problem(description: "keys \(unknown.sorted())") }
    }

    static func bytes(hex: String) throws -> [UInt8] {
        let digits = hex.compactMap(\.hexDigitValue)
        guard digits.count == hex.count, digits.count.isMultiple(of: 2) else {
            throw Problem(description: "not hexadecimal: \(hex)")
        }
        return stride(from: 0, to: digits.count, by: 2).map {
            UInt8(digits[$0] * 16 + digits[$0 + 1])
        }
    }

    @Test("all vectors, for every size of chunk")
    func allVectors() throws {
        let vectors = try Self.vectors()
        #expect(vectors.count >= 6)
        for vector in vectors {
            try Self.check(vector, keys: ["name", "pipeline", "params", "bytesHex", "lines"])
            let name = try #require(vector["name"] as? String)
            #expect(vector["pipeline"] as? String == "socketTextStream.lines")
            #expect((vector["params"] as? [String: Any])?.isEmpty == true)
            let bytes = try Self.bytes(hex: try #require(vector["bytesHex"] as? String))
            let expected = try #require(vector["lines"] as? [String])
            for chunk in 1...max(1, bytes.count) {
                var splitter = LineSplitter()
                var lines: [String] = []
                for start in stride(from: 0, to: bytes.count, by: chunk) {
                    splitter.append(Array(bytes[start..<min(start + chunk, bytes.count)]))
                    lines += splitter.cut()?.lines ?? []
                }
                lines += splitter.finish()?.lines ?? []
                #expect(lines == expected, "\(name), chunks of \(chunk)")
            }
        }
    }
}
