import DStreamCore

/// The families whose cases are batches in, batches out.
enum PipelineConformance {
    /// What is to come out of a case.
    struct Expectation {
        var outputs: [CaseBatch]
        var extraOutputs: [String: [CaseBatch]]
        var errors: [CaseError]
        let inputs: [[[PieceJSON]?]]
    }

    private static let failed =
        "differs on purpose (1): a failed state batch does not poison later ones"
    private static let inverse =
        "differs on purpose (3): inverse windows give what the plain form gives"

    /// Runs all cases of a family.
    static func report(_ family: String) async throws -> ConformanceReport {
        try await RecordedCase.report(
            family, differently: differently[family] ?? [:], notRun: notRun[family] ?? [:]
        ) { recorded in
            try await compare(&recorded, isDifferent: isDifferent(recorded, family), family)
        }
    }

    private static func isDifferent(_ recorded: RecordedCase, _ family: String) -> Bool {
        differently[family]?[recorded.name] != nil
    }

    /// Cases with another outcome on purpose; the outcome is in ``intend(_:_:_:)``.
    static let differently: [String: [String: String]] = [
        "countByValueAndWindow": ["w2s3_gap": inverse],
        "countByWindow": ["w2s3_gap": inverse],
        "mapWithState": ["update_after_remove": failed],
        "updateStateByKey": ["function_throws": failed],
        "reduceByKeyAndWindow_inverse": [
            "w2s3_gap": inverse, "random_4_gap": inverse, "nonzero_w2s3_gap": inverse,
            "nonzero_positive_w1s4_gap": inverse, "nonzero_w3s1": inverse,
            "nonzero_w3s2_ragged": inverse, "nonzero_random_1": inverse,
            "filter_drops_live_key_then_key_leaves": inverse,
        ],
        "window": ["zero_slide": "differs on purpose (6): slides of zero are refused"],
    ]

    /// Cases that cannot be run.
    static let notRun: [String: [String: String]] = [
        "transform": [
            "returns_null": "differs on purpose (10): Swift has no null"
        ]
    ]

    private static func compare(
        _ recorded: inout RecordedCase, isDifferent: Bool, _ family: String
    ) async throws -> [String] {
        var expected = try takeExpectation(&recorded)
        let order = try CaseOrder(&recorded.body)
        let builder = try PipelineBuilder(params: recorded.params, inputs: expected.inputs)
        if isDifferent { try intend(&expected, recorded, family) }
        try Pipelines.declare(recorded.pipeline, on: builder)
        recorded.params = builder.params
        let errors = await builder.run()
        var differences: [String] = []
        if errors != expected.errors {
            differences.append("errors are \(errors), not \(expected.errors)")
        }
        var extra = expected.extraOutputs
        for output in builder.outputs {
            let calls = output.read().map(\.withoutPartitionCount)
            if let name = output.name {
                differences += CaseOrder.unordered.differences(
                    name, ours: calls, expected: extra.removeValue(forKey: name) ?? [])
            } else {
                differences += order.differences("output", ours: calls, expected: expected.outputs)
            }
        }
        return differences + extra.keys.map { "no output is called \($0)" }
    }

    private static func takeExpectation(_ recorded: inout RecordedCase) throws -> Expectation {
        var extra: [String: [CaseBatch]] = [:]
        if recorded.body.has("extraOutputs") {
            for (name, calls) in try recorded.body.takeObject("extraOutputs") {
                extra[name] = try calls.elements().map { try CaseBatch($0) }
            }
        }
        let errors = recorded.body.has("errors") ? try recorded.body.takeArray("errors") : []
        return Expectation(
            outputs: try recorded.body.takeArray("outputs").map { try CaseBatch($0) },
            extraOutputs: extra, errors: try errors.map { try CaseError($0) },
            inputs: try recorded.takeInputs())
    }

    /// Says what is to come out where we differ.
    private static func intend(
        _ expected: inout Expectation, _ recorded: RecordedCase, _ family: String
    ) throws {
        if try intendState(&expected, recorded) { return }
        var params = recorded.params
        let batch = try params.takeInt("batchMillis")
        let window = Int(try params.takeInt("windowMillis") / batch)
        let slide = Int(try params.takeInt("slideMillis") / batch)
        expected.errors = []
        switch recorded.pipeline {
        case "window":
            expected.errors = [CaseError(phase: .start, time: nil, cause: .code(.badWindow))]
            expected.outputs = []
        case "countByWindow", "countByValueAndWindow":
            let stream = ModelStream(try expected.inputs[0].map { try $0?.map(CaseValue.init) })
            expected.outputs =
                recorded.pipeline == "countByWindow"
                ? stream.counts(window, slide).calls(.int, batchMillis: batch, zeroMillis: 0)
                : stream.countsByValue(window, slide)
                    .calls(.pair(.any, .int), batchMillis: batch, zeroMillis: 0)
        default:
            let isIncluded: (Int) -> Bool
            switch recorded.pipeline {
            case "reduceByKeyAndWindow.sumInverse": isIncluded = { _ in true }
            case "reduceByKeyAndWindow.sumInverseNonZero": isIncluded = { $0 != 0 }
            case "reduceByKeyAndWindow.sumInverseGt1": isIncluded = { $0 > 1 }
            default:
                throw Pipelines.Unknown(description: "nothing is intended for \(recorded.pipeline)")
            }
            let read = ElementForm.counted.read
            let stream = ModelStream(try expected.inputs[0].map { try $0?.map(read) })
            expected.outputs = stream.inverseSums(window, slide, isIncluded)
                .calls(batchMillis: batch, zeroMillis: 0)
        }
    }
}
