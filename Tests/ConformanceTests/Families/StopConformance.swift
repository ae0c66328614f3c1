import BatchEngine
import DStreamTestKit
import StreamingContext

/// What a stop does with blocks that wait and with a batch that runs.
enum StopConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("graceful_stop") { recorded in
            guard recorded.pipeline == "stop" else {
                throw Pipelines.Unknown(description: "no pipeline is known as \(recorded.pipeline)")
            }
            let builder = try PipelineBuilder(params: recorded.params, inputs: [])
            let isGraceful = try builder.params.takeBool("graceful")
            let blocksBefore = Int(try builder.params.takeInt("blocksBefore"))
            let waiting = try builder.params.takeArray("waitingBlocks").map { block in
                try block.elements().map { try ElementForm.int.read($0) }
            }
            let isRunning = try builder.params.takeBool("aBatchIsRunning")
            recorded.params = builder.params
            let run = StopRun(builder)
            try await builder.ssc.start()
            for number in 0..<blocksBefore {
                try await run.feed.store([10 * (number + 1), 10 * (number + 1) + 1])
                try await builder.harness.advance()
            }
            if isRunning { try await run.holdUpBatch([777]) }
            for block in waiting { try await run.feed.store(block) }
            try await run.stop(graceful: isGraceful)
            return try compare(run, &recorded)
        }
    }

    /// The times of the batches after the stop, and how many of them are empty, need not match.
    private static func compare(
        _ run: StopRun, _ recorded: inout RecordedCase
    ) throws -> [String] {
        let harness = run.builder.harness
        let expected = try recorded.body.takeArray("outputs").map { try CaseBatch($0) }
        let ours = run.seen.take()
        var outcome = try PieceStep(
            .object([
                "outputs": .array(
                    expected.map(\.elements).filter { !$0.isEmpty }.map { .array($0) }),
                "allElements": try recorded.body.take("allElements"),
                "state": try recorded.body.take("state"),
                "stopReturned": try recorded.body.take("stopReturned"),
            ]))
        try outcome.expect(
            "outputs",
            .array(ours.filter { !$0.isEmpty }.map { .array($0.map { .int(Int64($0)) }) }))
        try outcome.expect(
            "allElements", .array(ours.flatMap { $0 }.sorted().map { .int(Int64($0)) }))
        try outcome.expect("state", .string("\(harness.ssc.state)"))
        try outcome.expect("stopReturned", .bool(true))
        return try outcome.finish() + harness.errors.map { "\($0)" }
    }
}

/// A context fed block by block, whose batches can be held up in their output operation.
private final class StopRun {
    let feed = ReceiverFeed<Int>()
    let seen = Collected<[Int]>()
    let builder: PipelineBuilder
    private let isHeld = Gate()
    private let release = Gate()
    private let stopArrived = Gate()

    init(_ builder: PipelineBuilder) {
        self.builder = builder
        let stream = builder.ssc.receiverStream(feed)
        stream.foreachRDD { [seen, isHeld, release, stopArrived] rdd in
            let elements = try await rdd.collect()
            if elements == [777] {
                isHeld.open()
                await withTaskCancellationHandler {
                    await release.wait()
                } onCancel: {
                    stopArrived.open()
                }
            }
            seen.append(elements)
        }
    }

    /// Runs a batch up to the middle of its output operation.
    func holdUpBatch(_ block: [Int]) async throws {
        try await feed.store(block)
        builder.harness.clock.advance(by: builder.ssc.batchInterval)
        await isHeld.wait()
    }

    /// Stops, and lets the held batch go on when the stop is under way.
    func stop(graceful: Bool) async throws {
        let (ssc, listener) = (builder.ssc, builder.harness.listener)
        try await withThrowingDiscardingTaskGroup { [release, stopArrived] group in
            group.addTask {
                try await listener.first { event in
                    if case .receiverStopped = event { true } else { false }
                }
                stopArrived.open()
            }
            group.addTask {
                await stopArrived.wait()
                release.open()
            }
            await ssc.stop(graceful: graceful)
        }
    }
}
