import DStreamCore
import JobGeneration
import ReceiverRuntime

/// The families about estimating and limiting rates.
enum RateConformance {
    static func pidRateEstimator() async throws -> ConformanceReport {
        try await RecordedCase.report(
            "pid_rate_estimator", pipelines: ["pid", "rateEstimator.create"]
        ) { piece in
            guard piece.pipeline == "pid" else {
                return try piece.takeSteps().differences { try compareCreation(&$0) }
            }
            var estimator = try makeEstimator(&piece.params)
            return try piece.takeSteps().differences { try compare(&$0, with: &estimator) }
        }
    }

    static func rateLimiter() async throws -> ConformanceReport {
        try await RecordedCase.report("rate_limiter", pipelines: ["rateLimiter"]) { piece in
            let maximum = try piece.params.takeOptionalInt("maxRate")
            let initial = try piece.params.takeOptionalInt("initialRate")
            var limiter = RateLimiter(
                configuration: .init(maximumRate: maximum, initialRate: initial), now: .zero)
            var set = min(initial ?? maximum ?? .max, maximum ?? .max)
            return try piece.takeSteps().differences { step in
                switch try step.takeString("do") {
                case "getCurrentLimit": break
                case "updateRate":
                    let rate = try step.takeInt("rate")
                    limiter.updateRate(rate, now: .zero)
                    if rate > 0 { set = min(rate, maximum ?? .max) }
                case let other:
                    throw PieceStep.Malformed(description: "unknown operation \(other)")
                }
                let recorded = try step.takeInt("result")
                // Spark keeps the time between two elements: a rate may come back less by one.
                let expected =
                    recorded == limitInSpark(after: set)
                    ? piece.declare(set, insteadOf: recorded, .valuesAsGiven) : recorded
                if limiter.currentLimit != expected {
                    step.add(["the limit is \(limiter.currentLimit), not \(expected)"])
                }
            }
        }
    }

    /// What the limit reads back as in Spark after it was set.
    private static func limitInSpark(after rate: Int64) -> Int64 {
        let limit = (1e6 / (1e6 / Double(rate))).rounded(.towardZero)
        return Int64(exactly: limit) ?? .max
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
