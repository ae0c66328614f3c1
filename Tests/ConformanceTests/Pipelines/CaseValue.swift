import BatchEngine

/// Any element a case may have, so that one pipeline serves elements of every type.
///
/// It is a key: strings and doubles compare as the library's own keys do.
indirect enum CaseValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case list([CaseValue])

    init(_ json: PieceJSON) throws {
        switch json {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .int(value)
        case .double(let value): self = .double(value)
        case .string(let value): self = .string(value)
        case .array(let values): self = .list(try values.map { try CaseValue($0) })
        case .object: throw PieceStep.Malformed(description: "an element is an object: \(json)")
        }
    }

    var json: PieceJSON {
        switch self {
        case .null: .null
        case .bool(let value): .bool(value)
        case .int(let value): .int(value)
        case .double(let value): .double(value)
        case .string(let value): .string(value)
        case .list(let values): .array(values.map(\.json))
        }
    }
}

extension CaseValue: StreamKey {
    func encode(to writer: inout ByteWriter) {
        switch self {
        case .null: writer.writeByte(0)
        case .bool(let value):
            writer.writeByte(1)
            value.encode(to: &writer)
        case .int(let value):
            writer.writeByte(2)
            value.encode(to: &writer)
        case .double(let value):
            writer.writeByte(3)
            value.encode(to: &writer)
        case .string(let value):
            writer.writeByte(4)
            value.encode(to: &writer)
        case .list(let values):
            writer.writeByte(5)
            values.encode(to: &writer)
        }
    }

    static func decode(from reader: inout ByteReader) throws -> CaseValue {
        switch try reader.readByte() {
        case 0: .null
        case 1: .bool(try .decode(from: &reader))
        case 2: .int(try .decode(from: &reader))
        case 3: .double(try .decode(from: &reader))
        case 4: .string(try .decode(from: &reader))
        case 5: .list(try .decode(from: &reader))
        case let tag: throw PieceStep.Malformed(description: "no value begins with \(tag)")
        }
    }

    static func isSameKey(_ left: CaseValue, _ right: CaseValue) -> Bool {
        switch (left, right) {
        case (.double(let a), .double(let b)): Double.isSameKey(a, b)
        case (.string(let a), .string(let b)): String.isSameKey(a, b)
        case (.list(let a), .list(let b)): [CaseValue].isSameKey(a, b)
        default: left == right
        }
    }
}

/// How elements of a type look in a case: read from it, and written to be compared with it.
struct ElementForm<Element: Sendable>: Sendable {
    let read: @Sendable (PieceJSON) throws -> Element
    let write: @Sendable (Element) -> PieceJSON
}

extension ElementForm where Element == CaseValue {
    static var any: ElementForm { ElementForm(read: { try CaseValue($0) }, write: { $0.json }) }
}

extension ElementForm where Element == Int {
    static var int: ElementForm {
        ElementForm(
            read: { json in
                guard case .int(let value) = json, let number = Int(exactly: value) else {
                    throw PieceStep.Malformed(description: "not a whole number: \(json)")
                }
                return number
            }, write: { .int(Int64($0)) })
    }
}

extension ElementForm where Element == String {
    static var string: ElementForm {
        ElementForm(
            read: { json in
                guard case .string(let value) = json else {
                    throw PieceStep.Malformed(description: "not a string: \(json)")
                }
                return value
            }, write: { .string($0) })
    }
}

extension ElementForm {
    static func pair<First: Sendable, Second: Sendable>(
        _ first: ElementForm<First>, _ second: ElementForm<Second>
    ) -> ElementForm where Element == (First, Second) {
        ElementForm(
            read: { json in
                guard case .array(let parts) = json, parts.count == 2 else {
                    throw PieceStep.Malformed(description: "not a pair: \(json)")
                }
                return (try first.read(parts[0]), try second.read(parts[1]))
            }, write: { .array([first.write($0.0), second.write($0.1)]) })
    }

    static func list<Part: Sendable>(_ part: ElementForm<Part>) -> ElementForm
    where Element == [Part] {
        ElementForm(
            read: { json in
                guard case .array(let parts) = json else {
                    throw PieceStep.Malformed(description: "not a list: \(json)")
                }
                return try parts.map(part.read)
            }, write: { .array($0.map(part.write)) })
    }
}

extension ElementForm where Element == (String, Int) {
    /// Words and numbers, the pairs most cases have.
    static var counted: ElementForm { .pair(.string, .int) }
}
