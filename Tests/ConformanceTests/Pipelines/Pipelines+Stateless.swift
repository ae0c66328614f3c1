import BatchEngine
import DStreamCore
import StreamingContext

/// The pipelines of the cases: the same id, the same code.
enum Pipelines {
    struct Unknown: Error, CustomStringConvertible {
        let description: String
    }

    /// Declares the pipeline with an id.
    static func declare(_ id: String, on builder: PipelineBuilder) throws {
        let isKnown =
            try declareNarrow(id, builder) || declareKeyed(id, builder)
            || declareWhole(id, builder) || declareUnion(id, builder)
            || declareTransform(id, builder) || declareJoin(id, builder)
            || declareWindow(id, builder)
            || declareReducedWindow(id, builder) || declareKeyedWindow(id, builder)
            || declareInverseWindow(id, builder) || declareCountedWindow(id, builder)
            || declareGroupedWindow(id, builder) || declareTransformWith(id, builder)
            || declareUpdate(id, builder) || declareUpdateForms(id, builder)
            || declareMapWithState(id, builder) || declareStateNotes(id, builder)
            || declareStateMisuse(id, builder)
        if !isKnown { throw Unknown(description: "no pipeline is known as \(id)") }
    }

    private static func declareNarrow(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        switch id {
        case "map.times2":
            builder.output(try builder.input(.int).map { $0 * 2 }, .int)
        case "flatMap.splitOnSpace":
            builder.output(try builder.input(.string).flatMap { splitOnSpace($0) }, .string)
        case "flatMap.repeatMod3":
            let repeated = try builder.input(.int).flatMap { value in
                Array(repeating: value, count: ((value % 3) + 3) % 3)
            }
            builder.output(repeated, .int)
        case "filter.even":
            builder.output(try builder.input(.int).filter { $0 % 2 == 0 }, .int)
        case "mapPartitions.sum":
            let sums = try builder.input(.int).mapPartitions { [$0.reduce(0, +)] }
            builder.output(sums, .int)
        case "mapPartitions.runningSum":
            let sums = try builder.input(.int).mapPartitions { values in
                var sum = 0
                return values.map { value in
                    sum += value
                    return sum
                }
            }
            builder.output(sums, .int)
        case "glom":
            builder.output(try builder.input(.any).glom(), .list(.any))
        case "mapValues.negate":
            builder.output(try builder.input(.counted).mapValues { -$0 }, .counted)
        case "flatMapValues.countdown":
            let counts = try builder.input(.counted).flatMapValues { value in
                stride(from: value, through: 1, by: -1).map { $0 }
            }
            builder.output(counts, .counted)
        case "persist.twoOutputs":
            let kept = try builder.input(.int).map { $0 + 1 }.persist()
            builder.output(kept, .int)
            builder.output(kept.map { $0 * 10 }, .int, name: "sTimes10")
        case "cache.map":
            builder.output(try builder.input(.int).cache().map { $0 - 1 }, .int)
        default: return false
        }
        return true
    }

    private static func declareKeyed(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        switch id {
        case "reduceByKey.sum":
            let partitions = try builder.takePartitions()
            let sums = try builder.input(.counted).reduceByKey(partitions: partitions, +)
            builder.output(sums, .counted)
        case "reduceByKey.wordCount":
            let counts = try builder.input(.string)
                .flatMap { splitOnSpace($0) }.map { ($0, 1) }.reduceByKey(+)
            builder.output(counts, .counted)
        case "groupByKey":
            let partitions = try builder.takePartitions()
            let input = try builder.input(.pair(.any, .any))
            builder.output(input.groupByKey(partitions: partitions), .pair(.any, .list(.any)))
        case "groupByKey.partitioner":
            let groups = try builder.input(.counted)
                .groupByKey(partitioner: HashPartitioner<String>(partitionCount: 3))
            builder.output(groups, .pair(.string, .list(.int)))
        case "combineByKey.sumCount":
            let combined = try builder.input(.counted).combineByKey(
                createCombiner: { ($0, 1) }, mergeValue: { ($0.0 + $1, $0.1 + 1) },
                mergeCombiners: { ($0.0 + $1.0, $0.1 + $1.1) },
                partitioner: HashPartitioner<String>(partitionCount: 3),
                mapSideCombine: try builder.params.takeBool("mapSideCombine"))
            builder.output(combined, .pair(.string, .pair(.int, .int)))
        case "combineByKey.creations":
            let creations = try builder.input(.pair(.any, .any)).combineByKey(
                createCombiner: { _ in 1 }, mergeValue: { count, _ in count },
                mergeCombiners: { $0 + $1 },
                partitioner: HashPartitioner<CaseValue>(partitionCount: 3),
                mapSideCombine: try builder.params.takeBool("mapSideCombine"))
            builder.output(creations, .pair(.any, .int))
        case "countByValue":
            builder.output(try builder.input(.any).countByValue(), .pair(.any, .int))
        case "countByValue.words":
            let partitions = try builder.takePartitions()
            let counts = try builder.input(.string).countByValue(partitions: partitions)
            builder.output(counts, .counted)
        default: return false
        }
        return true
    }

    private static func declareWhole(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        switch id {
        case "count":
            builder.output(try builder.input(.any).count(), .int)
        case "reduce.sum":
            builder.output(try builder.input(.int).reduce(+), .int)
        case "reduce.max":
            builder.output(try builder.input(.int).reduce { max($0, $1) }, .int)
        case "reduce.concat":
            builder.output(try builder.input(.string).reduce(+), .string)
        case "repartition":
            let count = Int(try builder.params.takeInt("numPartitions"))
            builder.output(try builder.input(.any).repartition(count), .any)
        case "repartition.partitionCount":
            let count = Int(try builder.params.takeInt("numPartitions"))
            let counted = try builder.input(.int).repartition(count)
                .mapPartitions { _ in [1] }.reduce(+)
            builder.output(counted, .int)
        default: return false
        }
        return true
    }

    private static func declareTransform(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        switch id {
        case "transform.dropFirst":
            let dropped = try builder.input(.any).transform { rdd in
                try await rdd.zipWithIndex().filter { $0.1 > 0 }.map { $0.0 }
            }
            builder.output(dropped, .any)
        case "transform.withTime":
            let timed = try builder.input(.any).transform { rdd, time in
                rdd.map { (Int(time.milliseconds), $0) }
            }
            builder.output(timed, .pair(.int, .any))
        case "transform.sorted":
            let sorted = try builder.input(.int).transform { rdd in try await rdd.sortBy { $0 } }
            builder.output(sorted, .int)
        default: return false
        }
        return true
    }

    private static func declareUnion(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        switch id {
        case "union.two":
            let (first, second) = (try builder.input(0, .any), try builder.input(1, .any))
            builder.output(first.union(second), .any)
        case "union.context":
            let inputs = try builder.inputs.indices.map { try builder.input($0, .any) }
            builder.output(builder.ssc.union(inputs), .any)
        case "union.self":
            let input = try builder.input(.any)
            builder.output(input.union(input), .any)
        case "union.differentSlides":
            let (first, second) = (try builder.input(0, .any), try builder.input(1, .any))
            builder.output(first.union(second.window(.seconds(2), slide: .seconds(2))), .any)
        default: return false
        }
        return true
    }

    /// As Java splits: parts between spaces, those without text dropped at the end only.
    static func splitOnSpace(_ text: String) -> [String] {
        guard text.utf8.contains(UInt8(ascii: " ")) else { return [text] }
        var parts = text.utf8
            .split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        while parts.last?.isEmpty == true { parts.removeLast() }
        return parts
    }
}
