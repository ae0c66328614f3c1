import DStreamCore

/// The families about when timers fire, how long files are remembered and how outputs are named.
enum ScheduleConformance {
    static func recurringTimer() async throws -> ConformanceReport {
        try await RecordedCase.report(
            "recurring_timer", pipelines: ["recurringTimer", "recurringTimer.run"]
        ) { piece in
            if piece.pipeline == "recurringTimer" {
                return try piece.takeSteps().differences { try compareStartTimes(&$0) }
            }
            var timer = TimerRun(
                alignment: try BatchAlignment(period: try piece.params.takeDuration("periodMillis"))
            )
            return try piece.takeSteps().differences { try timer.perform(&$0) }
        }
    }

    static func fileWindow() async throws -> ConformanceReport {
        try await RecordedCase.report("file_window", pipelines: ["fileInput.numBatchesToRemember"])
        { piece in
            try piece.takeSteps().differences { step in
                try requireOperation("calculateNumBatchesToRemember", &step)
                let batch = try step.takeDuration("batchMillis")
                let minimum = try step.takeDuration("minRememberMillis")
                try step.expectOutcome {
                    .int(
                        Int64(
                            try BatchAlignment.numBatchesToRemember(
                                minimum: minimum, batchInterval: batch)))
                }
            }
        }
    }

    static func fileNames() async throws -> ConformanceReport {
        try await RecordedCase.report("file_names", pipelines: ["rddToFileName"]) { piece in
            try piece.takeSteps().differences { step in
                try requireOperation("rddToFileName", &step)
                let prefix = try step.takeOptionalString("prefix")
                let suffix = try step.takeOptionalString("suffix")
                let time = try step.takeTime("time")
                let name = OutputNaming.fileName(prefix: prefix, suffix: suffix, time: time)
                try step.expect("result", .string(name))
            }
        }
    }

    private static func requireOperation(_ name: String, _ step: inout PieceStep) throws {
        let operation = try step.takeString("do")
        guard operation == name else {
            throw PieceStep.Malformed(description: "unknown operation \(operation)")
        }
    }

    private static func compareStartTimes(_ step: inout PieceStep) throws {
        let (now, period) = (try step.takeTime("now"), try step.takeDuration("period"))
        try step.expect(
            "getStartTime", .time(try BatchAlignment.startTime(after: now, period: period)))
        var restarts: [String: PieceJSON] = [:]
        let expected = try step.takeObject("getRestartTime")
        for key in expected.keys {
            guard let original = Int64(key) else {
                throw PieceStep.Malformed(description: "\(key) is no time")
            }
            let time = try BatchAlignment.restartTime(
                originalStart: BatchTime(milliseconds: original), after: now, period: period)
            restarts[key] = .time(time)
        }
        var comparison = try PieceStep(.object(["getRestartTime": .object(expected)]))
        try comparison.expect("getRestartTime", .object(restarts))
        step.add(comparison.differences)
    }

    /// A timer on a clock that stands at 0 when it is started.
    private struct TimerRun {
        let alignment: BatchAlignment
        var now = BatchTime.zero
        var ticker: BatchTicker?
        var firings: [BatchTime] = []

        init(alignment: BatchAlignment) {
            self.alignment = alignment
        }

        mutating func perform(_ step: inout PieceStep) throws {
            switch try step.takeString("do") {
            case "start":
                let started = BatchTicker(
                    alignment: alignment, from: alignment.firstTime(after: now))
                ticker = started
                try step.expect("result", .time(started.nextDue))
            case "advance":
                now = now + .milliseconds(try step.takeInt("millis"))
                while let time = ticker?.takeDue(now: now) { firings.append(time) }
                try step.expect("calledBackWith", .times(firings))
            case "stop(interruptTimer = true)":
                // A timer that never fired reports -1.
                try step.expect("result", .int(ticker?.lastTaken?.milliseconds ?? -1))
                ticker = nil
            case let other:
                throw PieceStep.Malformed(description: "unknown operation \(other)")
            }
        }
    }
}
