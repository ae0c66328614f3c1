import BatchEngine
import Testing

private struct Event: Codable, Equatable, StreamCodable {
    enum Kind: Codable, Equatable {
        case click(x: Int, y: Int)
        case key(Character2)
        case none
    }
    struct Character2: Codable, Equatable { var text: String }
    var id: UInt64
    var name: String
    var score: Double?
    var ratio: Float
    var isNew: Bool
    var tags: [String]
    var kinds: [Kind]
    var byName: [String: Int8]
    var byNumber: [Int: [Int?]]
    var next: [Event]

    static let sample = Event(
        id: .max, name: "näme", score: nil, ratio: 0.5, isNew: true, tags: ["a", ""],
        kinds: [.click(x: -1, y: 2), .key(Character2(text: "k")), .none],
        byName: ["p": -128, "q": 127], byNumber: [7: [1, nil, 3]],
        next: [
            Event(
                id: 0, name: "", score: -0.0, ratio: .infinity, isNew: false, tags: [], kinds: [],
                byName: [:], byNumber: [:], next: [])
        ])
}

private class Animal: Codable, @unchecked Sendable {
    var legs = 4
    init() {}
}

private final class Dog: Animal, StreamCodable, @unchecked Sendable {
    enum CodingKeys: CodingKey { case name }
    var name = ""
    override init() { super.init() }
    required init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        try super.init(from: container.superDecoder())
    }
    override func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try super.encode(to: container.superEncoder())
        try container.encode(name, forKey: .name)
    }
}

/// Uses the containers by hand: nested ones, filled late and out of order.
private struct Handmade: Codable, Equatable, StreamCodable {
    enum Keys: CodingKey { case list, nested, last, absent }
    var numbers: [Int]
    var pair: [String]

    init(numbers: [Int], pair: [String]) {
        self.numbers = numbers
        self.pair = pair
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Keys.self)
        #expect(try container.decode(Int.self, forKey: .last) == 9)
        #expect(try container.decodeNil(forKey: .absent))
        #expect(container.allKeys.count == 4)
        var list = try container.nestedUnkeyedContainer(forKey: .list)
        numbers = []
        while !list.isAtEnd {
            if try list.decodeNil() { continue }
            if let number = try? list.decode(Int.self) {
                numbers.append(number)
            } else {
                var inner = try list.nestedUnkeyedContainer()
                numbers.append(try inner.decode(Int.self))
                #expect(inner.isAtEnd)
                #expect(throws: DecodingError.self) { try inner.decode(Int.self) }
            }
        }
        let nested = try container.nestedContainer(keyedBy: Keys.self, forKey: .nested)
        pair = [
            try nested.decode(String.self, forKey: .list),
            try nested.decode(String.self, forKey: .last),
        ]
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        var list = container.nestedUnkeyedContainer(forKey: .list)
        var nested = container.nestedContainer(keyedBy: Keys.self, forKey: .nested)
        try container.encode(9, forKey: .last)
        try nested.encode(pair[1], forKey: .last)
        for number in numbers {
            if number.isMultiple(of: 2) {
                var inner = list.nestedUnkeyedContainer()
                try inner.encode(number)
            } else {
                try list.encode(number)
                try list.encodeNil()
            }
        }
        try nested.encode(pair[0], forKey: .list)
        try container.encodeNil(forKey: .absent)
    }
}

private struct Unencodable: Codable, StreamCodable {
    struct Refusal: Error {}
    init() {}
    init(from decoder: any Decoder) throws { throw Refusal() }
    func encode(to encoder: any Encoder) throws { throw Refusal() }
}

private struct Nested: Codable, StreamCodable {
    var inner: [Nested]
    init(depth: Int) { inner = depth == 0 ? [] : [Nested(depth: depth - 1)] }
}

private struct Point: Codable, Equatable, Hashable, StreamKey {
    var x: Double
    var y: Double
}

private struct EventV1: Codable, StreamCodable { var id: Int, name: String }
private struct EventV2: Codable, StreamCodable { var name: String, added: Int?, id: Int64 }

struct CodableBridgeTests {
    @Test func `a value with everything in it survives`() throws {
        try expectRoundTrip(Event.sample)
        try expectRoundTrip([Event.sample, Event.sample.next[0]])
    }

    /// Within its length, where no other reader would miss them.
    @Test func `bytes behind a value are refused`() throws {
        let codec = Codec<Point>.of()
        let bytes = try codec.bytes(of: Point(x: 1, y: 2))
        try #require(bytes[0] < 127 && Int(bytes[0]) == bytes.count - 1)
        let longer = [bytes[0] + 1] + bytes.dropFirst() + [0]
        #expect(throws: CodecError.self) { try codec.value(of: longer) }
    }

    @Test func `nested containers may be filled late`() throws {
        try expectRoundTrip(Handmade(numbers: [1, 2, 3, 4, 4, 5], pair: ["a", "b"]))
        try expectRoundTrip(Handmade(numbers: [], pair: ["", ""]))
    }

    @Test func `a class survives with its superclass`() throws {
        let dog = Dog()
        dog.name = "Rex"
        dog.legs = 3
        let copy = try Codec<Dog>.of().value(of: Codec<Dog>.of().bytes(of: dog))
        #expect(copy.name == "Rex" && copy.legs == 3)
    }

    @Test func `fields can be added and reordered`() throws {
        let bytes = try Codec<EventV1>.of().bytes(of: EventV1(id: 5, name: "n"))
        let event = try Codec<EventV2>.of().value(of: bytes)
        #expect(event.id == 5 && event.name == "n" && event.added == nil)
    }

    @Test func `what a type throws becomes a codec error`() throws {
        let failure = #expect(throws: CodecError.self) {
            try Codec<[Unencodable]>.of().bytes(of: [Unencodable()])
        }
        #expect(failure?.code == .encodingFailed)
        let bytes = try Codec<EventV1>.of().bytes(of: EventV1(id: 5, name: "n"))
        let refusal = #expect(throws: CodecError.self) {
            try Codec<Unencodable>.of().value(of: bytes)
        }
        #expect(refusal?.code == .invalidValue)
        #expect(throws: CodecError.self) { try Codec<Event>.of().value(of: bytes) }
    }

    @Test func `nesting is limited on both sides`() throws {
        let codec = Codec<Nested>.of()
        let bytes = try codec.bytes(of: Nested(depth: 100))
        _ = try codec.value(of: bytes)
        let error = #expect(throws: CodecError.self) { try codec.bytes(of: Nested(depth: 1_000)) }
        #expect(error?.code == .nestingTooDeep)
    }

    @Test func `keys of fields keep the law for zeros`() {
        let plus = Point(x: 0, y: 1)
        let minus = Point(x: -0.0, y: 1)
        #expect(Point.isSameKey(plus, minus))
        #expect(plus.stableHash == minus.stableHash)
    }

    @Test func `a shape is the name of the type`() {
        #expect(Event.codecShape == "Event")
        #expect([Event].codecShape == "Array<Event>")
    }

    @Test func `random bytes never trap`() throws {
        try decodeHostileBytes(.of(), like: [Event.sample], seed: 11)
        try decodeHostileBytes(.of(), like: [Nested(depth: 3)], seed: 12)
        try decodeHostileBytes(.of(), like: [Dog()], seed: 13)
    }
}
