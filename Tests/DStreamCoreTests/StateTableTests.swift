import BatchEngine
import DStreamTestKit
import Testing

/// A key whose hashes all meet in one place.
private struct Meeting: StreamKey, Codable {
    var number: Int
    var stableHash: UInt64 { 7 }
}

/// A table goes back to, shows and tells apart the versions it went through.
@Suite struct StateTableTests {
    private struct Model {
        var version: Int64
        var base: Int64?
        var entries: [Int: (value: Int, time: Int64)]
        var changed: Set<Int>
    }

    private func text(_ entries: [Int: (value: Int, time: Int64)]) -> [String] {
        entries.map { "\($0.key) \($0.value.value) \($0.value.time)" }.sorted()
    }

    private func text<Key: StreamKey>(
        _ table: StateTable<Key, Int>, at version: Int64, _ number: (Key) -> Int
    ) throws -> [String] {
        var lines: [String] = []
        try table.forEach(at: version) { lines.append("\(number($0)) \($1) \($2)") }
        return lines.sorted()
    }

    /// Random batches, of which some are aborted and some rolled back, against dictionaries.
    private func agrees<Key: StreamKey>(
        seed: Int, hasTimers: Bool, _ key: (Int) -> Key, _ number: (Key) -> Int
    ) throws {
        var random = SeededRandom(seed)
        let table = StateTable<Key, Int>(hasTimers: hasTimers)
        var history: [Model] = []
        let keys = random.int(1...400)
        for batch in 1...40 {
            let version = Int64(batch) * 1000
            // Usually the newest version, sometimes an older one.
            if random.chance(15) { history.removeLast(min(history.count, random.int(1...3))) }
            let base = history.last
            try table.begin(version, on: base?.version, keepingFrom: .min)
            var entries = base?.entries ?? [:]
            var changed: Set<Int> = []
            for _ in 0..<random.int(0...(2 * keys)) {
                let name = random.int(0...keys)
                let place = table.find(key(name))
                if table.value(at: place) != entries[name]?.value {
                    Issue.record("key \(name) in batch \(batch) of seed \(seed)")
                }
                switch random.int(0...9) {
                case 0...5:
                    let value = random.int(0...1000)
                    table.set(key(name), at: place, to: value)
                    entries[name] = (value, version)
                case 6 where place.isFound:
                    table.renew(at: place)
                    entries[name]?.time = version
                default:
                    table.remove(at: place)
                    if entries.removeValue(forKey: name) == nil { continue }
                }
                changed.insert(name)
            }
            if hasTimers, random.chance(30) {
                let limit = version - Int64(random.int(0...4)) * 1000
                var fired: [Int] = []
                try table.removeDue(before: limit) { key, _ in fired.append(number(key)) }
                let due = entries.filter { $0.value.time < limit }.map(\.key)
                #expect(fired.sorted() == due.sorted())
                for name in due { entries[name] = nil }
                changed.formUnion(due)
            }
            if random.chance(15) {
                table.abort()
            } else {
                table.commit()
                if base == nil { changed = Set(entries.keys) }
                history.append(
                    Model(
                        version: version, base: base?.version, entries: entries, changed: changed))
            }
            #expect(table.count == history.last?.entries.count ?? 0)
            if let seen = history.randomElement(using: &random) {
                #expect(
                    try text(table, at: seen.version, number) == text(seen.entries))
                let last = history.firstIndex { $0.version == seen.version } ?? 0
                let first = random.int(0...last)
                try expectChanges(
                    table, from: first == 0 ? nil : history[first - 1], to: seen,
                    count: random.int(1...200), number)
            }
        }
    }

    /// Applying what is said to have changed since an earlier version gives the later one.
    private func expectChanges<Key: StreamKey>(
        _ table: StateTable<Key, Int>, from earlier: Model?, to later: Model, count: Int,
        _ number: (Key) -> Int
    ) throws {
        var entries = earlier?.entries ?? [:]
        var said: Set<Int> = []
        var set: [Int: (value: Int, time: Int64)] = [:]
        var cursor = StateChangeCursor(
            since: earlier?.version ?? .min, through: later.version)
        while !cursor.isDone {
            try table.forEachChange(&cursor, count: count) { key, value, updatedAt in
                set[number(key)] = (value, updatedAt)
            } removed: { key in
                entries[number(key)] = nil
                said.insert(number(key))
            }
        }
        entries.merge(set) { _, new in new }
        said.formUnion(set.keys)
        #expect(text(entries) == text(later.entries))
        #expect(said.isSuperset(of: later.changed))
        let allowed = earlier.map { Set($0.entries.keys) } ?? []
        #expect(set.keys.allSatisfy { later.entries[$0] != nil || allowed.contains($0) })
    }

    @Test(arguments: [false, true])
    func versionsAgreeWithDictionaries(hasTimers: Bool) throws {
        let histories = 60.testRounds
        for seed in 1...histories {
            try agrees(
                seed: seed, hasTimers: hasTimers, { "key \($0)" }, { Int($0.dropFirst(4)) ?? 0 })
        }
        print("state table: \(histories) histories of 40 batches, timers \(hasTimers)")
    }

    @Test func keysWithOneHashAreToldApart() throws {
        for seed in 1...3 {
            try agrees(seed: seed, hasTimers: true, { Meeting(number: $0) }, { $0.number })
        }
    }

    @Test func growthMovesFewKeysAtATime() throws {
        let table = StateTable<Int, Int>(hasTimers: true)
        try table.begin(1, on: nil, keepingFrom: .min)
        for key in 0..<100_000 { table.set(key, at: table.find(key), to: key) }
        table.commit()
        try table.begin(2, on: 1, keepingFrom: 1)
        for key in stride(from: 0, to: 100_000, by: 3) { table.remove(at: table.find(key)) }
        table.commit()
        #expect(table.count == 66_666)
        for key in 0..<100_000 {
            #expect(table.value(at: table.find(key)) == (key % 3 == 0 ? nil : key))
        }
        try table.rollBack(to: 1)
        #expect(table.count == 100_000)
    }

    @Test func onlyKeptVersionsCanBeAskedFor() throws {
        let table = StateTable<String, Int>(hasTimers: false)
        for version: Int64 in 1...5 {
            try table.begin(
                version, on: version == 1 ? nil : version - 1, keepingFrom: version - 2)
            table.set("a", at: table.find("a"), to: Int(version))
            table.commit()
        }
        #expect(table.usage.undoLogCount == 2)
        #expect(try text(table, at: 3) { _ in 0 } == ["0 3 3"])
        #expect(throws: EngineError.self) { try table.forEach(at: 2) { _, _, _ in } }
        #expect(throws: EngineError.self) { try table.rollBack(to: 1) }
        #expect(table.versions(after: 2, through: 5) == nil)
        // Nothing was changed by asking.
        #expect(table.version == 5)
    }

    @Test func aSnapshotMakesATable() throws {
        let table = StateTable<String, Int>(version: 9, hasTimers: true)
        table.load("a", 1, updatedAt: 3)
        table.load("b", 2, updatedAt: 9)
        table.load("b", 4, updatedAt: 8)
        try table.begin(10, on: 9, keepingFrom: 9)
        var fired: [String] = []
        try table.removeDue(before: 8) { key, _ in fired.append(key) }
        table.commit()
        #expect(fired == ["a"])
        #expect(try text(table, at: 9) { $0 == "a" ? 1 : 2 } == ["1 1 3", "2 4 8"])
        #expect(throws: EngineError.self) { try table.begin(10, on: 8, keepingFrom: 8) }
    }
}
