import BatchEngine
import DStreamTestKit
import Synchronization
import Testing

private struct Refusal: Error {}

/// A value that counts the instances alive in its own counter.
private final class Tracked: Sendable {
    final class Counter: Sendable { let alive = Atomic<Int>(0) }
    let number: Int
    let counter: Counter
    init(_ number: Int, _ counter: Counter) {
        self.number = number
        self.counter = counter
        counter.alive.add(1, ordering: .relaxed)
    }
    deinit { counter.alive.subtract(1, ordering: .relaxed) }
}

/// A key whose hashes all meet in one slot.
private struct Colliding: StreamKey, Codable {
    var number: Int
    var stableHash: UInt64 { 5 }
}

struct AggregationTableTests {
    @Test(arguments: 1...8)
    func `it agrees with a dictionary`(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let table = AggregationTable<String, Int>(minimumCapacity: seed % 2 == 0 ? 0 : 1_000)
        for _ in 0..<2 {
            var model: [String: Int] = [:]
            var order: [String] = []
            for _ in 0..<5_000 {
                let number = Int.random(in: 0..<800, using: &random)
                let key = String(repeating: "k", count: number % 20) + "\(number)"
                if model[key] == nil { order.append(key) }
                switch Int.random(in: 0..<3, using: &random) {
                case 0: table.merge(key, number, &+)
                case 1: table.update(key, default: 0) { $0 &+= number }
                default: table.mergeValue(key, number, create: { $0 }, mergeValue: &+)
                }
                model[key, default: 0] &+= number
            }
            #expect(table.count == model.count)
            for (key, value) in model { #expect(table[key] == value) }
            #expect(table["absent"] == nil)
            var seen: [String] = []
            table.forEach { key, value in
                seen.append(key)
                #expect(model[key] == value)
            }
            #expect(seen == order)
            var drained: [String] = []
            table.drain { key, _ in drained.append(key) }
            #expect(drained == order)
            #expect(table.isEmpty)
        }
    }

    @Test func `it grows from nothing and keeps reserved room`() {
        let table = AggregationTable<Int, Int>()
        for number in 0..<100_000 { table.merge(number, number, +) }
        #expect(table.count == 100_000)
        #expect((0..<100_000).allSatisfy { table[$0] == $0 })
        let capacity = table.capacity
        table.removeAll()
        #expect(table.isEmpty && table.capacity == capacity && table[5] == nil)
        table.removeAll(keepingCapacity: false)
        #expect(table.capacity < capacity)
        table.merge(1, 1, +)
        table.reserveCapacity(5_000)
        #expect(table.capacity >= 5_000 && table[1] == 1)
    }

    @Test func `keys with one hash stay apart`() {
        let table = AggregationTable<Colliding, Int>()
        for round in 0..<3 {
            for number in 0..<100 { table.merge(Colliding(number: number), round, +) }
        }
        #expect(table.count == 100)
        #expect((0..<100).allSatisfy { table[Colliding(number: $0)] == 3 })
    }

    @Test func `keys are told apart as keys`() {
        let strings = AggregationTable<String, Int>()
        for key in ["caf\u{e9}", "cafe\u{301}", "caf\u{e9}"] { strings.merge(key, 1, +) }
        #expect(strings.count == 2 && strings["caf\u{e9}"] == 2)
        let numbers = AggregationTable<Double, Int>()
        for key in [0.0, -0.0, .nan, -.nan] { numbers.merge(key, 1, +) }
        #expect(numbers.count == 2 && numbers[.nan] == 2)
    }

    @Test func `a closure that throws leaves a sound table`() {
        let counter = Tracked.Counter()
        do {
            let table = AggregationTable<String, Tracked>()
            for number in 0..<50 {
                table.merge("key number \(number)", Tracked(number, counter)) { old, _ in old }
            }
            let key = "key number 7"
            #expect(throws: Refusal.self) {
                try table.merge(key, Tracked(0, counter)) { _, _ in throw Refusal() }
            }
            #expect(throws: Refusal.self) {
                try table.mergeValue(
                    "a new one", 1, create: { _ in throw Refusal() }, mergeValue: { old, _ in old })
            }
            #expect(throws: Refusal.self) {
                try table.update("a new one", default: Tracked(1, counter)) { _ in throw Refusal() }
            }
            #expect(throws: Refusal.self) {
                try table.update(key, default: Tracked(1, counter)) { value in
                    value = Tracked(70, counter)
                    throw Refusal()
                }
            }
            #expect(table.count == 50 && table["a new one"] == nil)
            #expect(table[key]?.number == 70)
            #expect(counter.alive.load(ordering: .relaxed) == 50)
            var taken = 0
            #expect(throws: Refusal.self) {
                try table.drain { _, _ in
                    taken += 1
                    if taken == 20 { throw Refusal() }
                }
            }
            #expect(table.isEmpty)
            #expect(counter.alive.load(ordering: .relaxed) == 0)
            table.merge(key, Tracked(1, counter)) { old, _ in old }
            #expect(table[key]?.number == 1)
        }
        #expect(counter.alive.load(ordering: .relaxed) == 0)
    }

    @Test func `growing and clearing keep each value once`() {
        let counter = Tracked.Counter()
        let table = AggregationTable<Int, Tracked>()
        for number in 0..<3_000 {
            table.merge(number % 1_000, Tracked(number, counter)) { _, new in new }
        }
        #expect(counter.alive.load(ordering: .relaxed) == 1_000)
        table.removeAll()
        #expect(counter.alive.load(ordering: .relaxed) == 0)
    }

    @Test func `draining may fill the table again`() {
        let table = AggregationTable<Int, Int>()
        for number in 0..<100 { table.merge(number, number, +) }
        table.drain { key, value in table.merge(key % 10, value, +) }
        #expect(table.count == 10)
        #expect(table[3] == stride(from: 3, to: 100, by: 10).reduce(0, +))
    }
}
