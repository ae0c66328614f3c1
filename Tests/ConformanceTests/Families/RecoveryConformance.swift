import DStreamCore
import DStreamTestKit
import StreamingContext

/// What runs again after a restart, and from which state.
enum RecoveryConformance {
    private static let completed =
        "differs on purpose (2): a completed batch is not run again after recovery"

    /// Cases in which what is run again is another, and why.
    private static let differently = [
        "all_done_no_down_time": completed, "all_done_down_time_not_a_multiple": completed,
        "state_all_done": completed, "failed_output_is_pending_state": completed,
        "map_with_state": completed, "many_batches_keep_ten_files": completed,
        "batch_500ms": completed,
    ]

    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("recovery", differently: differently) { recorded in
            try await compare(&recorded, isDifferent: differently[recorded.name] != nil)
        }
    }

    private static func compare(
        _ recorded: inout RecordedCase, isDifferent: Bool
    ) async throws -> [String] {
        let order = try CaseOrder(&recorded.body)
        let inputs = try recorded.takeInputs()
        let run = try RecoveryRun(&recorded.params, recorded.pipeline, inputs)
        // The names of the files are our own, and how many there are is another test's.
        _ = try recorded.body.takeArray("checkpointFiles")
        let pending = try recorded.body.takeArray("pendingAtStop")
        var checkpoint = try PieceStep(try recorded.body.take("checkpoint"))
        let checkpointTime = try checkpoint.takeTime("checkpointTimeMillis")
        try checkpoint.expect("pendingTimesMillis", .array(pending))
        try recorded.body.expect("errorAfterRestart", .null)
        let outputs = try takeBatches("outputs", &recorded)
        var again = try takeBatches("rerunAtStart", &recorded)
        let after = try takeBatches("outputsAfterRestart", &recorded)
        try recorded.body.expect(
            "clockAfterRestartMillis", .time(checkpointTime + run.clockJump))
        if isDifferent {
            // Whatever came out in the first run completed; an output that failed before the
            // state went on is set aside, as there is no way back to its state.
            let done = Set(outputs.map(\.time))
            again.removeAll {
                done.contains($0.time) || run.isPassedByState(.int($0.time))
            }
        }

        let first = try await run.beforeStop(until: checkpointTime)
        var differences = order.differences("outputs", ours: first.outputs, expected: outputs)
        if first.pending != pending {
            differences.append("pending are \(first.pending), not \(pending)")
        }
        let second = try await run.afterRestart(at: checkpointTime + run.clockJump)
        differences += order.differences("rerun", ours: second.atStart, expected: again)
        differences += order.differences("after", ours: second.outputs, expected: after)
        return try differences + checkpoint.finish()
    }

    private static func takeBatches(
        _ key: String, _ recorded: inout RecordedCase
    ) throws -> [CaseBatch] {
        try recorded.body.takeArray(key).map { try CaseBatch($0) }
    }
}

/// The two runs of a case, in one checkpoint directory.
private struct RecoveryRun {
    let clockJump: Duration
    private let batch: Duration
    private let countBefore: Int
    private let countAfter: Int
    private let blocksFrom: BatchTime?
    private let outputFailsAt: [PieceJSON]
    private let pipeline: String
    private let inputs: [[[PieceJSON]?]]
    private let directory: TemporaryDirectory

    init(_ params: inout PieceStep, _ pipeline: String, _ inputs: [[[PieceJSON]?]]) throws {
        batch = try params.takeDuration("batchMillis")
        countBefore = Int(try params.takeInt("batchesBeforeStop"))
        countAfter = Int(try params.takeInt("batchesAfterRestart"))
        clockJump = try params.takeDuration("clockJumpMillis")
        blocksFrom = try params.takeOptionalInt("outputBlocksFromMillis").map {
            .milliseconds($0)
        }
        outputFailsAt = try params.takeArray("outputFailsAtMillis")
        try params.expect("generationFailsAtMillis", .array([]))
        self.pipeline = pipeline
        self.inputs = inputs
        directory = try TemporaryDirectory()
    }

