import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext

/// The RDDs of past and future batches, read after the last batch.
enum SliceConformance {
    private typealias Slice = @Sendable (BatchTime, BatchTime) async throws -> [[PieceJSON]]

    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("slice") { recorded in
            if recorded.pipeline == "slice.beforeStart" { return try await beforeStart(&recorded) }
            // Every element can be read in one order only.
            try requireExactOrder(&recorded)
            let builder = try PipelineBuilder(
                params: recorded.params, inputs: try recorded.takeInputs())
            let slice = try declare(recorded.pipeline, builder)
            recorded.params = builder.params
            try await builder.ssc.start()
            for _ in 0..<builder.batchCount { try await builder.harness.advance() }
            var differences: [String] = []
            for json in try recorded.body.takeArray("slices") {
                var step = try PieceStep(json)
                let (from, to) = (try step.takeTime("fromMillis"), try step.takeTime("toMillis"))
                let outcome = await Result { try await slice(from, to) }
                switch (outcome, step.has("error")) {
                case (.success(let rdds), false):
                    try step.expect("rdds", .array(rdds.map { .array($0) }))
                case (let outcome, false): step.add(["\(outcome) instead of RDDs"])
                case (let outcome, true):
                    var error = try PieceStep(try step.take("error"))
                    let expected = try CaseError.takeCause(&error)
                    step.add(try error.finish())
                    guard case .failure(let ours) = outcome,
                        CaseError.ours(ours).map(\.cause) == [expected]
                    else {
                        step.add(["\(outcome) instead of \(expected)"])
                        break
                    }
                }
                differences += try step.finish()
            }
            await builder.ssc.stop()
            return differences + builder.harness.errors.map { "\($0)" }
        }
    }

    private static func requireExactOrder(_ recorded: inout RecordedCase) throws {
        guard try CaseOrder(&recorded.body).isExact else {
            throw PieceStep.Malformed(description: "slices are compared in order")
        }
    }

    private static func declare(_ id: String, _ builder: PipelineBuilder) throws -> Slice {
        let input = try builder.input(.int)
        let stream: DStream<Int>
        switch id {
        case "slice.input": stream = input
        case "slice.map": stream = input.map { $0 * 2 }
        case "slice.window": stream = input.window(.seconds(2), slide: .seconds(2))
        default: throw Pipelines.Unknown(description: "no pipeline is known as \(id)")
        }
        builder.output(stream, .int)
        return { from, to in
            var contents: [[PieceJSON]] = []
            for rdd in try await stream.slice(Interval(begin: from, end: to)) {
                contents.append(try await rdd.collect().map { .int(Int64($0)) })
            }
            return contents
        }
    }

    private static func beforeStart(_ recorded: inout RecordedCase) async throws -> [String] {
        var errors = try recorded.body.takeArray("errors")
        guard errors.count == 1 else { return ["there are \(errors.count) errors"] }
        var error = try PieceStep(errors.removeFirst())
        let (phase, type) = (try error.takeString("phase"), try error.takeString("type"))
        let message = try error.takeString("message")
        guard phase == "slice", type == "org.apache.spark.SparkException",
            message.hasSuffix(" has not been initialized")
        else { throw CaseError.Unmapped(description: "no code stands for \(message)") }
        let builder = try PipelineBuilder(params: recorded.params, inputs: [[]])
        recorded.params = builder.params
        let input = try builder.input(.int)
        do {
            _ = try await input.slice(from: .milliseconds(1000), through: .milliseconds(2000))
            return ["a stream that was not started gave RDDs"]
        } catch let error as StreamError where error.code == .notStarted {
            return []
        }
    }
}
