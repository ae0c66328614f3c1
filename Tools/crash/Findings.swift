import BatchEngine

/// What the outputs of a run say, compared with what was acknowledged.
struct Findings {
    var acknowledged = 0
    var lost: [Int] = []
    var doubled: [Int] = []
    var mismatches: [String] = []
    var wrongWindows: [String] = []
    var wrongStates: [String] = []
    /// Batches in between that have no output.
    var missing: [String] = []
    var batchCount = 0

    var isGood: Bool {
        lost.isEmpty && doubled.isEmpty && mismatches.isEmpty && wrongWindows.isEmpty
            && wrongStates.isEmpty && missing.isEmpty
    }

    init(_ directory: String, acknowledged: Int, sendCounts: [UInt8]) throws {
        self.acknowledged = acknowledged
        let raw = try Self.batches(directory, "raw")
        batchCount = raw.count
        if FileSystem.exists(directory + "/mismatches") {
            mismatches = try Self.lines(directory + "/mismatches")
        }
        compareNumbers(raw, sendCounts)
        let words = raw.mapValues { lines in
            var counts: [String: Int] = [:]
            for line in lines {
                counts[line.split(separator: " ").last.map(String.init) ?? "", default: 0] += 1
            }
            return counts
        }
        guard let first = words.keys.min(), let last = words.keys.max() else { return }
        let times = Array(stride(from: first, through: last, by: KilledProgram.batchMilliseconds))
        missing = times.filter { raw[$0] == nil }.map { "\($0)" }
        try compareWindows(directory, words, times)
        try compareStates(directory, words, times)
    }

    private mutating func compareNumbers(_ raw: [Int: [String]], _ sendCounts: [UInt8]) {
        var seen = [Int](repeating: 0, count: sendCounts.count)
        for line in raw.values.joined() {
            guard let number = line.split(separator: " ").first.flatMap({ Int($0) }),
                seen.indices.contains(number)
            else { continue }
            seen[number] += 1
        }
        guard acknowledged > 0 else { return }
        lost = (1...acknowledged).filter { seen[$0] == 0 }
        doubled = (1...acknowledged).filter { seen[$0] > 1 && sendCounts[$0] == 1 }
    }

    private mutating func compareWindows(
        _ directory: String, _ words: [Int: [String: Int]], _ times: [Int]
    ) throws {
        for name in ["window", "inverse"] {
            let outputs = try Self.batches(directory, name)
            for time in times {
                var expected: [String: Int] = [:]
                for back in 0..<KilledProgram.windowBatches {
                    let pane = words[time - back * KilledProgram.batchMilliseconds] ?? [:]
                    expected.merge(pane, uniquingKeysWith: +)
                }
                let found = outputs[time].map(Self.counts)
                // The form with an inverse keeps words that have left the window, with 0.
                if found?.filter({ $0.value != 0 }) != expected {
                    let problem = found.map { Self.difference($0, expected) } ?? "no output"
                    wrongWindows.append("\(name) \(time): \(problem)")
                }
            }
        }
    }

    private mutating func compareStates(
        _ directory: String, _ words: [Int: [String: Int]], _ times: [Int]
    ) throws {
        let (states, counted) = (
            try Self.batches(directory, "states"), try Self.batches(directory, "counted")
        )
        var sums: [String: Int] = [:]
        for time in times {
            var expectedLines: [String] = []
            for (word, count) in words[time] ?? [:] {
                let before = sums[word] ?? 0
                expectedLines += (1...count).map { "\(word) \(before + $0)" }
                sums[word] = before + count
            }
            let found = states[time].map(Self.counts)
            if found != sums {
                let problem = found.map { Self.difference($0, sums) } ?? "no output"
                wrongStates.append("states \(time): \(problem)")
            }
            if counted[time] != expectedLines.sorted() { wrongStates.append("counted \(time)") }
        }
    }

    private static func difference(_ found: [String: Int], _ expected: [String: Int]) -> String {
        let words = Set(found.keys).union(expected.keys).sorted().filter {
            found[$0] ?? 0 != expected[$0] ?? 0
        }
        return words.prefix(4).map {
            "\($0) is \(found[$0] ?? 0), not \(expected[$0] ?? 0)"
        }.joined(separator: ", ") + (words.count > 4 ? ", and \(words.count - 4) more" : "")
    }

    private static func counts(_ lines: [String]) -> [String: Int] {
        var counts: [String: Int] = [:]
        for line in lines {
            let parts = line.split(separator: " ")
            if parts.count == 2, let count = Int(parts[1]) { counts[String(parts[0])] = count }
        }
        return counts
    }

    private static func lines(_ path: String) throws -> [String] {
        try FileSystem.readAll(path).split(separator: 10).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    /// The whole files of an output, by batch time.
    private static func batches(_ directory: String, _ name: String) throws -> [Int: [String]] {
        let folder = "\(directory)/out-\(name)"
        guard FileSystem.exists(folder) else { return [:] }
        var batches: [Int: [String]] = [:]
        for file in try FileSystem.list(folder) {
            if let time = Int(file) { batches[time] = try lines("\(folder)/\(file)") }
        }
        return batches
    }
}
