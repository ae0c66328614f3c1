import BatchEngine
import Synchronization
import Testing

/// Keys that were made up to collide cost a bounded number of steps each.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CollidingKeyTests {
    /// A key with a hash of choice, which counts how often keys are compared.
    private struct Chosen: StreamKey {
        static let comparisons = Atomic<Int>(0)
        let number: Int
        let hash: UInt64

        var stableHash: UInt64 { hash }

        static func isSameKey(_ left: Chosen, _ right: Chosen) -> Bool {
            comparisons.wrappingAdd(1, ordering: .relaxed)
            return left.number == right.number
        }
        func encode(to writer: inout ByteWriter) { number.encode(to: &writer) }
        static func decode(from reader: inout ByteReader) throws -> Chosen {
            Chosen(number: try .decode(from: &reader), hash: 0)
        }
    }

    /// How hashes collide.
    enum Collision: CaseIterable {
        /// In all bits.
        case wholly
        /// In the bits that choose a slot.
        case inLowBits
        /// Not at all, but side by side, so that a look-up passes all of them.
        case sideBySide

        func hash(_ number: Int) -> UInt64 {
            switch self {
            case .wholly: 7
            case .inLowBits: UInt64(number) << 24
            case .sideBySide: UInt64(number / 2)
            }
        }
    }

    private static let count = 10_000

    private func keys(_ collision: Collision) -> [Chosen] {
        (0..<Self.count).map { Chosen(number: $0, hash: collision.hash($0)) }
    }

    @Test(arguments: Collision.allCases)
    func aggregationTablesStayFast(collision: Collision) {
        let keys = keys(collision)
        let table = AggregationTable<Chosen, Int>()
        Chosen.comparisons.store(0, ordering: .relaxed)
        for _ in 0..<2 { for key in keys { table.merge(key, 1, +) } }
        // 128 collide before the table hashes with a secret; tags of 32 bits hardly ever do then.
        #expect(Chosen.comparisons.load(ordering: .relaxed) < 128 * 128 + 2 * Self.count)
        #expect(table.longestProbe <= 128)
        #expect(table.count == Self.count)
        #expect(keys.allSatisfy { table[$0] == 2 })
        #expect(table[Chosen(number: -1, hash: 7)] == nil)
        var order: [Int] = []
        table.drain { key, value in order.append(key.number * value) }
        #expect(order == keys.map { $0.number * 2 })
        // The memory is used again.
        for key in keys { table.merge(key, 1, +) }
        #expect(table.longestProbe <= 128 && table.count == Self.count)
    }

    /// Looking for what is not there must not pass everything that is, either.
    @Test func missesStayFast() {
        let table = AggregationTable<Chosen, Int>(minimumCapacity: Self.count)
        for number in 0..<Self.count {
            table.merge(Chosen(number: number, hash: UInt64(number)), 1, +)
        }
        #expect(table[Chosen(number: -1, hash: 0)] == nil)
        #expect(table.updateExisting(Chosen(number: -2, hash: 0)) { $0 += 1 } == false)
        #expect((0..<Self.count).allSatisfy { table[Chosen(number: $0, hash: UInt64($0))] == 1 })
        #expect(table.isHashingWithSecret)
    }

    @Test func ordinaryKeysNeedNoSecret() {
        let numbers = AggregationTable<Int, Int>()
        let words = AggregationTable<String, Int>()
        let state = StateTable<Int, Int>(hasTimers: false)
        for number in 0..<200_000 {
            numbers.merge(number, 1, +)
            words.merge("word \(number)", 1, +)
            state.set(number, at: state.find(number), to: 1)
        }
        #expect(!numbers.isHashingWithSecret && !words.isHashingWithSecret)
        #expect(!state.isHashingWithSecret)
    }

    @Test(arguments: Collision.allCases)
    func stateTablesStayFast(collision: Collision) throws {
        let keys = keys(collision)
        let table = StateTable<Chosen, Int>(hasTimers: true)
        Chosen.comparisons.store(0, ordering: .relaxed)
        try table.begin(1, on: nil, keepingFrom: 0)
        for key in keys { table.set(key, at: table.find(key), to: 1) }
        table.commit()
        try table.begin(2, on: 1, keepingFrom: 0)
        for key in keys.dropFirst(Self.count / 2) { table.remove(at: table.find(key)) }
        for key in keys.prefix(10) { table.set(key, at: table.find(key), to: 2) }
        table.commit()
        #expect(Chosen.comparisons.load(ordering: .relaxed) < 513 * 513 + 4 * Self.count)
        #expect(table.longestProbe <= 512)
        #expect(table.count == Self.count / 2)
        for (number, key) in keys.enumerated() {
            let expected = number < 10 ? 2 : number < Self.count / 2 ? 1 : nil
            #expect(table.value(at: table.find(key)) == expected)
        }
        // Back to the batch before: what was found by a secret is put back, too.
        try table.begin(3, on: 1, keepingFrom: 0)
        #expect(table.count == Self.count)
        #expect(keys.allSatisfy { table.value(at: table.find($0)) == 1 })
        table.commit()
    }

    /// Strings of one hash, made as anybody can: a word of the text that makes a factor zero.
    private func strings(_ count: Int) throws -> [String] {
        func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
            let product = left.multipliedFullWidth(by: right)
            return product.high ^ product.low
        }
        func word(_ text: String) -> UInt64 {
            text.utf8.reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        for number in 0..<100_000 {
            let digits = String(number)
            let start = "prefix  " + String(repeating: "0", count: 8 - digits.count) + digits
            let seed = fold(
                word(String(start.prefix(8))) ^ 0xa076_1d64_78bd_642f,
                word(String(start.suffix(8))) ^ 0x8ebc_6af0_9c88_c6e3)
            let bytes = (0..<8).map { UInt8(truncatingIfNeeded: seed >> (8 * UInt64($0))) }
            guard bytes.allSatisfy({ (32..<127).contains($0) }) else { continue }
            let zero = String(decoding: bytes, as: UTF8.self)
            let tail = "the same end ..."
            return (0..<count).map { start + String(10_000_000 + $0) + zero + tail }
        }
        throw Boom(number: 0)
    }

    /// One stream of made-up words: the same sums, in the order in which the keys came.
    @Test func madeUpStringsAreCounted() async throws {
        let strings = try strings(5000)
        #expect(Set(strings.map(\.stableHash)).count == 1)
        let table = AggregationTable<String, Int>()
        for string in strings { table.merge(string, 1, +) }
        #expect(table.longestProbe <= 128)
        let counts = try await BatchContext.parallel()
            .parallelize(strings + strings, partitions: 3).map { ($0, 1) }.reduceByKey(+).collect()
        #expect(counts.map(\.0) == strings)
        #expect(counts.allSatisfy { $0.1 == 2 })
    }
}
