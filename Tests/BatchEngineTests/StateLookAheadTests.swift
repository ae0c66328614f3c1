import BatchEngine
import Testing

/// Records of a state that are looked up ahead end as if each had been looked up in its turn.
struct StateLookAheadTests {
    @Test(arguments: 1...4)
    func `a state sees each record after those before it`(seed: Int) throws {
        // Keys come several times while others are held back, are removed, and come again.
        var random = CodecTestRandom(state: UInt64(seed))
        let most = UInt64(10 * seed * seed * seed)
        let words = (0..<10_007).map { _ in "key \(random.next() % most)" }
        let table = StateTable<String, Int>(hasTimers: seed % 2 == 0)
        try table.begin(1, on: nil, keepingFrom: 0)
        var expected: [String: Int] = [:]
        var seen: [Int] = []
        var wanted: [Int] = []
        var ahead = LookAhead<String, Int>()
        func apply(_ key: String, _ hash: UInt64, _ number: Int) {
            let place = table.find(key)
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
            ahead.add(word, number, to: table, apply)
        }
        ahead.finish(apply)
        table.commit()
        #expect(seen == wanted)
        var found: [String: Int] = [:]
        try table.forEach(at: 1) { key, value, _ in found[key] = value }
        #expect(found == expected)
    }
}
