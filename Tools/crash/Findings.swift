import BatchEngine

/// What the outputs of a run say, compared with what was acknowledged.
struct Findings {
    /// Records that were acknowledged, counted once for each connection.
    var acknowledged = 0
    /// Records that were stored and, as their acknowledgement was cut off, sent and stored again.
    var resent = 0
    /// Acknowledged records that an output does not have.
    var lost: [String] = []
    /// Records that an exactly-once output has twice.
    var doubled: [String] = []
    /// Files of a sink that belong to no batch.
    var stray: [String] = []
    /// Records that were not sent.
    var unknown: [String] = []
    /// Batches that gave something else when they ran again.
    var mismatches: [String] = []
    var wrongWindows: [String] = []
    var wrongStates: [String] = []
    /// Batches in between that have no output.
    var missing: [String] = []
    /// Batches that ran though a checkpoint says that they had completed.
    var again: [String] = []
    var batchCount = 0

    /// What may not be there.
    var problems: [(name: String, list: [String])] {
        [
            ("lost", lost), ("doubled", doubled), ("stray files", stray), ("unknown", unknown),
            ("mismatches", mismatches),
            ("wrong windows", wrongWindows), ("wrong states", wrongStates),
            ("missing batches", missing), ("run again", again),
        ]
    }

    init(
        _ outputs: Outputs, _ deliveries: [NumberSource.Delivery], _ checkpoints: [LastCheckpoint]
    ) async throws {
        let ran = try outputs.lines(in: "ran")
        for (number, checkpoint) in checkpoints.enumerated() {
            let isLast = number + 1 == checkpoints.count
            let end = isLast ? ran.count : checkpoints[number + 1].ranCount
            again += checkpoint.again(in: ran[checkpoint.ranCount..<end])
        }
        mismatches = try outputs.lines(in: "mismatches")
        let raw = try await outputs.committed("raw")
        batchCount = raw.count
        for name in ["raw", "states"] { stray += try await outputs.strays(name) }
        compare("files", Array(raw.values.joined()), deliveries, isOnce: true)
        if Database.isBuilt {
            let lines = try Database.lines(in: outputs.directory)
            compare("database", lines, deliveries, isOnce: true)
        }
        compare(
            "appended", try outputs.lines(in: "appended"), deliveries, isOnce: false,
            torn: checkpoints.count)
        guard let first = raw.keys.min(), let last = raw.keys.max() else { return }
        let times = Array(stride(from: first, through: last, by: KilledProgram.batchMilliseconds))
        missing = times.filter { raw[$0] == nil }.map { "\($0)" }
        for (time, lines) in try outputs.saved("raw") where lines != raw[time]?.sorted() {
            mismatches.append("raw \(time): not what the file sink has")
        }
        let words = raw.mapValues { lines in
            Self.counts(lines.map { "\($0.split(separator: " ").last ?? "") 1" })
        }
        let model = WordModel(words: words, times: times)
        for (name, count) in [
            ("short", KilledProgram.shortWindow), ("long", KilledProgram.longWindow),
        ] {
            let expected = model.windows(of: count)
            for output in [name, "inverse-" + name] {
                // The form with an inverse keeps words that have left the window, with 0.
                let found = try outputs.saved(output).mapValues { lines in
                    Self.counts(lines).filter { $0.value != 0 }
                }
                wrongWindows += Self.differences(output, found, expected)
            }
        }
        let totals = model.totals()
        for (name, found) in [
            ("states", try await outputs.committed("states")),
            ("totals", try outputs.saved("totals")),
        ] { wrongStates += Self.differences(name, found.mapValues(Self.counts), totals) }
        for (name, expected) in [("counted", model.counted()), ("visits", model.visits())] {
            let found = try outputs.saved(name)
            wrongStates += times.filter { found[$0] != expected[$0] }.map { "\(name) \($0)" }
        }
    }

    /// Compares the records of an output with what was sent.
    ///
    /// - Parameter torn: how many lines may have been cut short by kills. The batches ran again, so
    ///   that each of them is there as a whole, too.
    private mutating func compare(
        _ name: String, _ lines: [String], _ deliveries: [NumberSource.Delivery], isOnce: Bool,
        torn: Int = 0
    ) {
        var strange: [String] = []
        var seen = deliveries.map { [Int](repeating: 0, count: max(0, $0.sent - $0.first + 1)) }
        for line in lines {
            let parts = line.split(separator: " ")
            guard parts.count == 3, let number = Int(parts[0]), let connection = Int(parts[1]),
                deliveries.indices.contains(connection),
                seen[connection].indices.contains(number - deliveries[connection].first),
                parts[2] == NumberSource.word(number)
            else {
                strange.append(line)
                continue
            }
            seen[connection][number - deliveries[connection].first] += 1
        }
        let isTorn =
            strange.count <= torn
            && strange.allSatisfy { cut in
                lines.contains { $0.hasPrefix(cut) && $0 != cut }
            }
        if !isTorn { unknown += strange.map { "\(name): \($0)" } }
        (acknowledged, resent) = (0, 0)
        for (connection, delivery) in deliveries.enumerated() {
            for (index, count) in seen[connection].enumerated() {
                let number = delivery.first + index
                let isAcknowledged = number <= delivery.acknowledged
                if isAcknowledged { acknowledged += 1 } else if count > 0 { resent += 1 }
                let place = "\(name): record \(number) of connection \(connection)"
                if isAcknowledged, count == 0 { lost.append(place) }
                if isOnce, count > 1 { doubled.append(place) }
            }
        }
    }

    private static func differences(
        _ name: String, _ found: [Int: [String: Int]], _ expected: [Int: [String: Int]]
    ) -> [String] {
        expected.sorted { $0.key < $1.key }.compactMap { time, expected in
            guard let found = found[time] else { return "\(name) \(time): no output" }
            if found == expected { return nil }
            return "\(name) \(time): \(difference(found, expected))"
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

    /// The sums of `WORD NUMBER` lines.
    private static func counts(_ lines: [String]) -> [String: Int] {
        var counts: [String: Int] = [:]
        for line in lines {
            let parts = line.split(separator: " ")
            if parts.count == 2, let count = Int(parts[1]) {
                counts[String(parts[0]), default: 0] += count
            }
        }
        return counts
    }
}