    /// Whether the output of that batch failed, and state advanced after it.
    func isPassedByState(_ time: PieceJSON) -> Bool {
        pipeline != "recovery.map" && outputFailsAt.contains(time)
    }

    /// Runs until the stop, and gives what came out and what is pending.
    func beforeStop(
        until end: BatchTime
    ) async throws -> (outputs: [CaseBatch], pending: [PieceJSON]) {
        let seen = Collected<CaseBatch>()
        let (reached, release) = (Gate(), Gate())
        let (blocksFrom, outputFailsAt) = (blocksFrom, outputFailsAt)
        let builder = try declare(startTime: .zero) { call in
            let time = BatchTime(milliseconds: call.time)
            if outputFailsAt.contains(.time(time)) {
                throw CaseFailure(description: "the output of \(call.time)")
            }
            if let blocksFrom, time >= blocksFrom {
                reached.open()
                await withTaskCancellationHandler {
                    await release.wait()
                } onCancel: {
                    release.open()
                }
                try Task.checkCancellation()
            }
            seen.append(call)
        }
        let ssc = try await start(builder)
        let (harness, listener) = (builder.harness, builder.harness.listener)
        for number in 1...countBefore {
            let time = BatchTime.zero + batch * number
            guard let blocksFrom, time >= blocksFrom else {
                await harness.advance()
                continue
            }
            harness.clock.advance(by: batch)
            await listener.first { event in
                if case .batchSubmitted(let info) = event { info.batchTime == time } else { false }
            }
            await reached.wait()
        }
        let report = await ssc.stop()
        return (seen.take(), report.pendingBatches.map { .time($0) })
    }

    /// Goes on from the checkpoint, and gives what came out at once and what came out later.
    func afterRestart(
        at time: BatchTime
    ) async throws -> (atStart: [CaseBatch], outputs: [CaseBatch]) {
        let seen = Collected<CaseBatch>()
        let builder = try declare(startTime: time) { seen.append($0) }
        let ssc = try await start(builder)
        guard ssc.isRecovered else { throw CaseFailure(description: "nothing was recovered") }
        // The next batch comes after all that are run again.
        await builder.harness.advance()
        for _ in 1..<countAfter { await builder.harness.advance() }
        await ssc.stop()
        let calls = seen.take()
        for error in builder.harness.errors { throw error }
        return (
            calls.filter { $0.time <= time.milliseconds },
            calls.filter { $0.time > time.milliseconds }
        )
    }

    private func start(_ builder: PipelineBuilder) async throws -> StreamingContext {
        let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: directory.path) {
            builder.ssc
        }
        try await ssc.start()
        return ssc
    }

    private func declare(
        startTime: BatchTime, _ body: @escaping @Sendable (CaseBatch) async throws -> Void
    ) throws -> PipelineBuilder {
        var params = try PieceStep(.object(["batchMillis": .int(batch.milliseconds)]))
        params.set("zeroTimeMillis", .time(startTime))
        let builder = try PipelineBuilder(params: params, inputs: inputs)
        let input = try builder.input(.counted)
        let stream: DStream<(String, Int)>
        switch pipeline {
        case "recovery.map": stream = input.mapValues { $0 * 10 }
        case "recovery.updateStateByKey":
            stream = input.updateStateByKey { $0.reduce(0, +) + ($1 ?? 0) }
        case "recovery.mapWithState":
            stream =
                input.mapWithState(
                    StateSpec<String, Int, Int, (String, Int)>.function { key, value, state in
                        let sum = (value ?? 0) + (state.getOption() ?? 0)
                        try state.update(sum)
                        return (key, sum)
                    }
                ).mapped
        case "recovery.windowSlide2":
            stream = input.window(.seconds(4), slide: .seconds(2))
        case "recovery.reduceByKeyAndWindow_inverse":
            stream = input.reduceByKeyAndWindow(+, inverse: -, window: .seconds(3))
        default: throw Pipelines.Unknown(description: "no pipeline is known as \(pipeline)")
        }
        stream.foreachRDD { rdd, time in
            let elements = try await rdd.collect().map(ElementForm.counted.write)
            try await body(CaseBatch(time: time.milliseconds, elements: elements))
        }
        return builder
    }
}
