import BatchEngine

/// The family about the map that holds the state of a partition: our table, a version per change.
enum StateMapConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("state_map", pipelines: ["stateMap"]) { piece in
            var run = try StateMapRun()
            return try piece.takeSteps().differences { try run.perform(&$0) }
        }
    }
}

/// One run of steps.
///
/// Spark copies the map for each batch; a copy of ours is a version. An update in a step has a time
/// of its own, where a batch's updates all have the batch's: so each change is a version, too.
/// Versions count changes; when each was said to be is kept here.
private struct StateMapRun {
    private let table = StateTable<String, Int>(hasTimers: true)
    private var copies: [Int64] = []
    /// The update time of each version; the first is that of the empty map.
    private var times: [Int64] = [.min]

    init() throws {
        try table.begin(0, on: nil, keepingFrom: .min)
        table.commit()
    }

    mutating func perform(_ step: inout PieceStep) throws {
        switch try step.takeString("do") {
        case "put":
            let key = try step.takeString("key")
            let state = Int(try step.takeInt("state"))
            let time = try step.takeInt("updateTime")
            try step.expect("result", .null)
            // Batches come one after the other: the table's timers rely on it.
            guard time >= times[times.count - 1] else {
                throw PieceStep.Malformed(description: "an update in the past: \(time)")
            }
            try apply(time) { [table] in table.set(key, at: table.find(key), to: state) }
        case "remove":
            let key = try step.takeString("key")
            try step.expect("result", .null)
            try apply(times[times.count - 1]) { [table] in table.remove(at: table.find(key)) }
        case "get":
            let place = table.find(try step.takeString("key"))
            try step.expect("result", table.value(at: place).map { .int(Int64($0)) } ?? .null)
        case "getAll": try step.expect("result", try all(at: newest))
        case "getByTime": try step.expect("result", try due(try step.takeInt("threshold")))
        case "copy":
            copies.append(newest)
            try step.expect("result", .null)
        case "getAllOfOriginal":
            let index = Int(try step.takeInt("index"))
            guard copies.indices.contains(index) else {
                throw PieceStep.Malformed(description: "there is no copy \(index)")
            }
            try step.expect("result", try all(at: copies[index]))
        case let other: throw PieceStep.Malformed(description: "unknown operation \(other)")
        }
    }

    private var newest: Int64 { Int64(times.count - 1) }

    private mutating func apply(_ time: Int64, _ change: () -> Void) throws {
        try table.begin(newest + 1, on: newest, keepingFrom: .min)
        change()
        table.commit()
        times.append(time)
    }

    private func all(at version: Int64) throws -> PieceJSON {
        var entries: [(String, Int, Int64)] = []
        try table.forEach(at: version) { entries.append(($0, $1, times[Int($2)])) }
        return json(entries)
    }

    /// What would be removed, which is then undone.
    private func due(_ threshold: Int64) throws -> PieceJSON {
        var entries: [(String, Int, Int64)] = []
        let firstNotDue = times.firstIndex { $0 >= threshold } ?? times.count
        try table.begin(newest + 1, on: newest, keepingFrom: .min)
        try table.removeDue(before: Int64(firstNotDue)) { key, value in
            let version = table.updateTime(at: table.find(key)) ?? 0
            entries.append((key, value, times[Int(version)]))
        }
        table.abort()
        return json(entries)
    }

    private func json(_ entries: [(String, Int, Int64)]) -> PieceJSON {
        .array(
            entries.sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
                .map { .array([.string($0.0), .int(Int64($0.1)), .int($0.2)]) })
    }
}
