import Foundation

/// A JSON value that keeps whole numbers apart from others, and the sign of zero.
indirect enum PieceJSON: Equatable, Sendable, CustomStringConvertible {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case array([PieceJSON])
    case object([String: PieceJSON])

    struct ParseError: Error, CustomStringConvertible {
        let description: String
    }

    /// Reads a family's file.
    static func family(_ name: String) throws -> PieceJSON {
        let tests = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let file = tests.appendingPathComponent("Fixtures/conformance/\(name).json")
        return try PieceJSON(parsing: Array(try Data(contentsOf: file)))
    }

    init(parsing bytes: [UInt8]) throws {
        var parser = PieceJSONParser(bytes: bytes)
        self = try parser.parseDocument()
    }

    /// Numbers of equal value are equal, but a negative zero is not zero; strings are compared by
    /// their bytes.
    static func == (left: PieceJSON, right: PieceJSON) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.int(let a), .int(let b)): a == b
        case (.double(let a), .double(let b)): a.bitPattern == b.bitPattern
        case (.int(let a), .double(let b)), (.double(let b), .int(let a)):
            Double(a).bitPattern == b.bitPattern
        case (.string(let a), .string(let b)): a.utf8.elementsEqual(b.utf8)
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)): a == b
        default: false
        }
    }

    var description: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .int(let value): "\(value)"
        case .double(let value): "\(value)"
        case .string(let value): "\"\(value)\""
        case .array(let values): "\(values)"
        case .object(let members):
            "{\(members.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" })}"
        }
    }
}

/// A strict JSON parser: no duplicate keys, no trailing text.
private struct PieceJSONParser {
    let bytes: [UInt8]
    var index = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    mutating func parseDocument() throws -> PieceJSON {
        let value = try parseValue()
        skipSpace()
        guard index == bytes.count else { throw error("text after the document") }
        return value
    }

    private mutating func parseValue() throws -> PieceJSON {
        skipSpace()
        guard index < bytes.count else { throw error("value missing") }
        switch bytes[index] {
        case UInt8(ascii: "{"): return try parseObject()
        case UInt8(ascii: "["): return try parseArray()
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
        default: return try parseNumber()
        }
    }

    private mutating func parseObject() throws -> PieceJSON {
        index += 1
        var members: [String: PieceJSON] = [:]
        if skip("}") { return .object(members) }
        repeat {
            skipSpace()
            let key = try parseString()
            guard skip(":") else { throw error("colon missing") }
            guard members.updateValue(try parseValue(), forKey: key) == nil else {
                throw error("key \(key) twice")
            }
        } while skip(",")
        guard skip("}") else { throw error("brace missing") }
        return .object(members)
    }

    private mutating func parseArray() throws -> PieceJSON {
        index += 1
        var values: [PieceJSON] = []
        if skip("]") { return .array(values) }
        repeat { values.append(try parseValue()) } while skip(",")
        guard skip("]") else { throw error("bracket missing") }
        return .array(values)
    }

    private mutating func parseString() throws -> String {
        let start = index
        index += 1
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard index < bytes.count else { throw error("string without end") }
        index += 1
        return try JSONDecoder().decode(String.self, from: Data(bytes[start..<index]))
    }

    private mutating func parseNumber() throws -> PieceJSON {
        let start = index
        while index < bytes.count, "+-.0123456789eE".utf8.contains(bytes[index]) { index += 1 }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        // A whole number cannot carry the sign of a negative zero.
        if text != "-0", let value = Int64(text) { return .int(value) }
        if let value = Double(text) { return .double(value) }
        throw error("not a number: \(text)")
    }

    private mutating func parseWord(_ word: String, _ value: PieceJSON) throws -> PieceJSON {
        guard bytes[index...].starts(with: word.utf8) else { throw error("not \(word)") }
        index += word.utf8.count
        return value
    }

    private mutating func skipSpace() {
        while index < bytes.count, " \n\r\t".utf8.contains(bytes[index]) { index += 1 }
    }

    private mutating func skip(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard index < bytes.count, bytes[index] == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    private func error(_ text: String) -> PieceJSON.ParseError {
        PieceJSON.ParseError(description: "\(text), at byte \(index)")
    }
}
