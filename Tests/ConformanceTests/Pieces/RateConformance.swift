import DStreamCore
import JobGeneration
import ReceiverRuntime

/// The families about estimating and limiting rates.
enum RateConformance {
    static func pidRateEstimator() throws -> ConformanceReport {
        try PieceCase.report("pid_rate_estimator") { piece in
            switch piece.pipeline {
            case "pid":
                var estimator = try makeEstimator(&piece.params)
                return try piece.forEachStep { try compare(&$0, with: &estimator) }
            default:
                return try piece.forEachStep { try compareCreation(&$0) }
            }
        }
    }

    static func rateLimiter() throws -> ConformanceReport {
        let exceptions = ["initial_below_maximum": "a rate limit of 30 reads back as 30, not 29"]
        return try PieceCase.report("rate_limiter", exceptions: exceptions) { piece in
            var limiter = RateLimiter(
                configuration: .init(
                    maximumRate: try piece.params.takeOptionalInt("maxRate"),
                    initialRate: try piece.params.takeOptionalInt("initialRate")),
                now: .zero)
            let isExcepted = exceptions[piece.name] != nil
            return try piece.forEachStep { step in
                switch try step.takeString("do") {
                case "getCurrentLimit":
                    try step.expect("result", .int(limiter.currentLimit))
                case "updateRate":
                    let rate = try step.takeInt("rate")
                    limiter.updateRate(rate, now: .zero)
                    if isExcepted && rate == 30 {
                        let (theirs, ours) = (try step.takeInt("result"), limiter.currentLimit)
                        if (theirs, ours) != (29, 30) { step.add(["30 reads back as \(ours)"]) }
                    } else {
                        try step.expect("result", .int(limiter.currentLimit))
                    }
                case let other:
                    throw PieceStep.Malformed(description: "unknown operation \(other)")
                }
            }
        }
    }

    private static func makeEstimator(_ params: inout PieceStep) throws -> PIDRateEstimator {
        try PIDRateEstimator(
            batchInterval: try params.takeDuration("batchMillis"),
            configuration: .init(
                proportional: try params.takeDouble("proportional"),
                integral: try params.takeDouble("integral"),
                derivative: try params.takeDouble("derivative"),
                minimumRate: try params.takeDouble("minRate")))
    }

    private static func compare(
        _ step: inout PieceStep, with estimator: inout PIDRateEstimator
    ) throws {
        guard try step.takeString("do") == "compute" else {
            throw PieceStep.Malformed(description: "unknown operation")
        }
        let rate = estimator.compute(
            time: try step.takeTime("timeMillis"),
            elements: Int(try step.takeInt("numElements")),
            processingDelay: try step.takeDuration("processingDelayMillis"),
            schedulingDelay: try step.takeDuration("schedulingDelayMillis"))
        try step.expect("result", rate.map { .double($0) } ?? .null)
    }

    /// Creation from settings by their names, for batches of two seconds.
    private static func compareCreation(_ step: inout PieceStep) throws {
        guard try step.takeString("do") == "create" else {
            throw PieceStep.Malformed(description: "unknown operation")
        }
        var settings = try PieceStep(.object(try step.takeObject("conf")))
        let prefix = "spark.streaming.backpressure."
        func number(_ key: String, otherwise: Double) throws -> Double {
            guard settings.has(prefix + key) else { return otherwise }
            let text = try settings.takeString(prefix + key)
            guard let value = Double(text) else {
                throw PieceStep.Malformed(description: "\(key) is no number: \(text)")
            }
            return value
        }
        let defaults = PIDRateEstimator.Configuration()
        let pid = PIDRateEstimator.Configuration(
            proportional: try number("pid.proportional", otherwise: defaults.proportional),
            integral: try number("pid.integral", otherwise: defaults.integral),
            derivative: try number("pid.derived", otherwise: defaults.derivative),
            minimumRate: try number("pid.minRate", otherwise: defaults.minimumRate))
        let nameKey = prefix + "rateEstimator"
        let name = settings.has(nameKey) ? try settings.takeString(nameKey) : "pid"
        step.add(try settings.finish())
        try step.expectOutcome {
            let configuration = try RateEstimatorConfiguration(name: name, pid: pid)
            let made = try configuration.makeEstimator(batchInterval: .seconds(2))
            guard let estimator = made as? PIDRateEstimator else { return .null }
            return .object([
                "class": .string("\(type(of: estimator))"),
                "batchIntervalMillis": .duration(estimator.batchInterval),
                "proportional": .double(estimator.configuration.proportional),
                "integral": .double(estimator.configuration.integral),
                "derivative": .double(estimator.configuration.derivative),
                "minRate": .double(estimator.configuration.minimumRate),
            ])
        }
    }
}
