import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext

/// How long streams remember their RDDs, and which they hold after each batch.
enum RememberConformance {
    /// A window, and the streams that it is made of.
    private struct Reader {
        let window: Duration
        let slide: Duration
        let streams: [String]
    }

    static func report() async throws -> ConformanceReport {
        try await RecordedCase.report("remember") { recorded in
            var params = recorded.params
            let isCheckpointed =
                params.has("checkpointDir") ? try params.takeBool("checkpointDir") : false
            let builder = try PipelineBuilder(params: recorded.params, inputs: [[]])
            if let remember = try builder.params.takeOptionalInt("contextRememberMillis") {
                builder.ssc.remember(.milliseconds(remember))
            }
            let nodes = try declare(recorded.pipeline, builder)
            let readers = isCheckpointed ? readers(recorded.pipeline) : []
            recorded.params = builder.params
            try await builder.ssc.start()
            var differences = try compareDurations(
                nodes, try recorded.body.takeObject("durations"))
            for json in try recorded.takeSteps() {
                try await builder.harness.advance()
                var step = try PieceStep(json)
                let now = builder.harness.clock.now
                try step.expect("timeMillis", .time(now))
                let theirs = try step.takeObject("remembered").mapValues { times in
                    try times.elements().map { Int64(try ElementForm.int.read($0)) }
                }
                var early = theirs
                for reader in readers {
                    for name in reader.streams {
                        guard let slide = nodes[name]?.slideDuration else { continue }
                        let batches = early[name, default: []] + panes(reader, slide, now)
                        early[name] = Set(batches).sorted()
                    }
                }
                let expected = recorded.declare(early, insteadOf: theirs, .panesAreEarly)
                let ours = nodes.mapValues { $0.rememberedTimes.map(\.milliseconds) }
                if ours != expected {
                    differences.append("at \(now) remembered are \(ours), not \(expected)")
                }
                differences += try step.finish()
            }
            await builder.ssc.stop()
            return differences + builder.harness.errors.map { "\($0)" }
        }
    }

    /// The batches so far of a stream that the next window will ask for.
    private static func panes(
        _ reader: Reader, _ slide: Duration, _ now: BatchTime
    ) -> [Int64] {
        let (window, step) = (reader.window.milliseconds, reader.slide.milliseconds)
        let next = (now.milliseconds / step + 1) * step
        return stride(
            from: max(next - window, 0) + slide.milliseconds, through: now.milliseconds,
            by: Int(slide.milliseconds)
        ).filter { $0 > next - step }
    }

    /// The windows of a pipeline that ask for several batches at once.
    private static func readers(_ id: String) -> [Reader] {
        switch id {
        case "remember.reduce_window_inverse_3s_batches":
            [Reader(window: .seconds(9), slide: .seconds(6), streams: ["in"])]
        case "remember.window_slide_2":
            [Reader(window: .seconds(4), slide: .seconds(2), streams: ["in"])]
        case "remember.window_of_window":
            [
                Reader(window: .seconds(2), slide: .seconds(2), streams: ["in", "m"]),
                Reader(window: .seconds(4), slide: .seconds(4), streams: ["w"]),
            ]
        case "remember.state_then_window":
            [Reader(window: .seconds(15), slide: .seconds(5), streams: ["in", "u"])]
        default: []
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
