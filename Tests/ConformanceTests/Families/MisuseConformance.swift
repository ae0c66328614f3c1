import BatchEngine
import DStreamTestKit
import StreamingContext

/// What happens when things are called at the wrong time or with what cannot work.
enum MisuseConformance {
    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report(
            "misuse",
            notRun: ["misuse.null_spark_context": .noNull, "misuse.directory_null": .noNull]
        ) { recorded in
            let run = MisuseRun(interval: try recorded.params.takeDuration("batchMillis"))
            var outcome: Result<PieceJSON, any Error>
            do {
                outcome = .success(try await perform(recorded.pipeline, run))
            } catch {
                outcome = .failure(error)
            }
            await run.harness.ssc.stop()
            if case .failure(let error as Pipelines.Unknown) = outcome { throw error }
            // An unsuccessful declaration does not throw where it stands.
            if case .success = outcome, let late = run.harness.errors.first {
                outcome = .failure(late)
            }
            return try compare(outcome, &recorded)
        }
    }

    private static func compare(
        _ outcome: Result<PieceJSON, any Error>, _ recorded: inout RecordedCase
    ) throws -> [String] {
        guard recorded.body.has("error") else {
            let result = try recorded.body.take("result")
            switch outcome {
            case .success(let ours): return ours == result ? [] : ["\(ours), not \(result)"]
            case .failure(let error): return ["\(error), not \(result)"]
            }
        }
        var entry = try PieceStep(try recorded.body.take("error"))
        let expected = try CaseError.takeCause(&entry)
        try entry.requireNothingLeft()
        guard case .failure(let error) = outcome else { return ["no error, unlike \(expected)"] }
        let causes = CaseError.ours(error).map(\.cause)
        return causes == [expected] ? [] : ["\(causes), not \(expected)"]
    }

    private static func perform(_ id: String, _ run: MisuseRun) async throws -> PieceJSON {
        guard id.hasPrefix("misuse.") else {
            throw Pipelines.Unknown(description: "no pipeline is known as \(id)")
        }
        let name = String(id.dropFirst("misuse.".count))
        if let result = try await performLife(name, run) { return result }
        if let result = try await performLate(name, run) { return result }
        if let result = try await performWait(name, run) { return result }
        if let result = try await performRestart(name, run) { return result }
        throw Pipelines.Unknown(description: "no pipeline is known as \(id)")
    }

    private static func performRestart(
        _ name: String, _ run: MisuseRun
    ) async throws -> PieceJSON? {
        let directory = try TemporaryDirectory()
        switch name {
        case "restart_from_missing_checkpoint": break
        case "restart_from_broken_checkpoint":
            try FileSystem.writeAtomically(
                directory.path + "/checkpoint-1000", [1, 2, 3], durability: .handedOver)
        default: return nil
        }
        // Ours is called in each start, as nothing of a program is kept.
        let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: directory.path) {
            run.harness.ssc
        }
        return .bool(!ssc.isRecovered)
    }

    private static func performLife(_ name: String, _ run: MisuseRun) async throws -> PieceJSON? {
        let ssc = run.harness.ssc
        switch name {
        case "start_without_output":
            try await ssc.start()
            return .null
        case "start_twice":
            run.count()
            try await ssc.start()
            try await ssc.start()
            return run.state
        case "start_after_stop":
            run.count()
            try await ssc.start()
            await ssc.stop()
            try await ssc.start()
            return .null
        case "stop_before_start":
            await ssc.stop()
            return run.state
        case "states":
            run.count()
            var states = [run.state]
            try await ssc.start()
            states.append(run.state)
            await ssc.stop()
            states.append(run.state)
            return .array(states)
        case "second_context_after_first_stopped":
            run.count()
            try await ssc.start()
            await ssc.stop()
            let second = MisuseRun(interval: ssc.batchInterval)
            second.count()
            try await second.harness.ssc.start()
            let state = second.state
            await second.harness.ssc.stop()
            return state
        case "get_active_or_create":
            run.count()
            try await ssc.start()
            // Other tests may have started contexts since, so that it need not be ours.
            var wasMade = false
            _ = StreamingContext.getActiveOrCreate {
                wasMade = true
                return run.harness.ssc
            }
            return .bool(!wasMade)
        default: return nil
        }
    }

    private static func performLate(_ name: String, _ run: MisuseRun) async throws -> PieceJSON? {
        let ssc = run.harness.ssc
        switch name {
        case "state_after_failed_start":
            let started = await Result { try await ssc.start() }
            guard case .failure = started, ssc.state == .stopped else { return run.state }
            run.count()
            return .null
        case "add_transformation_after_start":
            run.count()
            try await ssc.start()
            _ = run.input.map { $0 + 1 }
            return .null
        case "add_window_after_start":
            run.count()
            try await ssc.start()
            _ = run.input.window(.seconds(2))
            return .null
        case "add_transformation_after_stop":
            run.count()
            try await ssc.start()
            await ssc.stop()
            _ = run.input.map { $0 + 1 }
            return .null
        case "stream_checkpoint_after_start":
            run.count()
            try await ssc.start()
            run.input.checkpoint(.seconds(10))
            return .null
        case "remember_twice":
            run.count()
            ssc.remember(.seconds(10))
            ssc.remember(.seconds(20))
            try await ssc.start()
            return .null
        case "stream_remember_after_start_shorter":
            run.input.remember(.seconds(5))
            run.input.remember(.seconds(2))
            return run.input.node.rememberDuration.map { .duration($0) } ?? .null
        case "checkpoint_interval_below_slide":
            let directory = try TemporaryDirectory()
            ssc.checkpoint(directory.path)
            run.input.checkpoint(.milliseconds(500))
            run.count()
            try await ssc.start()
            return .null
        case "stateful_without_directory":
            run.input.map { ("a", $0) }
                .updateStateByKey { values, sum in values.reduce(sum ?? 0, +) }
                .foreachRDD { _ in }
            try await ssc.start()
            return .null
        case "streams_of_two_contexts":
            let other = MisuseRun(interval: ssc.batchInterval)
            run.harness.ssc.graph.inputStream { _, _ in nil as RDD<Int>? }
                .union(other.input).foreachRDD { _ in }
            try await ssc.start()
            return .null
        default: return nil
        }
    }

    private static func performWait(_ name: String, _ run: MisuseRun) async throws -> PieceJSON? {
        let ssc = run.harness.ssc
        switch name {
        case "await_with_timeout_running":
            run.count()
            try await ssc.start()
            async let ended = ssc.awaitTermination(timeout: .milliseconds(50))
            // The next batch and the wait.
            await run.harness.clock.waitForSleepers(count: 2)
            run.harness.clock.advance(by: .milliseconds(50))
            return .bool(try await ended)
        case "await_gets_the_error":
            run.input.foreachRDD { _ in throw CaseFailure(description: "boom") }
        case "await_gets_the_generation_error":
            run.input.transform { _ -> RDD<Int> in throw CaseFailure(description: "gen") }
                .foreachRDD { _ in }
        default: return nil
        }
        try await ssc.start()
        try await run.harness.advance()
        return .bool(try await ssc.awaitTermination(timeout: .seconds(5)))
    }
}

/// A context with one input.
private final class MisuseRun {
    let harness: StreamHarness
    let input: DStream<Int>

    init(interval: Duration) {
        harness = StreamHarness(
            batchInterval: interval, configuration: PipelineBuilder.configuration)
        input = harness.input([[1]])
    }

    /// Adds an output operation.
    func count() { input.foreachRDD { rdd in _ = try await rdd.count() } }

    var state: PieceJSON { .string("\(harness.ssc.state)") }
}

extension Result where Failure == any Error {
    /// The outcome of a body that waits.
    init(catching body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
