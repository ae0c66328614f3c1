import BatchEngine
import DStreamTestKit
import Testing

/// Records of a state that are looked up ahead end as if each had been looked up in its turn.
struct StateLookAheadTests {
    @Test(arguments: 1...4)
    func `a state sees each record after those before it`(seed: Int) throws {
        // Keys come several times while others are held back, are removed, and come again.
        var random = SeededRandom(seed: UInt64(seed))
        let most = UInt64(3_000 * seed)
        let words = (0..<30_007).map { _ in "key \(random.next() % most)" }
        let table = StateTable<String, Int>(hasTimers: seed % 2 == 0)
        try table.begin(1, on: nil, keepingFrom: 0)
        var expected: [String: Int] = [:]
        var seen: [Int] = []
        var wanted: [Int] = []
        var ahead = LookAhead<String, Int>()
        var heldBack = 0
        // At first the table grows; in the end it is so small that nothing is held back any more.
        func isRemoved(_ number: Int) -> Bool { number > 10_000 && number % 3 != 1 }
        func apply(_ key: String, _ hash: UInt64, _ number: Int) {
            let place = table.find(key, hash: hash)
            seen.append(table.value(at: place) ?? -1)
            if isRemoved(number) {
                table.remove(at: place)
            } else {
                table.set(key, at: place, to: number)
            }
        }
        for (number, word) in words.enumerated() {
            wanted.append(expected[word] ?? -1)
            expected[word] = isRemoved(number) ? nil : number
            ahead.add(word, number, to: table, apply)
            if seen.count <= number { heldBack += 1 }
        }
        ahead.finish(apply)
        #expect(heldBack > 1_000)
        table.commit()
        #expect(seen == wanted)
        var found: [String: Int] = [:]
        try table.forEach(at: 1) { key, value, _ in found[key] = value }
        #expect(found == expected)
    }
}
