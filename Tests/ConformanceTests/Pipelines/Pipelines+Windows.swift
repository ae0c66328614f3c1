import BatchEngine
import DStreamCore

extension Pipelines {
    static func declareWindow(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        let two = Duration.seconds(2)
        switch id {
        case "window":
            let windowed = try builder.input(.any).window(
                try builder.duration("windowMillis"), slide: try builder.duration("slideMillis"))
            builder.output(windowed, .any)
        case "window.glom":
            let windowed = try builder.input(.any).window(
                try builder.duration("windowMillis"), slide: try builder.duration("slideMillis"))
            builder.output(windowed.glom(), .list(.any))
        case "window.ofWindow":
            let windowed = try builder.input(.any).window(two, slide: two)
            builder.output(windowed.window(.seconds(4), slide: two), .any)
        case "window.ofTumblingBigSlide":
            let windowed = try builder.input(.int).window(two, slide: two)
            builder.output(windowed.window(two, slide: .seconds(4)).map { $0 + 1 }, .int)
        case "window.ofTumblingNotMultiple":
            let windowed = try builder.input(.any).window(two, slide: two)
            builder.output(windowed.window(.seconds(3), slide: .seconds(3)), .any)
        default: return false
        }
        return true
    }

    static func declareReducedWindow(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        let combine: @Sendable (Int, Int) -> Int
        switch id {
        case "reduceByWindow.sum": combine = { $0 + $1 }
        case "reduceByWindow.max": combine = { max($0, $1) }
        case "reduceByWindow.sumInverse":
            let reduced = try builder.input(.int).reduceByWindow(
                { $0 + $1 }, inverse: { $0 - $1 }, window: try builder.duration("windowMillis"),
                slide: try builder.duration("slideMillis"))
            builder.output(reduced, .int)
            return true
        default: return false
        }
        let reduced = try builder.input(.int).reduceByWindow(
            combine, window: try builder.duration("windowMillis"),
            slide: try builder.duration("slideMillis"))
        builder.output(reduced, .int)
        return true
    }

    static func declareKeyedWindow(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        let combine: @Sendable (Int, Int) -> Int
        var hasSlide = true
        switch id {
        case "reduceByKeyAndWindow.sum": combine = { $0 + $1 }
        case "reduceByKeyAndWindow.max": combine = { max($0, $1) }
        case "reduceByKeyAndWindow.oneArgument":
            combine = { $0 + $1 }
            hasSlide = false
        default: return false
        }
        let reduced = try builder.input(.counted).reduceByKeyAndWindow(
            combine, window: try builder.duration("windowMillis"),
            slide: hasSlide ? try builder.duration("slideMillis") : nil)
        builder.output(reduced, .counted)
        return true
    }

    static func declareInverseWindow(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        var inverse: @Sendable (Int, Int) -> Int = { $0 - $1 }
        var isIncluded: (@Sendable ((String, Int)) -> Bool)?
        switch id {
        case "reduceByKeyAndWindow.sumInverse": break
        case "reduceByKeyAndWindow.sumInverseNonZero": isIncluded = { $0.1 != 0 }
        case "reduceByKeyAndWindow.sumInverseGt1": isIncluded = { $0.1 > 1 }
        case "reduceByKeyAndWindow.badInverse": inverse = { $0 * 100 + $1 }
        case "reduceByKeyAndWindow.partitionerInverse":
            let reduced = try builder.input(.counted).reduceByKeyAndWindow(
                { $0 + $1 }, inverse: inverse, window: try builder.duration("windowMillis"),
                slide: try builder.duration("slideMillis"),
                partitioner: HashPartitioner<String>(partitionCount: 3))
            builder.output(reduced, .counted)
            return true
        default: return false
        }
        let reduced = try builder.input(.counted).reduceByKeyAndWindow(
            { $0 + $1 }, inverse: inverse, window: try builder.duration("windowMillis"),
            slide: try builder.duration("slideMillis"), filter: isIncluded)
        builder.output(reduced, .counted)
        return true
    }
}

extension Pipelines {
    static func declareCountedWindow(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        switch id {
        case "countByWindow":
            let counts = try builder.input(.any).countByWindow(
                try builder.duration("windowMillis"), slide: try builder.duration("slideMillis"))
            builder.output(counts, .int)
        case "countByValueAndWindow", "countByValueAndWindow.partitions":
            let counts = try builder.input(.any).countByValueAndWindow(
                try builder.duration("windowMillis"), slide: try builder.duration("slideMillis"),
                partitions: id == "countByValueAndWindow" ? nil : 3)
            builder.output(counts, .pair(.any, .int))
        default: return false
        }
        return true
    }

    static func declareGroupedWindow(_ id: String, _ builder: PipelineBuilder) throws -> Bool {
        let partitions: Int?
        switch id {
        case "groupByKeyAndWindow": partitions = nil
        case "groupByKeyAndWindow.partitions": partitions = 3
        default: return false
        }
        let groups = try builder.input(.pair(.any, .any)).groupByKeyAndWindow(
            try builder.duration("windowMillis"), slide: try builder.duration("slideMillis"),
            partitions: partitions)
        builder.output(groups, .pair(.any, .list(.any)))
        return true
    }
}
