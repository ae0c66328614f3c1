import BatchEngine
import DStreamTestKit
import Testing

/// A table that is read in slices, with batches between them, loses and invents nothing.
@Suite struct StateSliceTests {
    private typealias Entries = [Int: Int]

    /// What a reader of slices and changes knows.
    private struct Reader {
        var entries: Entries = [:]
        var cursor = StateSliceCursor()
        /// Through which version changes were read; nil: reading has not begun.
        var through: Int64?

        mutating func readChanges(_ table: StateTable<Int, Int>, through last: Int64) throws {
            guard let since = through, since < last else { return through = last }
            var changes = StateChangeCursor(since: since, through: last)
            var set: Entries = [:]
            while !changes.isDone {
                try table.forEachChange(&changes, count: 7) { key, value, _ in
                    set[key] = value
                } removed: {
                    entries[$0] = nil
                }
            }
            entries.merge(set) { _, new in new }
            through = last
        }

        mutating func readSlice(
            _ table: StateTable<Int, Int>, at version: Int64, count: Int
        ) throws {
            try table.forEachInSlice(&cursor, count: count, at: version) { key, value, _ in
                entries[key] = value
            }
        }
    }

    /// The version a batch leaves, applied to the table and to a dictionary.
    private func apply(
        _ version: Int64, on base: (version: Int64, entries: Entries)?,
        _ table: StateTable<Int, Int>, _ random: inout SeededRandom, removals: Int = 35
    ) throws -> Entries {
        try table.begin(version, on: base?.version, keepingFrom: .min)
        var entries = base?.entries ?? [:]
        for _ in 0..<random.int(0...60) {
            let key = random.int(0...150)
            let place = table.find(key)
            if random.chance(removals) {
                table.remove(at: place)
                entries[key] = nil
            } else {
                let value = random.int(0...1000)
                table.set(key, at: place, to: value)
                entries[key] = value
            }
        }
        table.commit()
        return entries
    }

    @Test func slicesWithTheChangesBetweenThemAreTheWhole() throws {
        for seed in 1...400 {
            var random = SeededRandom(seed)
            let table = StateTable<Int, Int>(hasTimers: seed % 2 == 0)
            var history: [(version: Int64, entries: Entries)] = []
            var reader = Reader()
            var version: Int64 = 0
            let ahead = random.int(0...3)
            // Batches go on, fail and are tried again; what is read stays behind them.
            while !reader.cursor.isDone {
                version += 1
                let known = reader.through ?? 1
                if random.chance(15) {
                    let open = history.count { $0.version > known }
                    history.removeLast(min(open, random.int(1...3)))
                }
                let entries = try apply(version, on: history.last, table, &random)
                if random.chance(5) {
                    try table.begin(version + 1, on: version, keepingFrom: .min)
                    table.remove(at: table.find(random.int(0...150)))
                    table.abort()
                }
                history.append((version, entries))
                guard history.count > ahead + 3, random.chance(70) else { continue }
                let good = history[history.count - 1 - ahead]
                if let through = reader.through, through > good.version { continue }
                try reader.readChanges(table, through: good.version)
                try reader.readSlice(table, at: good.version, count: random.int(1...60))
                if reader.cursor.isDone {
                    #expect(reader.entries == good.entries, "seed \(seed)")
                }
            }
        }
    }

    @Test func denseChangesAreFoundAmongAllKeys() throws {
        var denseCount = 0
        for seed in 1...400 {
            var random = SeededRandom(seed)
            let table = StateTable<Int, Int>(hasTimers: seed % 2 == 0)
            var history: [(version: Int64, entries: Entries)] = []
            for version in 1...random.int(2...6) {
                let entries = try apply(
                    Int64(version), on: history.last, table, &random,
                    removals: seed % 10 == 0 && version > 1 ? 5 : 0)
                history.append((Int64(version), entries))
            }
            let newest = history.count - 1
            let (since, last) = (history[random.int(0...newest - 1)], history[newest])
            let hasShrunk = since.entries.keys.contains { last.entries[$0] == nil }
            guard table.isDense(after: since.version, through: last.version) else { continue }
            #expect(!hasShrunk, "seed \(seed)")
            denseCount += 1
            var (cursor, found) = (StateSliceCursor(), since.entries)
            while !cursor.isDone {
                try table.forEachInSlice(
                    &cursor, count: random.int(1...60), at: last.version, since: since.version
                ) { key, value, updatedAt in
                    #expect(updatedAt > since.version && updatedAt <= last.version)
                    found[key] = value
                }
                // Later batches come, with removals, and some are taken back.
                let base = history[random.int(newest...history.count - 1)]
                history.removeAll { $0.version > base.version }
                let version = (table.version ?? 0) + 1
                history.append((version, try apply(version, on: base, table, &random)))
            }
            #expect(found == last.entries, "seed \(seed)")
        }
        #expect(denseCount > 100)
    }

    @Test func aSliceIsAsLongAsItWasAskedFor() throws {
        let table = StateTable<Int, Int>(hasTimers: false)
        try table.begin(1, on: nil, keepingFrom: .min)
        for key in 0..<1000 { table.set(key, at: table.find(key), to: key) }
        table.commit()
        var cursor = StateSliceCursor()
        var counts: [Int] = []
        while !cursor.isDone {
            var count = 0
            try table.forEachInSlice(&cursor, count: 300, at: 1) { _, _, _ in count += 1 }
            counts.append(count)
        }
        #expect(counts == [300, 300, 300, 100])
    }
}
