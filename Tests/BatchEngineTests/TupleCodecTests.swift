import BatchEngine
import Synchronization
import Testing

private final class NoCodec: Sendable {}

/// Counts the instances that are alive.
private final class Tracked: StreamCodable {
    static let alive = Atomic<Int>(0)
    init() { Self.alive.add(1, ordering: .relaxed) }
    deinit { Self.alive.subtract(1, ordering: .relaxed) }
    func encode(to writer: inout ByteWriter) { writer.writeByte(1) }
    static func decode(from reader: inout ByteReader) throws -> Tracked {
        _ = try reader.readByte()
        return Tracked()
    }
}

@Suite(.serialized)
struct TupleCodecTests {
    private func copy<Value>(_ value: Value) throws -> Value {
        let codec = try #require(Codec<Value>.resolve())
        return try codec.value(of: codec.bytes(of: value))
    }

    @Test func `tuples survive whatever their layout`() throws {
        #expect(try copy((1, "two")) == (1, "two"))
        #expect(try copy((UInt8(1), 2, UInt8(3), 4.5)) == (1, 2, 3, 4.5))
        #expect(try copy((true, Int16(-2), Float(3), Int?.none)) == (true, -2, 3, nil))
        #expect(try copy((name: "a", count: 2)) == ("a", 2))
        let wide = try copy((Int8(1), Int128(2), Bool?.some(true), "a string that is stored apart"))
        #expect(wide == (1, 2, true, "a string that is stored apart"))
    }

    @Test func `nested tuples survive`() throws {
        let value = try copy(("k", (1, ("v", [2, 3]))))
        #expect(value.0 == "k" && value.1.0 == 1 && value.1.1 == ("v", [2, 3]))
        let padded = try copy((UInt8(1), (UInt8(2), UInt16(3)), UInt8(4)))
        #expect(padded.0 == 1 && padded.1 == (2, 3) && padded.2 == 4)
    }

    @Test func `collections of tuples survive`() throws {
        let some = try copy((Int, Int)?.some((1, 2)))
        #expect(try #require(some) == (1, 2))
        #expect(try copy((Int, Int)?.none) == nil)
        let pairs = try copy([("a", 1), ("b", 2)])
        #expect(pairs.map(\.0) == ["a", "b"] && pairs.map(\.1) == [1, 2])
        let group = try copy((["x"], (String, Int)?.some(("y", 3)), [(1, [2])]))
        #expect(group.0 == ["x"] && group.1?.0 == "y" && group.1?.1 == 3 && group.2[0].1 == [2])
        let table = try copy(["k": (1, "one")])
        #expect(try #require(table["k"]) == (1, "one"))
        #expect(try copy([(), (), ()]).count == 3)
    }

    @Test func `layouts agree with the compiler's`() throws {
        // Each element is read at the offset that the run-time description gives for it.
        typealias Odd = (UInt8, UInt32, UInt8, UInt64, UInt16, String?, UInt8)
        let odd: Odd = (1, 2, 3, 4, 5, "six", 7)
        let codec = try #require(Codec<Odd>.resolve())
        #expect(try codec.bytes(of: odd) == [1, 2, 3, 4, 5, 1, 3, 115, 105, 120, 7])
        #expect(codec.shape == "(UInt8,UInt32,UInt8,UInt64,UInt16,Optional<String>,UInt8)")
        #expect(Codec<(Int, (String, [Int]))>.resolve()?.shape == "(Int,(String,Array<Int>))")
    }

    @Test func `a resolved pair has the form of a static one`() throws {
        let resolved = try #require(Codec<(String, Int)>.resolve())
        let composed = Codec.pair(Codec<String>.of(), Codec<Int>.of())
        #expect(try resolved.bytes(of: ("a", 300)) == composed.bytes(of: ("a", 300)))
        #expect(resolved.shape == composed.shape)
    }

    @Test func `a leaf without a codec is named`() {
        #expect(Codec<NoCodec>.resolve() == nil)
        #expect(Codec<(Int, NoCodec)>.resolve() == nil)
        #expect(Codec<(Int, [(String, NoCodec?)])>.resolve() == nil)
        #expect(Codec<[Int: (Int, NoCodec)]>.resolve() == nil)
        #expect(Codec<(Int, () -> Void)>.resolve() == nil)
        #expect(Codec<(Int, any Sendable)>.resolve() == nil)
        let named = Codec<(Int, [(String, NoCodec?)])>.firstTypeWithoutCodec()
        #expect(named.map { ObjectIdentifier($0) } == ObjectIdentifier(NoCodec.self))
        let inDictionary = Codec<[String: (Int, NoCodec)]>.firstTypeWithoutCodec()
        #expect(inDictionary.map { ObjectIdentifier($0) } == ObjectIdentifier(NoCodec.self))
        #expect(Codec<(Int, [(String, Int?)])>.firstTypeWithoutCodec() == nil)
    }

    @Test func `truncated bytes leak nothing`() throws {
        typealias Value = (Tracked, String, (Tracked, [(Tracked, Int)]), Tracked?)
        let codec = try #require(Codec<Value>.resolve())
        do {
            let text = "a string that is stored apart"
            let value: Value = (Tracked(), text, (Tracked(), [(Tracked(), 1)]), Tracked())
            let bytes = try codec.bytes(of: value)
            for count in 0..<bytes.count {
                #expect(throws: CodecError.self) { try codec.value(of: Array(bytes[..<count])) }
            }
            #expect(Tracked.alive.load(ordering: .relaxed) == 4)
            _ = try codec.value(of: bytes)
        }
        #expect(Tracked.alive.load(ordering: .relaxed) == 0)
    }

    @Test func `random bytes never trap`() throws {
        let nested = try #require(Codec<(String, ([Int], (String, Int)?))>.resolve())
        try decodeHostileBytes(nested, like: [("k", ([1, 2], ("v", 3)))], seed: 21)
        let units = try #require(Codec<[((), Int8)]>.resolve())
        try decodeHostileBytes(units, like: [[((), 1)]], seed: 22)
    }
}
