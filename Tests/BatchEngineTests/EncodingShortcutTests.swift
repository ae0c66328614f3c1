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
    }
}
