import DStreamCore
import DStreamTestKit
import StreamingContext

/// What runs again after a restart, and from which state.
enum RecoveryConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("recovery") { try await compare(&$0) }
    }

    static func compare(_ recorded: inout RecordedCase) async throws -> [String] {
        let order = try CaseOrder(&recorded.body)
        let inputs = try recorded.takeInputs()
        let run = try RecoveryRun(&recorded.params, recorded.pipeline, inputs)
        // The names of the files are our own, and how many there are is another test's.
        _ = try recorded.body.takeArray("checkpointFiles")
        var pending = try recorded.body.takeArray("pendingAtStop")
        var checkpoint = try PieceStep(try recorded.body.take("checkpoint"))
        let checkpointTime = try checkpoint.takeTime("checkpointTimeMillis")
        try checkpoint.expect("pendingTimesMillis", .array(pending))
        try recorded.body.expect("errorAfterRestart", .null)
        let outputs = try takeBatches("outputs", &recorded)
        var again = try takeBatches("rerunAtStart", &recorded)
        let after = try takeBatches("outputsAfterRestart", &recorded)
        try recorded.body.expect(
            "clockAfterRestartMillis", .time(checkpointTime + run.clockJump))
        // Whatever came out in the first run completed.
        let done = Set(outputs.map(\.time))
        again = recorded.declare(
            again.filter { !done.contains($0.time) }, insteadOf: again, .completedIsNotRerun)
        // A batch that failed before state advanced is dead-lettered: no way leads back to its
        // state.
        again = recorded.declare(
            again.filter { batch in
                !run.failsInOutput(.int(batch.time)) || !run.hasState
                    || !done.contains { $0 > batch.time }
            }, insteadOf: again, .failedIsNotDone)
        // What Spark could not generate it loses.
        let lost = try run.lostInSpark(until: checkpointTime, Set(again.map(\.time)))
        pending = recorded.declare(
            try (pending + lost.map { .int($0.time) }).sorted {
                try ElementForm.int.read($0) < ElementForm.int.read($1)
            }, insteadOf: pending, .notGeneratedIsPending)
        again = recorded.declare(
            (again + lost).sorted { $0.time < $1.time }, insteadOf: again, .notGeneratedIsPending)

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
    private let generationFailsAt: [PieceJSON]
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
        generationFailsAt = try params.takeArray("generationFailsAtMillis")
        self.pipeline = pipeline
        self.inputs = inputs
        directory = try TemporaryDirectory()
    }

    /// Whether batches change what is kept for later ones.
    var hasState: Bool { pipeline != "recovery.map" }

    /// Whether the output of that batch failed.
    func failsInOutput(_ time: PieceJSON) -> Bool { outputFailsAt.contains(time) }

    /// What the batches that could not be generated give when they are run after all.
    ///
    /// - Parameter rerun: what Spark runs again anyhow.
    func lostInSpark(until end: BatchTime, _ rerun: Set<Int64>) throws -> [CaseBatch] {
        let times = try generationFailsAt.map { Int64(try ElementForm.int.read($0)) }
            .filter { $0 <= end.milliseconds && !rerun.contains($0) }
        guard !times.isEmpty else { return [] }
        guard pipeline == "recovery.map" else {
            throw Pipelines.Unknown(description: "\(pipeline) without a batch is not known")
        }
        return try times.map { time in
            let number = Int(time / batch.milliseconds) - 1
            let elements = inputs.first.flatMap { $0.indices.contains(number) ? $0[number] : nil }
            return CaseBatch(
                time: time,
                elements: try (elements ?? []).map { json in
                    let (key, value) = try ElementForm.counted.read(json)
                    return ElementForm.counted.write((key, value * 10))
                })
        }
    }

    /// Runs until the stop, and gives what came out and what is pending.
    func beforeStop(
        until end: BatchTime
    ) async throws -> (outputs: [CaseBatch], pending: [PieceJSON]) {
        let seen = Collected<CaseBatch>()
        let (reached, release) = (Gate(), Gate())
        let (blocksFrom, outputFailsAt) = (blocksFrom, outputFailsAt)
        let builder = try declare(startTime: .zero, notGenerated: generationFailsAt) { call in
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
                try await harness.advance()
                continue
            }
            harness.clock.advance(by: batch)
            try await listener.first { event in
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
        try await builder.harness.advance()
        for _ in 1..<countAfter { try await builder.harness.advance() }
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
        startTime: BatchTime, notGenerated: [PieceJSON] = [],
        _ body: @escaping @Sendable (CaseBatch) async throws -> Void
    ) throws -> PipelineBuilder {
        var params = try PieceStep(.object(["batchMillis": .int(batch.milliseconds)]))
        params.set("zeroTimeMillis", .time(startTime))
        let builder = try PipelineBuilder(params: params, inputs: inputs)
        let input = try builder.input(.counted, from: .zero + batch)
        let stream: DStream<(String, Int)>
        switch pipeline {
        case "recovery.map":
            let tens = input.mapValues { $0 * 10 }
            stream =
                notGenerated.isEmpty
                ? tens
                : tens.transform { rdd, time in
                    if notGenerated.contains(.time(time)) { throw CaseFailure(description: "gen") }
                    return rdd
                }
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
