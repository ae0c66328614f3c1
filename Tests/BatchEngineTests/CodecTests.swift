import BatchEngine
import DStreamTestKit
import Testing

/// Expects that a value survives encoding, and that each shorter or longer run of bytes is refused.
func expectRoundTrip<Value: StreamCodable & Equatable>(
    _ value: Value, sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let codec = Codec<Value>.of()
    let bytes = try codec.bytes(of: value)
    #expect(try codec.value(of: bytes) == value, sourceLocation: sourceLocation)
    #expect(throws: CodecError.self, sourceLocation: sourceLocation) {
        try codec.value(of: bytes + [0])
    }
    for count in 0..<min(bytes.count, 200) {
        #expect(throws: CodecError.self, sourceLocation: sourceLocation) {
            try codec.value(of: Array(bytes[..<count]))
        }
    }
}

/// Decodes seeded random bytes, some of them a damaged encoding; the only duty is not to trap.
func decodeHostileBytes<Value>(_ codec: Codec<Value>, like samples: [Value], seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    for _ in 0..<400 {
        let count = Int.random(in: 0...64, using: &random)
        let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
        _ = try? codec.value(of: bytes)
    }
    for sample in samples {
        let good = try codec.bytes(of: sample)
        guard !good.isEmpty else { continue }
        for _ in 0..<400 {
            var bytes = good
            for _ in 0...Int.random(in: 0...2, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            _ = try? codec.value(of: bytes)
        }
    }
}

struct CodecTests {
    @Test func `integers of every width survive`() throws {
        func check<Number: FixedWidthInteger & StreamCodable>(_ type: Number.Type) throws {
            var random = SeededRandom(seed: 1)
            for value in [.min, .max, 0, 1, Number.max / 2, .min / 2] { try expectRoundTrip(value) }
            for _ in 0..<50 {
                try expectRoundTrip(Number.random(in: .min ... .max, using: &random))
            }
        }
        try check(Int.self)
        try check(Int8.self)
        try check(Int16.self)
        try check(Int32.self)
        try check(Int64.self)
        try check(Int128.self)
        try check(UInt.self)
        try check(UInt8.self)
        try check(UInt16.self)
        try check(UInt32.self)
        try check(UInt64.self)
        try check(UInt128.self)
    }

    @Test func `a number that does not fit the type is refused`() throws {
        let bytes = try Codec<Int64>.of().bytes(of: 70_000)
        #expect(try Codec<Int32>.of().value(of: bytes) == 70_000)
        #expect(throws: CodecError.self) { try Codec<Int16>.of().value(of: bytes) }
        let tooLong = [UInt8](repeating: 0xFF, count: 9) + [2]
        #expect(throws: CodecError.self) { try Codec<UInt64>.of().value(of: tooLong) }
        #expect(try Codec<UInt64>.of().value(of: tooLong.dropLast() + [1]) == .max)
    }

    @Test func `scalars survive bit by bit`() throws {
        for value in [true, false] { try expectRoundTrip(value) }
        for value in [0.0, 1.5, -.pi, .infinity, .leastNonzeroMagnitude] {
            try expectRoundTrip(value)
            try expectRoundTrip(Float(value))
        }
        let minusZero = try Codec<Double>.of().value(of: Codec<Double>.of().bytes(of: -0.0))
        #expect(minusZero.sign == .minus)
        let nan = Double(nan: 77, signaling: false)
        let decoded = try Codec<Double>.of().value(of: Codec<Double>.of().bytes(of: nan))
        #expect(decoded.bitPattern == nan.bitPattern)
        for value in [Duration.zero, .seconds(-5), .nanoseconds(17), .seconds(Int64.max)] {
            try expectRoundTrip(value)
        }
    }

    /// Parts that add up to more than can be written again.
    @Test func `durations that nobody wrote are refused`() throws {
        let wrong: [(Int64, Int64)] = [
            (.max, .max), (.min, .min), (1, 1_000_000_000_000_000_000), (1, -1), (-1, 1),
        ]
        for (seconds, attoseconds) in wrong {
            var writer = ByteWriter()
            writer.writeZigzag(seconds)
            writer.writeZigzag(attoseconds)
            let bytes = try writer.takeBytes()
            #expect(throws: CodecError.self) { try Codec<Duration>.of().value(of: bytes) }
        }
        try expectRoundTrip(Duration(secondsComponent: -3, attosecondsComponent: -7))
        try expectRoundTrip(Duration.milliseconds(-1))
    }

    @Test func `strings and characters survive with their own bytes`() throws {
        for value in ["", "a", "fifteen bytes!!", "sixteen bytes!!!", "caf\u{e9}", "cafe\u{301}"] {
            try expectRoundTrip(value)
            let decoded = try Codec<String>.of().value(of: Codec<String>.of().bytes(of: value))
            #expect(Array(decoded.utf8) == Array(value.utf8))
        }
        try expectRoundTrip(Character("👨‍👩‍👧"))
        try expectRoundTrip(Character("\r\n"))
        #expect(throws: CodecError.self) { try Codec<String>.of().value(of: [2, 0xC3, 0x28]) }
        #expect(throws: CodecError.self) { try Codec<Character>.of().value(of: [0]) }
        #expect(throws: CodecError.self) { try Codec<Character>.of().value(of: [2, 65, 66]) }
    }

    @Test func `collections survive`() throws {
        try expectRoundTrip([1, 2, 3])
        try expectRoundTrip([[UInt8]]())
        try expectRoundTrip([UInt8](0...255))
        try expectRoundTrip([Int?.none, 4])
        try expectRoundTrip(Int??.some(.none))
        try expectRoundTrip(Set(["a", "b"]))
        try expectRoundTrip(["a": [1, 2], "b": []])
    }

    @Test func `elements that take no bytes survive in numbers`() throws {
        struct Nothing: StreamCodable, Equatable {
            func encode(to writer: inout ByteWriter) {}
            static func decode(from reader: inout ByteReader) throws -> Nothing { Nothing() }
        }
        try expectRoundTrip([Nothing](repeating: Nothing(), count: 100))
        try expectRoundTrip([[Nothing(), Nothing()], [], [Nothing()]])
    }

    @Test func `raw values stand for enumerations`() throws {
        enum Color: String, StreamKey { case red, green }
        try expectRoundTrip(Color.green)
        let bytes = try Codec<String>.of().bytes(of: "blue")
        #expect(throws: CodecError.self) { try Codec<Color>.of().value(of: bytes) }
    }

    @Test func `shapes are stable names`() {
        #expect([String: [Int?]].codecShape == "Dictionary<String,Array<Optional<Int>>>")
        #expect(Codec<(Int, String)>.pair(.of(), .of()).shape == "(Int,String)")
        #expect(Codec<[Double]>.array(.of()).shape == [Double].codecShape)
        #expect(Codec<Double?>.optional(.of()).shape == Optional<Double>.codecShape)
    }

    @Test func `bytes are golden`() throws {
        #expect(try Codec<Int>.of().bytes(of: -65) == [0x81, 0x01])
        #expect(try Codec<UInt16>.of().bytes(of: 300) == [0xAC, 0x02])
        #expect(try Codec<String>.of().bytes(of: "é") == [2, 0xC3, 0xA9])
        #expect(try Codec<Float>.of().bytes(of: 1) == [0, 0, 0x80, 0x3F])
        #expect(try Codec<[Int?]>.of().bytes(of: [nil, 1]) == [2, 0, 1, 2])
    }

    @Test func `a count beyond the bytes reserves nothing and is refused`() {
        let huge: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 1, 2, 3]
        #expect(throws: CodecError.self) { try Codec<[Int]>.of().value(of: huge) }
        #expect(throws: CodecError.self) { try Codec<String>.of().value(of: huge) }
        #expect(throws: CodecError.self) { try Codec<[String: Int]>.of().value(of: huge) }
    }

    @Test func `nesting is limited on both sides`() throws {
        struct Tree: StreamCodable, Equatable {
            var children: [Tree]
            init(depth: Int) { children = depth == 0 ? [] : [Tree(depth: depth - 1)] }
            init(children: [Tree]) { self.children = children }
            func encode(to writer: inout ByteWriter) { children.encode(to: &writer) }
            static func decode(from reader: inout ByteReader) throws -> Tree {
                Tree(children: try .decode(from: &reader))
            }
        }
        let codec = Codec<Tree>.of()
        let deepest = Tree(depth: ByteReader.nestingMaximum - 1)
        #expect(try codec.value(of: codec.bytes(of: deepest)) == deepest)
        let error = #expect(throws: CodecError.self) {
            try codec.bytes(of: Tree(depth: ByteReader.nestingMaximum))
        }
        #expect(error?.code == .nestingTooDeep)
        let hostile = [UInt8](repeating: 1, count: 1_000_000)
        let refusal = #expect(throws: CodecError.self) { try codec.value(of: hostile) }
        #expect(refusal?.code == .nestingTooDeep)
    }

    @Test func `the writer keeps the first failure and can be reused`() throws {
        var writer = ByteWriter()
        writer.fail(CodecError(.encodingFailed, "first"))
        writer.fail(CodecError(.invalidValue, "second"))
        #expect(writer.failure?.message == "first")
        #expect(throws: CodecError.self) { try writer.takeBytes() }
        writer.writeByte(7)
        #expect(try writer.takeBytes() == [7])
        #expect(writer.count == 0)
    }

    @Test func `random bytes never trap`() throws {
        try decodeHostileBytes(.of(), like: [[1, -70, 9_000_000]], seed: 1)
        try decodeHostileBytes(.of(), like: [["a": ["b", "ccc"]], [:]], seed: 2)
        try decodeHostileBytes(.of(), like: [Set([1.0, 2.0]), []], seed: 3)
        try decodeHostileBytes(.of(), like: [Duration.seconds(5)], seed: 4)
        try decodeHostileBytes(.of(), like: [[Character("x"), "é"]], seed: 5)
        try decodeHostileBytes(.of(), like: [[Int8?.some(1), nil]], seed: 6)
    }
}
