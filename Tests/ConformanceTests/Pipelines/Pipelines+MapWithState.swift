import BatchEngine
import DStreamCore
import StreamingContext

// The pipelines of mapWithState; time-outs as Spark sweeps them.
extension Pipelines {
    private typealias Sum = StateSpec<String, Int, Int, (String, Int)>
    private typealias Note = StateSpec<String, Int, Int, [CaseValue]>
    private typealias One = StateSpec<String, Int, CaseValue, Int>

    static func declareMapWithState(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        guard id.hasPrefix("mapWithState.") else { return false }
        var input = try builder.input(.counted)
        var spec = sum
        var interval: Duration?
        switch id {
        case "mapWithState.sum": break
        case "mapWithState.sumOnePartition": spec = sum.numPartitions(1)
        case "mapWithState.sumInitial": spec = sum.initialState(try builder.takeInitialStates())
        case "mapWithState.sumCheckpoint":
            interval = try builder.duration("checkpointMillis")
        case "mapWithState.windowed":
            input = input.window(.seconds(2), slide: .seconds(2))
        default: return false
        }
        let mapped = input.mapWithState(spec)
        if let interval { mapped.checkpoint(interval) }
        builder.output(mapped.mapped, .counted)
        builder.output(mapped.stateSnapshots(), .counted, name: "stateSnapshots")
        return true
    }

    static func declareStateNotes(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        let spec: Note
        var interval: Duration?
        switch id {
        case "mapWithState.probe": spec = Note.function(probe)
        case "mapWithState.timeEvenOnly":
            spec = Note.function { time, key, value, state in
                let sum = (value ?? 0) + (state.getOption() ?? 0)
                try state.update(sum)
                return sum % 2 == 0 ? [.string(key), .int(sum), .int(time.milliseconds)] : nil
            }
        case "mapWithState.timeout", "mapWithState.timeoutInitial":
            var timing = Note.function(timeout)
                .timeout(try builder.duration("timeoutMillis")).timeoutSweep(.atCheckpoints)
            if id.hasSuffix("Initial") {
                timing = timing.initialState(
                    builder.ssc.batchContext.parallelize([("i", 7), ("j", 8)]))
            }
            spec = timing
            interval = try builder.params.takeOptionalInt("checkpointMillis").map {
                .milliseconds($0)
            }
        case "mapWithState.readRenews":
            spec = Note.function(readOrUpdate)
                .timeout(.seconds(2)).timeoutSweep(.atCheckpoints)
            interval = .seconds(1)
        default: return false
        }
        let mapped = try builder.input(.counted).mapWithState(spec)
        if let interval { mapped.checkpoint(interval) }
        builder.output(mapped.mapped, .list(.any))
        builder.output(mapped.stateSnapshots(), .counted, name: "stateSnapshots")
        return true
    }

    static func declareStateMisuse(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        let spec: One
        switch id {
        case "mapWithState.misuse.remove_not_existing":
            spec = One.function { _, _, state in
                try state.remove()
                return 1
            }
        case "mapWithState.misuse.update_after_remove":
            spec = One.function { _, _, state in
                try state.update(.int(1))
                try state.remove()
                try state.update(.int(2))
                return 1
            }
        case "mapWithState.misuse.update_null":
            spec = One.function { _, _, state in
                try state.update(.null)
                return 1
            }
        case "mapWithState.misuse.update_while_timing_out":
            spec = One.function { _, _, state in
                try state.update(.int(state.isTimingOut ? 9 : 1))
                return 1
            }.timeout(.seconds(1)).timeoutSweep(.atCheckpoints)
        default: return false
        }
        let mapped = try builder.input(.counted).mapWithState(spec)
        if id.hasSuffix("timing_out") { mapped.checkpoint(.seconds(1)) }
        builder.output(mapped.mapped, .int)
        builder.output(
            mapped.stateSnapshots(), .pair(.string, .any), name: "stateSnapshots")
        return true
    }

    private static var sum: Sum {
        Sum.function { key, value, state in
            let sum = (value ?? 0) + (state.getOption() ?? 0)
            try state.update(sum)
            return (key, sum)
        }
    }

    @Sendable private static func probe(
        _ key: String, _ value: Int?, _ state: State<Int>
    ) throws -> [CaseValue] {
        var seen: [CaseValue] = [
            .string(key), .int(value), .bool(state.exists), .int(state.getOption()),
            .bool(state.isTimingOut), .string(try read(state)),
        ]
        let value = value ?? 0
        if value < 0 { try state.remove() }
        if value > 0 { try state.update(value) }
        seen += [.bool(state.exists), .int(state.getOption())]
        return seen
    }

    private static func read(_ state: State<Int>) throws -> String {
        do { return "\(try state.get())" } catch let error as StreamError {
            guard error.code == .stateNotSet else { throw error }
            return "java.util.NoSuchElementException: State is not set"
        }
    }

    @Sendable private static func timeout(
        _ key: String, _ value: Int?, _ state: State<Int>
    ) throws -> [CaseValue] {
        if state.isTimingOut {
            return [
                .string("TIMEOUT"), .string(key), .int(value), .int(state.getOption()),
                .bool(state.exists),
            ]
        }
        let sum = (value ?? 0) + (state.getOption() ?? 0)
        try state.update(sum)
        return [.string("data"), .string(key), .int(value), .int(sum), .bool(state.exists)]
    }

    @Sendable private static func readOrUpdate(
        _ key: String, _ value: Int?, _ state: State<Int>
    ) throws -> [CaseValue] {
        if state.isTimingOut {
            return [.string(key), .string("TIMEOUT"), .int(state.getOption())]
        }
        guard let value, value > 0 else {
            return [.string(key), .string("read"), .int(state.getOption() ?? -1)]
        }
        try state.update(value)
        return [.string(key), .string("update"), .int(value)]
    }
}

extension CaseValue {
    fileprivate static func int(_ value: Int?) -> CaseValue {
        value.map { .int(Int64($0)) } ?? .null
    }
}
