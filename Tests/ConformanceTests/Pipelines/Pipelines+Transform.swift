import BatchEngine
import DStreamCore
import StreamingContext

extension Pipelines {
    static func declareTransformWith(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        switch id {
        case "transform.contextConcat":
            let inputs = try builder.inputs.indices.map { try builder.input($0, .int) }
            let concatenated = builder.ssc.transform(inputs) { rdds, time in
                let all = rdds.dropFirst().reduce(rdds[0]) { $0.union($1) }
                return all.map { $0 + Int(time.milliseconds) }
            }
            builder.output(concatenated, .int)
        case "transformWith.subtract":
            let (first, second) = (try builder.input(0, .any), try builder.input(1, .any))
            let rest = first.transformWith(second) { rdd, other in
                let without = Set(try await other.collect())
                return rdd.filter { !without.contains($0) }
            }
            builder.output(rest, .any)
        case "transformWith.timeTag":
            let (first, second) = (try builder.input(0, .int), try builder.input(1, .string))
            let tagged = first.transformWith(second) { rdd, other, time in
                rdd.map { "\(time.milliseconds):\($0)" }.union(other)
            }
            builder.output(tagged, .string)
        case "transformWith.differentSlides":
            let (first, second) = (try builder.input(0, .any), try builder.input(1, .any))
            let two = Duration.seconds(2)
            let joined = first.transformWith(second.window(two, slide: two)) { $0.union($1) }
            builder.output(joined, .any)
        default: return false
        }
        return true
    }
}
