import BatchEngine
import Testing

/// Records that are looked up in groups end as if each had been looked up in its turn.
struct LookAheadTests {
    private func keys(_ seed: Int, _ count: Int, of most: Int) -> [String] {
        var random = CodecTestRandom(state: UInt64(seed))
        return (0..<count).map { _ in "key \(random.next() % UInt64(most))" }
    }

    @Test(arguments: 1...4)
    func `a large table is merged in order`(seed: Int) async throws {
        // Neither commutative nor small; the last group is not full.
        let words = keys(seed, 50_003, of: 20_000 * seed)
        let pairs = words.enumerated().map { ($1, [$0]) }
        var expected: [String: [Int]] = [:]
        for (word, numbers) in pairs { expected[word, default: []] += numbers }
        let context = BatchContext(engine: LocalEngine(slots: 1))
        let merged = try await context.parallelize(pairs, partitions: 2)
            .reduceByKey(partitions: 1) { $0 + $1 }.collect()
        #expect(merged.count == expected.count)
        for (word, numbers) in merged { #expect(numbers == expected[word], "\(word)") }
    }

    @Test(arguments: 1...4)
    func `a state sees each record after those before it`(seed: Int) throws {
        // Keys come several times in a group, are removed, and come again.
        let words = keys(seed, 10_007, of: 10 * seed * seed * seed)
        let table = StateTable<String, Int>(hasTimers: seed % 2 == 0)
        try table.begin(1, on: nil, keepingFrom: 0)
        var expected: [String: Int] = [:]
        var seen: [Int] = []
        var wanted: [Int] = []
        var ahead = LookAhead<String, Int>()
        func apply(_ key: String, _ number: Int, _ place: StateTable<String, Int>.Place) {
            seen.append(table.value(at: place) ?? -1)
            if number % 3 == 0 {
                table.remove(at: place)
            } else {
                table.set(key, at: place, to: number)
            }
        }
        for (number, word) in words.enumerated() {
            wanted.append(expected[word] ?? -1)
            expected[word] = number % 3 == 0 ? nil : number
            ahead.add(word, number, table, apply)
        }
        ahead.finish(table, apply)
        table.commit()
        #expect(seen == wanted)
        var found: [String: Int] = [:]
        try table.forEach(at: 1) { key, value, _ in found[key] = value }
        #expect(found == expected)
    }

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
