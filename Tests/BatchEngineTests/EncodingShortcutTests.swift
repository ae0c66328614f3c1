import BatchEngine
import Testing

/// What is encoded without detours has the bytes that the detours would have given it.
struct EncodingShortcutTests {
    @Test func `lines are encoded as their strings are`() throws {
        let lines = ["", "a", "Grüße", String(repeating: "x", count: 300)]
        let codec = ErasedCodec(Codec<String>.of())
        let blocks: [PartitionData] = [.lines(LineBlock(lines)), .lines(LineBlock(["z"]))]
        let encoded = try codec.encode(blocks)
        #expect(try encoded == codec.encode([.values(Values(lines + ["z"]))]))
        let mixed = try codec.encode(blocks + [.values(Values(["y"]))])
        #expect(try mixed == codec.encode([.values(Values(lines + ["z", "y"]))]))
    }

    @Test func `pairs are encoded as other tuples are`() throws {
        let labelled = try #require(Codec<(key: String, value: (Int, [Bool]))>.resolve())
        let plain = try #require(Codec<(String, (Int, [Bool]))>.resolve())
        #expect(labelled.shape == plain.shape)
        let bytes = try plain.bytes(of: ("Grüße", (-7, [true])))
        #expect(try labelled.bytes(of: (key: "Grüße", value: (-7, [true]))) == bytes)
        let value = try labelled.value(of: bytes)
        #expect(value.key == "Grüße" && value.value == (-7, [true]))
        #expect(throws: CodecError.self) { try plain.value(of: Array(bytes.dropLast())) }
        // Length 7, "Grüße", -7 as zigzag, one element, true.
        #expect(bytes == [7, 0x47, 0x72, 0xC3, 0xBC, 0xC3, 0x9F, 0x65, 13, 1, 1])
    }

    /// A pair with labels is not among the common ones, so that it is put together from its parts.
    @Test func `common pairs are what is put together from parts`() throws {
        try check(("Grüße", 7), (key: "Grüße", value: 7))
        try check(("a", Int64(-7)), (key: "a", value: Int64(-7)))
        try check(("", 0.5), (key: "", value: 0.5))
        try check(("a", "b"), (key: "a", value: "b"))
        try check((1, -2), (key: 1, value: -2))
        try check((1, "b"), (key: 1, value: "b"))
        try check((300, -0.0), (key: 300, value: -0.0))
        try check(("a", (1, 2)), (key: "a", value: (1, 2)))
        try check(("a", [1, 2]), (key: "a", value: [1, 2]))
        try check(("a", ["b", ""]), (key: "a", value: ["b", ""]))
    }

    private func check<Common, Labelled>(_ common: Common, _ labelled: Labelled) throws {
        let short = try #require(Codec<Common>.resolve())
        let long = try #require(Codec<Labelled>.resolve())
        #expect(short.shape == long.shape)
        let bytes = try long.bytes(of: labelled)
        #expect(try short.bytes(of: common) == bytes)
        #expect(try "\(short.value(of: bytes))" == "\(common)")
    }

    @Test func `a count that the bytes do not hold is refused`() throws {
        let codec = ErasedCodec(Codec<Int>.of())
        for count in [0, 1, 3, Int.max, -1] {
            #expect(throws: CodecError.self, "count \(count)") {
                try codec.decode(EncodedValues(bytes: [2, 4], count: count))
            }
        }
        #expect(try codec.decode(EncodedValues(bytes: [2, 4], count: 2)).count == 2)
    }
}
