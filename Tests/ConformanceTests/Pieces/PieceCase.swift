/// One case of a family whose cases are lists of steps.
struct PieceCase {
    let name: String
    let pipeline: String
    var params: PieceStep
    let steps: [PieceJSON]

    /// Reads all cases of a family; keys that no case may have make it fail.
    static func all(of family: String) throws -> [PieceCase] {
        var file = try PieceStep(try PieceJSON.family(family))
        guard try file.takeString("family") == family else {
            throw PieceStep.Malformed(description: "the file is not of family \(family)")
        }
        _ = try file.takeString("spark")
        let vectors = try file.takeArray("vectors")
        try file.requireNothingLeft()
        return try vectors.map { json in
            var vector = try PieceStep(json)
            let piece = PieceCase(
                name: try vector.takeString("name"),
                pipeline: try vector.takeString("pipeline"),
                params: try PieceStep(.object(try vector.takeObject("params"))),
                steps: try vector.takeArray("steps"))
            if vector.has("note") { _ = try vector.takeString("note") }
            try vector.requireNothingLeft()
            return piece
        }
    }

    /// Runs every case of a family and reports.
    ///
    /// - Parameters:
    ///   - family: the family's name.
    ///   - exceptions: the cases with an intended difference, and why.
    ///   - run: gives what disagrees in a case, also with the parameters.
    static func report(
        _ family: String, exceptions: [String: String] = [:],
        run: (inout PieceCase) throws -> [String]
    ) throws -> ConformanceReport {
        var report = ConformanceReport(family: family)
        for var piece in try all(of: family) {
            var differences: [String]
            do {
                differences = try run(&piece) + piece.params.finish()
            } catch {
                differences = ["\(error)"]
            }
            if piece.steps.isEmpty { differences.append("no steps") }
            report.add(
                piece.name, differences: differences, exceptedBecause: exceptions[piece.name])
        }
        return report
    }

    /// Runs the steps one after the other and gives what disagrees.
    func forEachStep(_ body: (inout PieceStep) throws -> Void) throws -> [String] {
        try steps.flatMap { json in
            var step = try PieceStep(json)
            try body(&step)
            return try step.finish()
        }
    }
}
