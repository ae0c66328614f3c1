import BatchEngine

/// The binary forms of elements.
enum CodecTarget {
    fileprivate struct Click: Codable, Equatable {
        var page: String
        var at: Int?
        var tags: [String: Double]
        var next: [Click]
    }

    /// The first byte chooses the type, the others are its form.
    static func feed(_ bytes: [UInt8]) -> Bool {
        guard let choice = bytes.first else { return false }
        let rest = Array(bytes.dropFirst())
        switch choice % 9 {
        case 0: return check(rest, [String: [Int?]].self)
        case 1: return check(rest, (String, (Int, Double)).self)
        case 2: return check(rest, [(Int64, [UInt8])].self)
        case 3: return check(rest, Set<String>.self)
        case 4: return check(rest, Click.self)
        case 5: return check(rest, (UInt8, Bool, Float, String?).self)
        case 6: return check(rest, [[[Int32]]].self)
        case 7: return check(rest, (Duration, Character).self)
        default: return check(rest, BlockID?.self)
        }
    }

    static func seeds() throws -> [[UInt8]] {
        let click = Click(page: "/", at: 3, tags: ["a": 0.5], next: [])
        return [
            [0] + (try bytes([String: [Int?]](uniqueKeysWithValues: [("a", [1, nil, -3])]))),
            [1] + (try bytes(("word", (3, 0.5)))), [2] + (try bytes([(Int64(-9), [UInt8(1), 2])])),
            [3] + (try bytes(Set(["a", "bb"]))), [4] + (try bytes(click)),
            [5] + (try bytes((UInt8(3), true, Float(1), String?.none))),
            [6] + (try bytes([[[Int32(5), -5]], []])),
            [7] + (try bytes((Duration.seconds(Int64.max), Character("é")))),
        ]
    }

    private static func bytes<Value>(_ value: Value) throws -> [UInt8] {
        try Codec<Value>.resolve()?.bytes(of: value) ?? []
    }

    /// What is read once can be written, and is read again.
    private static func check<Value>(_ bytes: [UInt8], _ type: Value.Type) -> Bool {
        guard let codec = Codec<Value>.resolve(), let value = try? codec.value(of: bytes) else {
            return false
        }
        guard let written = try? codec.bytes(of: value) else { return false }
        precondition((try? codec.value(of: written)) != nil, "\(value) cannot be read again")
        return true
    }
}

extension CodecTarget.Click: StreamCodable {}
