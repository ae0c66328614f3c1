/// What windows and states must say, from the words of each batch: naive, and without recovery.
struct WordModel {
    typealias Counts = [String: Int]

    /// The words of each batch, counted.
    let words: [Int: Counts]
    /// All batch times, without gaps.
    let times: [Int]

    /// The sums of so many batches, at each batch.
    func windows(of count: Int) -> [Int: Counts] {
        var windows: [Int: Counts] = [:]
        var sums: Counts = [:]
        for time in times {
            for (word, some) in words[time] ?? [:] { sums[word, default: 0] += some }
            let gone = time - count * KilledProgram.batchMilliseconds
            for (word, some) in words[gone] ?? [:] {
                sums[word] = sums[word] == some ? nil : (sums[word] ?? 0) - some
            }
            windows[time] = sums
        }
        return windows
    }

    /// The sums since the beginning, at each batch.
    func totals() -> [Int: Counts] {
        var totals: [Int: Counts] = [:]
        var sums: Counts = [:]
        for time in times {
            sums.merge(words[time] ?? [:], uniquingKeysWith: +)
            totals[time] = sums
        }
        return totals
    }

    /// A line for each record: its word, and the sum with it.
    func counted() -> [Int: [String]] {
        var lines: [Int: [String]] = [:]
        var sums: Counts = [:]
        for time in times {
            var batch: [String] = []
            for (word, count) in words[time] ?? [:] {
                let before = sums[word, default: 0]
                batch += (1...count).map { "\(word) \(before + $0)" }
                sums[word] = before + count
            }
            lines[time] = batch.sorted()
        }
        return lines
    }

    /// The same with sums that end when the word does not come for a while, and a line that says so.
    func visits() -> [Int: [String]] {
        var lines: [Int: [String]] = [:]
        var visits: [String: (sum: Int, last: Int)] = [:]
        let idle = KilledProgram.idleBatches * KilledProgram.batchMilliseconds
        for time in times {
            var batch: [String] = []
            for (word, count) in words[time] ?? [:] {
                let before = visits[word]?.sum ?? 0
                batch += (1...count).map { "\(word) \(before + $0)" }
                visits[word] = (before + count, time)
            }
            for (word, visit) in visits where visit.last < time - idle {
                batch.append("\(word) left \(visit.sum)")
                visits[word] = nil
            }
            lines[time] = batch.sorted()
        }
        return lines
    }
}
