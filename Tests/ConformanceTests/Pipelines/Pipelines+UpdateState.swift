import BatchEngine
import DStreamCore
import StreamingContext

// The pipelines of updateStateByKey.
extension Pipelines {
    private static let two = HashPartitioner<String>(partitionCount: 2)

    static func declareUpdate(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        let update: @Sendable ([Int], Int?) throws -> Int?
        var partitions: Int?
        switch id {
        case "updateStateByKey.sum": update = sum
        case "updateStateByKey.dropNonPositive": update = sumIfPositive
        case "updateStateByKey.idleBatches":
            update = { values, state in
                guard values.isEmpty, let state else { return 0 }
                return state >= 2 ? nil : state + 1
            }
        case "updateStateByKey.throws":
            update = { values, state in
                if values.contains(3) { throw CaseFailure(description: "three") }
                return sum(values, state)
            }
        case "updateStateByKey.sumPartitions":
            update = sum
            partitions = try builder.takePartitions()
        default: return false
        }
        let states = try builder.input(.counted).updateStateByKey(partitions: partitions, update)
        builder.output(states, .counted)
        return true
    }

    static func declareUpdateForms(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        guard id.hasPrefix("updateStateByKey.") else { return false }
        let input = try builder.input(.counted)
        switch id {
        case "updateStateByKey.history":
            let states: DStream<(String, [[Int]])> = input.updateStateByKey { values, state in
                (state ?? []) + [values]
            }
            builder.output(states, .pair(.string, .list(.list(.int))))
        case "updateStateByKey.sumInitial":
            let states = input.updateStateByKey(
                partitioner: two, initialRDD: try builder.takeInitialStates(), sum)
            builder.output(states, .counted)
        case "updateStateByKey.dropNonPositiveInitial":
            let states = input.updateStateByKey(
                partitioner: two, initialRDD: try builder.takeInitialStates(), sumIfPositive)
            builder.output(states, .counted)
        case "updateStateByKey.iterator", "updateStateByKey.iteratorInitial":
            let initial = id.hasSuffix("Initial") ? try builder.takeInitialStates() : nil
            let states: DStream<(String, Int)> = input.updateStateByKey(
                partitioner: two, rememberPartitioner: true, initialRDD: initial, notMultiplesOf5)
            builder.output(states, .counted)
        case "updateStateByKey.time":
            let states: DStream<(String, Int)> = input.updateStateByKey(
                partitioner: two, rememberPartitioner: true
            ) { time, key, values, state in
                if key == "b", time.milliseconds >= 5000 { return nil }
                return (state ?? 0) * 10 + Int(time.milliseconds) / 1000 + values.count * 1_000_000
            }
            builder.output(states, .counted)
        case "updateStateByKey.lastSeen":
            let initial = builder.ssc.batchContext.parallelize([("alpha", 0), ("old", -5000)])
            let states = input.updateStateByKey(
                partitioner: two, rememberPartitioner: true, initialRDD: initial
            ) { time, _, values, last in
                let now = Int(time.milliseconds)
                return values.isEmpty ? last.flatMap { now - $0 < 3000 ? $0 : nil } : now
            }
            builder.output(states, .counted)
        default: return false
        }
        return true
    }

    private static let sum: @Sendable ([Int], Int?) -> Int? = { $0.reduce(0, +) + ($1 ?? 0) }

    private static let sumIfPositive: @Sendable ([Int], Int?) -> Int? = { values, state in
        let sum = values.reduce(0, +) + (state ?? 0)
        return sum <= 0 ? nil : sum
    }

    private static let notMultiplesOf5: @Sendable ([(String, [Int], Int?)]) -> [(String, Int)] = {
        $0.compactMap { key, values, state in
            let sum = values.reduce(0, +) + (state ?? 0)
            return sum % 5 == 0 ? nil : (key, sum)
        }
    }
}

extension PipelineBuilder {
    /// The states a case starts with, in one partition.
    func takeInitialStates() throws -> RDD<(String, Int)> {
        let states = try params.takeArray("initialRDD").map(ElementForm.counted.read)
        return ssc.batchContext.parallelize(states, partitions: 1)
    }
}
