import BatchEngine

/// The family about the map that holds the state of a partition: our table, a version per copy.
enum StateMapConformance {
    static func report() throws -> ConformanceReport {
        try PieceCase.report("state_map") { piece in
            guard piece.pipeline == "stateMap" else {
                throw PieceStep.Malformed(description: "unknown pipeline \(piece.pipeline)")
            }
            var run = try StateMapRun()
            return try piece.forEachStep { try run.perform(&$0) }
        }
    }
}

/// One run of steps.
///
/// Spark copies the map for each batch; a copy of ours is a version. An update in a step has a time
/// of its own, where a batch's updates all have the batch's: so each step is a version, too.
private struct StateMapRun {
    private let table = StateTable<String, Int>(hasTimers: true)
    private var copies: [Int64] = []

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
            try apply(time) { table.set(key, at: table.find(key), to: state) }
        case "remove":
            let key = try step.takeString("key")
            try step.expect("result", .null)
            // What does not change update times may come at the time of the last change.
            try apply((table.version ?? 0) + 1) { table.remove(at: table.find(key)) }
        case "get":
            let place = table.find(try step.takeString("key"))
            try step.expect("result", table.value(at: place).map { .int(Int64($0)) } ?? .null)
        case "getAll": try step.expect("result", try all(at: table.version ?? 0))
        case "getByTime": try step.expect("result", try due(try step.takeInt("threshold")))
        case "copy":
            copies.append(table.version ?? 0)
            try step.expect("result", .null)
        case "getAllOfOriginal":
            try step.expect("result", try all(at: copies[Int(try step.takeInt("index"))]))
        case let other: throw PieceStep.Malformed(description: "unknown operation \(other)")
        }
    }

    private func apply(_ time: Int64, _ change: () -> Void) throws {
        try table.begin(time, on: table.version, keepingFrom: .min)
        change()
        table.commit()
    }

    private func all(at version: Int64) throws -> PieceJSON {
        var entries: [(String, Int, Int64)] = []
        try table.forEach(at: version) { entries.append(($0, $1, $2)) }
        return json(entries)
    }

    /// What would be removed, which is then undone.
    private func due(_ threshold: Int64) throws -> PieceJSON {
        var entries: [(String, Int, Int64)] = []
        let base = table.version
        try table.begin((base ?? 0) + 1, on: base, keepingFrom: .min)
        try table.removeDue(before: threshold) { key, value in
            entries.append((key, value, table.updateTime(at: table.find(key)) ?? 0))
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
