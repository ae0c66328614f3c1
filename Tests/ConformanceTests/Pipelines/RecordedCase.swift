import DStreamCore
import Foundation

/// One recorded case with what all families have in common.
///
/// What a case is called is seen by nobody but the report: adapters go by its pipeline, parameters
/// and inputs.
struct RecordedCase {
    fileprivate let name: String
    let pipeline: String
    /// The pipeline in a text like Scala, when the case has it.
    let code: String
    /// The parameters that are left to be taken.
    var params: PieceStep
    /// The other keys that are left to be taken.
    var body: PieceStep
    /// Where another outcome than the recorded one was compared with.
    private(set) var deviations: Set<Deviation> = []

    /// Reads all cases of a family; a name that occurs twice for a pipeline makes it fail.
    static func all(of family: String) throws -> [RecordedCase] {
        var file = try PieceStep(try PieceJSON.family(family))
        guard try file.takeString("family") == family else {
            throw PieceStep.Malformed(description: "the file is not of family \(family)")
        }
        _ = try file.takeString("spark")
        let vectors = try file.takeArray("vectors")
        try file.requireNothingLeft()
        var seen: Set<String> = []
        return try vectors.map { json in
            let recorded = try RecordedCase(json)
            guard seen.insert("\(recorded.pipeline) \(recorded.name)").inserted else {
                throw PieceStep.Malformed(description: "\(recorded.name) twice in \(family)")
            }
            return recorded
        }
    }

    init(_ json: PieceJSON) throws {
        var body = try PieceStep(json)
        name = try body.takeString("name")
        pipeline = try body.takeString("pipeline")
        params = try PieceStep(.object(try body.takeObject("params")))
        code = body.has("code") ? try body.takeString("code") : ""
        // Text for people.
        if body.has("note") { _ = try body.takeString("note") }
        self.body = body
    }

    /// What to compare with where we differ on purpose; an exception only if that is not what was
    /// recorded.
    ///
    /// - Parameters:
    ///   - declared: what is to come out by the deviation's rule.
    ///   - recorded: what came out of Spark.
    mutating func declare<Outcome: Equatable>(
        _ declared: Outcome, insteadOf recorded: Outcome, _ deviation: Deviation
    ) -> Outcome {
        if declared != recorded { deviations.insert(deviation) }
        return declared
    }

    /// What disagrees by being there.
    func finish() throws -> [String] { try params.finish() + body.finish() }

    /// Runs every case of a family and reports.
    ///
    /// - Parameters:
    ///   - pipelines: those that may occur; nil: `run` looks at them itself.
    ///   - notRun: pipelines that cannot be written in Swift, and why.
    ///   - run: gives what disagrees; takes all parameters and keys.
    static func report(
        _ family: String, pipelines: Set<String>? = nil, notRun: [String: Deviation] = [:],
        run: (inout RecordedCase) async throws -> [String]
    ) async throws -> ConformanceReport {
        var report = ConformanceReport(family: family)
        let cases = try all(of: family)
        let names = Dictionary(grouping: cases, by: \.name)
        for var recorded in cases {
            let isUnique = names[recorded.name]?.count == 1
            let label = isUnique ? recorded.name : "\(recorded.pipeline)/\(recorded.name)"
            if let deviation = notRun[recorded.pipeline] {
                report.add(label, differences: [], deviations: [deviation])
                continue
            }
            var differences: [String]
            do {
                if let pipelines, !pipelines.contains(recorded.pipeline) {
                    throw Pipelines.Unknown(
                        description: "no pipeline is known as \(recorded.pipeline)")
                }
                differences = try await run(&recorded) + recorded.finish()
            } catch {
                differences = ["\(error)"]
            }
            report.add(label, differences: differences, deviations: recorded.deviations)
        }
        return report
    }

    /// The steps of a case that has any.
    mutating func takeSteps() throws -> [PieceJSON] {
        let steps = try body.takeArray("steps")
        guard !steps.isEmpty else { throw PieceStep.Malformed(description: "no steps") }
        return steps
    }

    /// The input batches, one list per input stream.
    mutating func takeInputs() throws -> [[[PieceJSON]?]] {
        try body.takeArray("inputs").map { stream in
            try stream.elements().map { try $0 == .null ? nil : $0.elements() }
        }
    }
}

