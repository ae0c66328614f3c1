import BatchEngine
import DStreamCore

/// The pipelines of two streams with keys.
extension Pipelines {
    static func declareJoin(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        switch id {
        case "join":
            let (first, second) = try pairs(builder)
            let joined = first.join(second, partitions: try builder.takePartitions())
            builder.output(joined, .pair(.any, .pair(.any, .any)))
        case "join.windowed":
            let (first, second) = try pairs(builder)
            let one = Duration.seconds(1)
            let joined = first.window(.seconds(2), slide: one)
                .join(second.window(.seconds(3), slide: one))
            builder.output(joined, .pair(.any, .pair(.any, .any)))
        case "join.partitioner":
            let (first, second) = try pairs(builder)
            let joined = first.join(
                second, partitioner: HashPartitioner<CaseValue>(partitionCount: 1))
            builder.output(joined, .pair(.any, .pair(.any, .any)))
        case "leftOuterJoin":
            let (first, second) = try pairs(builder)
            let joined = first.leftOuterJoin(second, partitions: try builder.takePartitions())
            builder.output(joined, .pair(.any, .pair(.any, .optional(.any))))
        case "rightOuterJoin":
            let (first, second) = try pairs(builder)
            let joined = first.rightOuterJoin(second, partitions: try builder.takePartitions())
            builder.output(joined, .pair(.any, .pair(.optional(.any), .any)))
        case "fullOuterJoin":
            let (first, second) = try pairs(builder)
            let joined = first.fullOuterJoin(second, partitions: try builder.takePartitions())
            builder.output(joined, .pair(.any, .pair(.optional(.any), .optional(.any))))
        case "cogroup":
            let (first, second) = try pairs(builder)
            let groups = first.cogroup(second, partitions: try builder.takePartitions())
            builder.output(groups, .pair(.any, .pair(.list(.any), .list(.any))))
        default: return false
        }
        return true
    }

    private typealias Pairs = DStream<(CaseValue, CaseValue)>

    private static func pairs(_ builder: PipelineBuilder) throws -> (Pairs, Pairs) {
        (try builder.input(0, .pair(.any, .any)), try builder.input(1, .pair(.any, .any)))
    }
}

extension ElementForm {
    /// A value or null.
    static func optional<Wrapped: Sendable>(
        _ wrapped: ElementForm<Wrapped>
    ) -> ElementForm where Element == Wrapped? {
        ElementForm(
            read: { $0 == .null ? nil : try wrapped.read($0) },
            write: { $0.map(wrapped.write) ?? .null })
    }
}
