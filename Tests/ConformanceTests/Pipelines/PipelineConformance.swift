import DStreamCore

/// The families whose cases are batches in, batches out.
enum PipelineConformance {
    /// What is to come out of a case.
    struct Expectation: Equatable {
        var outputs: [CaseBatch]
        var extraOutputs: [String: [CaseBatch]]
        var errors: [CaseError]
        let inputs: [[[PieceJSON]?]]

        /// The same in the order in which it is compared.
        func arranged(_ order: CaseOrder) -> Expectation {
            var arranged = self
            arranged.outputs = outputs.map { order.arranged($0) }
            arranged.extraOutputs = extraOutputs.mapValues { calls in
                calls.map { CaseOrder.unordered.arranged($0) }
            }
            return arranged
        }
    }

    /// Runs all cases of a family.
    static func report(_ family: String) async throws -> ConformanceReport {
        try await RecordedCase.report(family, notRun: ["transform.null": .noNull]) {
            try await compare(&$0)
        }
    }

    static func compare(_ recorded: inout RecordedCase) async throws -> [String] {
        let theirs = try takeExpectation(&recorded)
        let order = try CaseOrder(&recorded.body)
        var expected = theirs
        if let (intended, deviation) = try intended(theirs, recorded) {
            expected = intended
            _ = recorded.declare(
                intended.arranged(order), insteadOf: theirs.arranged(order), deviation)
        }
        let builder = try PipelineBuilder(params: recorded.params, inputs: expected.inputs)
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

    /// What is to come out where we may differ on purpose, and why; nil: what was recorded is.
    private static func intended(
        _ recorded: Expectation, _ piece: RecordedCase
    ) throws -> (Expectation, Deviation)? {
        if let intended = try intendedState(recorded, piece) {
            return (intended, .failedIsNotDone)
        }
        var params = piece.params
        guard params.has("windowMillis"), params.has("slideMillis") else { return nil }
        let times = try CaseTimes(params)
        let (window, slide) = (
            try params.takeInt("windowMillis"), try params.takeInt("slideMillis")
        )
        var intended = recorded
        // A declaration that Spark refuses is refused here, too.
        if recorded.errors.contains(where: { $0.phase == .start }) { return nil }
        if slide == 0 {
            intended.errors = [CaseError(phase: .start, time: nil, cause: .code(.badWindow))]
            intended.outputs = []
            return (intended, .valuesAsGiven)
        }
        guard
            let outputs = try intendedWindows(
                recorded, piece.pipeline, Int(window / times.batch), Int(slide / times.batch),
                times)
        else { return nil }
        intended.errors = []
        intended.outputs = outputs
        return (intended, .inverseIsPlain)
    }

    /// What windows with an inverse give where Spark may go wrong; nil: nowhere.
    ///
    /// It does with batches between windows, and where a filter drops keys.
    private static func intendedWindows(
        _ recorded: Expectation, _ pipeline: String, _ window: Int, _ slide: Int,
        _ times: CaseTimes
    ) throws -> [CaseBatch]? {
        let hasGap = slide > window
        let isIncluded: (Int) -> Bool
        switch pipeline {
        case "countByWindow" where hasGap:
            return ModelStream(try recorded.inputs[0].map { try $0?.map(CaseValue.init) })
                .counts(window, slide).calls(.int, times)
        case "countByValueAndWindow" where hasGap, "countByValueAndWindow.partitions" where hasGap:
            return ModelStream(try recorded.inputs[0].map { try $0?.map(CaseValue.init) })
                .countsByValue(window, slide).calls(.pair(.any, .int), times)
        case "reduceByWindow.sumInverse" where hasGap:
            return ModelStream(try recorded.inputs[0].map { try $0?.map(ElementForm.int.read) })
                .inverseSum(window, slide).calls(.int, times)
        case "reduceByKeyAndWindow.sumInverse" where hasGap,
            "reduceByKeyAndWindow.partitionerInverse" where hasGap:
            isIncluded = { _ in true }
        case "reduceByKeyAndWindow.sumInverseNonZero": isIncluded = { $0 != 0 }
        case "reduceByKeyAndWindow.sumInverseGt1": isIncluded = { $0 > 1 }
        default: return nil
        }
        return ModelStream(try recorded.inputs[0].map { try $0?.map(ElementForm.counted.read) })
            .inverseSums(window, slide, isIncluded).calls(.counted, times)
    }
}

/// When the batches of a case are.
struct CaseTimes {
    let batch: Int64
    /// The largest multiple of the batch that is not after the clock's first time.
    let zero: Int64

    init(_ params: PieceStep) throws {
        var params = params
        batch = try params.takeInt("batchMillis")
        let clock = params.has("zeroTimeMillis") ? try params.takeInt("zeroTimeMillis") : 0
        zero = clock / batch * batch
    }

    /// The time of a batch, counted from 1.
    func time(_ number: Int) -> Int64 { zero + Int64(number) * batch }
}