extension [PieceJSON] {
    /// Runs the steps one after the other and gives what disagrees.
    func differences(_ body: (inout PieceStep) throws -> Void) throws -> [String] {
        try flatMap { json in
            var step = try PieceStep(json)
            try body(&step)
            return try step.finish()
        }
    }
}

extension PieceJSON {
    /// The elements of a list.
    func elements() throws -> [PieceJSON] {
        guard case .array(let values) = self else {
            throw PieceStep.Malformed(description: "not a list: \(self)")
        }
        return values
    }
}

/// What an output operation was called with.
struct CaseBatch: Equatable, Sendable, CustomStringConvertible {
    var time: Int64
    var elements: [PieceJSON]
    var partitionCount: Int64?

    init(time: Int64, elements: [PieceJSON], partitionCount: Int64? = nil) {
        self.time = time
        self.elements = elements
        self.partitionCount = partitionCount
    }

    /// Reads an entry of `outputs`.
    init(_ json: PieceJSON) throws {
        var entry = try PieceStep(json)
        time = try entry.takeInt("timeMillis")
        elements = try entry.takeArray("elements")
        partitionCount = entry.has("partitionCount") ? try entry.takeInt("partitionCount") : nil
        try entry.requireNothingLeft()
    }

    /// The same for cases that do not say in how many partitions.
    var withoutPartitionCount: CaseBatch { CaseBatch(time: time, elements: elements) }

    var description: String {
        "\(time): \(elements)" + (partitionCount.map { " in \($0) partitions" } ?? "")
    }

    static func == (left: CaseBatch, right: CaseBatch) -> Bool {
        left.time == right.time && left.elements == right.elements
            && left.partitionCount == right.partitionCount
    }

}

/// How lists of elements are compared.
struct CaseOrder {
    var isExact: Bool
    var isInnerExact: Bool

    static let unordered = CaseOrder(isExact: false, isInnerExact: true)

    init(isExact: Bool, isInnerExact: Bool) {
        self.isExact = isExact
        self.isInnerExact = isInnerExact
    }

    /// Takes `order` and `innerOrder`.
    init(_ body: inout PieceStep) throws {
        isExact = try Self.isExact(try body.takeString("order"))
        isInnerExact =
            body.has("innerOrder") ? try Self.isExact(try body.takeString("innerOrder")) : true
    }

    private static func isExact(_ word: String) throws -> Bool {
        switch word {
        case "exact": true
        case "unordered": false
        default: throw PieceStep.Malformed(description: "unknown order \(word)")
        }
    }

    /// The elements in the order in which they are compared.
    func arranged(_ batch: CaseBatch) -> CaseBatch {
        var batch = batch
        if !isInnerExact { batch.elements = batch.elements.map { Self.arrangedInside($0) } }
        if !isExact { batch.elements = Self.sorted(batch.elements) }
        return batch
    }

    /// Sorts the lists inside an element; a list of lists is a tuple of grouped values.
    private static func arrangedInside(_ element: PieceJSON) -> PieceJSON {
        guard case .array(let parts) = element else { return element }
        return .array(
            parts.map { part in
                guard case .array(let values) = part else { return part }
                let isTuple = values.contains { if case .array = $0 { true } else { false } }
                return isTuple ? arrangedInside(part) : .array(sorted(values))
            })
    }

    private static func sorted(_ values: [PieceJSON]) -> [PieceJSON] {
        values.map { ("\($0)", $0) }
            .sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }.map(\.1)
    }

    /// What disagrees between two lists of calls.
    func differences(
        _ what: String, ours: [CaseBatch], expected: [CaseBatch]
    ) -> [String] {
        let ours = ours.map { arranged($0) }
        let expected = expected.map { arranged($0) }
        if ours == expected { return [] }
        let missing = expected.filter { !ours.contains($0) }
        let surplus = ours.filter { !expected.contains($0) }
        if missing.isEmpty, surplus.isEmpty { return ["\(what): the same calls in another order"] }
        return ["\(what): not called with \(missing), but with \(surplus)"]
    }
}
