import BatchEngine
import DStreamTestKit
import StreamingContext

/// What listeners hear, what `awaitTermination` throws, and which batches stay pending.
enum ListenerConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("listener_events") { recorded in
            if recorded.pipeline.hasPrefix("listener.receiver.") {
                return try await ReceiverEvents.compare(&recorded)
            }
            return try await compare(&recorded)
        }
    }

    static func compare(_ recorded: inout RecordedCase) async throws -> [String] {
        if recorded.pipeline == "listener.with_checkpointing" {
            recorded.params.set("checkpointDir", .bool(true))
        }
        let (params, inputs) = (recorded.params, try recorded.takeInputs())
        let builder = try PipelineBuilder(params: params, inputs: inputs)
        recorded.params = builder.params
        try declare(recorded.pipeline, builder)
        var batchCount = 0
        var seen = Seen(harness: builder.harness)
        // The batches that failed, and whether one was generated.
        var failed: [(time: PieceJSON, wasGenerated: Bool)] = []
        var differences: [String] = []
        for json in try recorded.takeSteps() {
            var step = try PieceStep(json)
            switch try step.takeString("do") {
            case "start": try await builder.ssc.start()
            case "advance one batch":
                try await builder.harness.advance()
                batchCount += 1
                try step.expect("timeMillis", .time(builder.harness.clock.now))
            case "stop": await builder.ssc.stop()
            case let other:
                throw PieceStep.Malformed(description: "unknown operation \(other)")
            }
            let events = try step.takeArray("events").map { EventRecord.plain($0) }
            try PieceStep.compare("events", seen.newEvents(), events, &step)
            let errors = seen.newErrors()
            if !step.has("errorGivenToAwaitTermination") {
                if !errors.isEmpty { step.add(["\(errors) instead of no error"]) }
            } else if try compareError(errors, &step) {
                failed.append((.time(builder.harness.clock.now), !events.isEmpty))
            }
            if step.has("batchesStillPending") {
                // Whatever failed stays pending: Spark counts it as done when its last output
                // worked, and loses it when it was not generated.
                let theirs = try step.takeArray("batchesStillPending")
                let lost = failed.filter { !theirs.contains($0.time) }
                let expected = recorded.declare(
                    try (theirs + lost.map(\.time)).sorted {
                        try ElementForm.int.read($0) < ElementForm.int.read($1)
                    }, insteadOf: theirs,
                    lost.contains { $0.wasGenerated } ? .failedIsNotDone : .notGeneratedIsPending)
                let again = try PipelineBuilder(params: params, inputs: inputs)
                try declare(recorded.pipeline, again)
                let ours = try await pendingBatches(again, after: batchCount)
                try PieceStep.compare("batchesStillPending", ours, expected, &step)
            }
            differences += try step.finish()
        }
        return differences
    }

    /// The batches that are pending at a stop after so many batches.
    private static func pendingBatches(
        _ builder: PipelineBuilder, after count: Int
    ) async throws -> [PieceJSON] {
        try await builder.ssc.start()
        for _ in 0..<count { try await builder.harness.advance() }
        return await builder.ssc.stop().pendingBatches.map { .time($0) }
    }

    /// One error per step is recorded, whatever it was that failed.
    ///
    /// - Returns: whether one was recorded.
    private static func compareError(
        _ errors: [CaseError], _ step: inout PieceStep
    ) throws -> Bool {
        let error = try step.take("errorGivenToAwaitTermination")
        guard error != .null else {
            if !errors.isEmpty { step.add(["\(errors) instead of no error"]) }
            return false
        }
        var entry = try PieceStep(error)
        let cause = try CaseError.takeCause(&entry)
        try entry.requireNothingLeft()
        if errors.map(\.cause) != [cause] { step.add(["\(errors) instead of \(cause)"]) }
        return true
    }

    private static func declare(_ id: String, _ builder: PipelineBuilder) throws {
        let input = try builder.input(.int)
        switch id {
        case "listener.one_output", "listener.with_checkpointing": count(input)
        case "listener.only_output_fails": fail(input)
        case "listener.first_of_two_outputs_fails":
            fail(input)
            count(input)
        case "listener.three_outputs_middle_fails":
            count(input)
            fail(input)
            count(input)
        case "listener.task_fails":
            input.foreachRDD { rdd in
                _ = try await rdd.map { value in
                    guard value != 4 else { throw CaseFailure(description: "/ by zero") }
                    return 1 / (value - 4)
                }.count()
            }
        case "listener.generation_fails", "listener.generation_fails_in_second_output":
            if id != "listener.generation_fails" { count(input) }
            let failing = input.transform { rdd, time in
                if time == .milliseconds(2000) { throw CaseFailure(description: "gen") }
                return rdd
            }
            count(failing)
        case "listener.batches_without_jobs":
            count(input.window(.seconds(2), slide: .seconds(2)))
        case "listener.no_rdd_for_one_of_two_outputs":
            count(input)
            count(input.window(.seconds(1)))
        default: throw Pipelines.Unknown(description: "no pipeline is known as \(id)")
        }
    }

    private static func count(_ stream: DStream<Int>) {
        stream.foreachRDD { rdd in _ = try await rdd.count() }
    }

    private static func fail(_ stream: DStream<Int>) {
        stream.foreachRDD { _, time in
            if time == .milliseconds(2000) { throw CaseFailure(description: "boom at 2000") }
        }
    }

    /// How much of what a harness tells was seen.
    private struct Seen {
        let harness: StreamHarness
        var eventCount = 0
        var errorCount = 0

        mutating func newEvents() -> [PieceJSON] {
            let events = harness.listener.events
            defer { eventCount = events.count }
            return events[eventCount...].compactMap { EventRecord.json($0) }
        }

        mutating func newErrors() -> [CaseError] {
            let errors = harness.errors
            defer { errorCount = errors.count }
            return errors[errorCount...].flatMap { CaseError.ours($0) }
        }
    }
}
