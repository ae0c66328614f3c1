import DStreamCore

/// The families about times, durations and intervals.
enum TimeConformance {
    static func time() async throws -> ConformanceReport {
        try await RecordedCase.report(
            "time",
            pipelines: [
                "time.floor", "time.isMultipleOf", "time.until", "time.zeroInterval", "time.order",
                "time.toString", "time.mixed",
            ]
        ) { piece in
            try piece.takeSteps().differences { step in
                if step.has("a") {
                    try compareOrder(&step)
                } else if step.has("do") {
                    try compareOperation(&step)
                } else {
                    try compareMixed(&step)
                }
            }
        }
    }

    static func duration() async throws -> ConformanceReport {
        try await RecordedCase.report(
            "duration", pipelines: ["duration.arith", "duration.units", "duration.zero"]
        ) { piece in
            try piece.takeSteps().differences { step in
                if step.has("n") {
                    try compareUnits(&step)
                } else if step.has("do") {
                    try compareDurationOperation(&step)
                } else {
                    try compareArithmetic(&step)
                }
            }
        }
    }

    static func interval() async throws -> ConformanceReport {
        try await RecordedCase.report("interval", pipelines: ["interval.basics"]) { piece in
            try piece.takeSteps().differences { step in
                let interval = Interval(
                    begin: try step.takeTime("begin"), end: try step.takeTime("end"))
                try step.expect("duration", .duration(interval.duration))
                try step.expect("toString", .string(interval.description))
                let later = interval + .milliseconds(500)
                try step.expect("plus500", .times([later.begin, later.end]))
                let earlier = interval - .milliseconds(500)
                try step.expect("minus500", .times([earlier.begin, earlier.end]))
            }
        }
    }

    private static func compareOperation(_ step: inout PieceStep) throws {
        switch try step.takeString("do") {
        case "floor":
            let (time, duration) = (try step.takeTime("time"), try step.takeDuration("duration"))
            try step.expectOutcome { .time(try time.floor(duration)) }
        case "isMultipleOf":
            let (time, duration) = (try step.takeTime("time"), try step.takeDuration("duration"))
            try step.expectOutcome { .bool(try time.isMultiple(of: duration)) }
        case "until":
            let (from, to) = (try step.takeTime("from"), try step.takeTime("to"))
            let interval = try step.takeDuration("interval")
            try step.expectOutcome { .times(try from.until(to, by: interval)) }
        case "to":
            let (from, to) = (try step.takeTime("from"), try step.takeTime("to"))
            let interval = try step.takeDuration("interval")
            try step.expectOutcome { .times(try from.to(to, by: interval)) }
        case "toString":
            try step.expect("result", .string(try step.takeTime("time").description))
        case let other:
            throw PieceStep.Malformed(description: "unknown operation \(other)")
        }
    }

    private static func compareOrder(_ step: inout PieceStep) throws {
        let (a, b) = (try step.takeTime("a"), try step.takeTime("b"))
        try step.expect("minus", .duration(a - b))
        try step.expect("less", .bool(a < b))
        try step.expect("lessEq", .bool(a <= b))
        try step.expect("greater", .bool(a > b))
        try step.expect("greaterEq", .bool(a >= b))
        try step.expect("min", .time(min(a, b)))
        try step.expect("max", .time(max(a, b)))
        try step.expect("equals", .bool(a == b))
    }

    /// The lists of these cases end three durations after the time.
    private static func compareMixed(_ step: inout PieceStep) throws {
        let (time, duration) = (try step.takeTime("time"), try step.takeDuration("duration"))
        let zeroTime = try step.takeTime("zeroTime")
        try step.expect("floor", .time(try time.floor(duration)))
        try step.expect("floorFrom", .time(try time.floor(duration, zeroTime: zeroTime)))
        try step.expect("isMultipleOf", .bool(try time.isMultiple(of: duration)))
        try step.expect("plus", .time(time + duration))
        let end = time + duration * 3
        try step.expect("to", .times(try time.to(end, by: duration)))
        try step.expect("until", .times(try time.until(end, by: duration)))
    }

    private static func compareArithmetic(_ step: inout PieceStep) throws {
        let (a, b) = (try step.takeDuration("a"), try step.takeDuration("b"))
        try step.expect("plus", .duration(a + b))
        try step.expect("minus", .duration(a - b))
        try step.expect("times3", .duration(a * 3))
        try step.expect("div", .double(a.ratio(to: b)))
        try step.expect("isMultipleOf", .bool(try a.isMultiple(of: b)))
        try step.expect("min", .duration(min(a, b)))
        try step.expect("max", .duration(max(a, b)))
        try step.expect("less", .bool(a < b))
        try step.expect("lessEq", .bool(a <= b))
        try step.expect("greater", .bool(a > b))
        try step.expect("greaterEq", .bool(a >= b))
    }

    private static func compareDurationOperation(_ step: inout PieceStep) throws {
        let operation = try step.takeString("do")
        let (a, b) = (try step.takeDuration("a"), try step.takeDuration("b"))
        switch operation {
        case "isMultipleOf": try step.expectOutcome { .bool(try a.isMultiple(of: b)) }
        case "divIsInfinite": try step.expect("result", .bool(a.ratio(to: b).isInfinite))
        default: throw PieceStep.Malformed(description: "unknown operation \(operation)")
        }
    }

    private static func compareUnits(_ step: inout PieceStep) throws {
        let count = try step.takeInt("n")
        try step.expect("Milliseconds", .duration(.milliseconds(count)))
        try step.expect("Seconds", .duration(.seconds(count)))
        try step.expect("Minutes", .duration(.minutes(count)))
    }
}
