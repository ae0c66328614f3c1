import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext

/// How long streams remember their RDDs, and which they hold after each batch.
enum RememberConformance {
    /// The slides of windows whose batches checkpoints have computed at their own time.
    private static let slides: [String: Int64] = [
        "reduce_window_inverse_3s_batches": 6000, "state_then_window": 5000,
    ]

    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report(
            "remember",
            differently: slides.mapValues { _ in
                "differs on purpose (11): batches of the next window are computed early"
            }
        ) { recorded in
            let builder = try PipelineBuilder(params: recorded.params, inputs: [[]])
            if let remember = try builder.params.takeOptionalInt("contextRememberMillis") {
                builder.ssc.remember(.milliseconds(remember))
            }
            let nodes = try declare(recorded.pipeline, builder)
            recorded.params = builder.params
            try await builder.ssc.start()
            var differences = try compareDurations(
                nodes, try recorded.body.takeObject("durations"))
            for json in try recorded.body.takeArray("steps") {
                await builder.harness.advance()
                var step = try PieceStep(json)
                try step.expect("timeMillis", .time(builder.harness.clock.now))
                let now = builder.harness.clock.now
                let slide = slides[recorded.name] ?? 1
                let window = BatchTime(milliseconds: now.milliseconds / slide * slide)
                if nodes["in"]?.rememberedTimes.last != now, slides[recorded.name] != nil {
                    differences.append("batch \(now) is not there before its window")
                }
                let held = nodes.mapValues { $0.rememberedTimes.filter { $0 <= window } }
                try step.expect("remembered", .object(held.mapValues { .times($0) }))
                differences += try step.finish()
            }
            await builder.ssc.stop()
            return differences + builder.harness.errors.map { "\($0)" }
        }
    }

    private static func declare(
        _ id: String, _ builder: PipelineBuilder
    ) throws -> [String: StreamNode] {
        if id == "remember.reduce_window_inverse_3s_batches" {
            let input = try builder.input(.counted)
            let reduced = input.reduceByKeyAndWindow(
                { $0 + $1 }, inverse: { $0 - $1 }, window: .seconds(9), slide: .seconds(6))
            builder.output(reduced, .counted)
            // The window is held by the operator under the one that takes counts off.
            return ["in": input.node, "r": reduced.node.parents[0]]
        }
        let input = try builder.input(.int)
        switch id {
        case "remember.map", "remember.stream_remember":
            let mapped = input.map { $0 }
            if id == "remember.stream_remember" { mapped.remember(.seconds(3)) }
            builder.output(mapped, .int)
            return ["in": input.node, "m": mapped.node]
        case "remember.window_slide_2":
            let windowed = input.window(.seconds(4), slide: .seconds(2))
            builder.output(windowed, .int)
            return ["in": input.node, "w": windowed.node]
        case "remember.window_of_window":
            let mapped = input.map { $0 }
            let windowed = mapped.window(.seconds(2), slide: .seconds(2))
            let twice = windowed.window(.seconds(4), slide: .seconds(4))
            builder.output(twice, .int)
            return [
                "in": input.node, "m": mapped.node, "w": windowed.node, "v": twice.node,
            ]
        case "remember.update_state", "remember.update_state_20s_batch",
            "remember.state_then_window":
            let states = input.map { ("a", $0) }
                .updateStateByKey { values, sum in values.reduce(sum ?? 0, +) }
            guard id == "remember.state_then_window" else {
                builder.output(states, .counted)
                return ["in": input.node, "u": states.node]
            }
            let windowed = states.window(.seconds(15), slide: .seconds(5))
            builder.output(windowed, .counted)
            return ["in": input.node, "u": states.node, "w": windowed.node]
        default:
            throw Pipelines.Unknown(description: "no pipeline is known as \(id)")
        }
    }

    private static func compareDurations(
        _ nodes: [String: StreamNode], _ expected: [String: PieceJSON]
    ) throws -> [String] {
        guard Set(nodes.keys) == Set(expected.keys) else {
            return ["durations are of \(expected.keys.sorted()), not of \(nodes.keys.sorted())"]
        }
        var differences: [String] = []
        for (name, node) in nodes {
            guard let json = expected[name] else { continue }
            var durations = try PieceStep(json)
            try durations.expect("slideMillis", .duration(node.slideDuration))
            try durations.expect(
                "rememberMillis", node.rememberDuration.map { .duration($0) } ?? .null)
            try durations.expect(
                "checkpointMillis", node.checkpointInterval.map { .duration($0) } ?? .null)
            // No case sets an interval itself: who has one must be checkpointed.
            try durations.expect("mustCheckpoint", .bool(node.checkpointInterval != nil))
            differences += try durations.finish().map { "\(name): \($0)" }
        }
        return differences
    }
}
