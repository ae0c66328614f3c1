import Testing

/// Every case of the families about single pieces, against what they recorded.
@Suite struct PieceConformanceTests {
    @Test func timesAgree() throws { try expectNoFailure(in: TimeConformance.time()) }

    @Test func durationsAgree() throws { try expectNoFailure(in: TimeConformance.duration()) }

    @Test func intervalsAgree() throws { try expectNoFailure(in: TimeConformance.interval()) }

    @Test func timersAgree() throws {
        try expectNoFailure(in: ScheduleConformance.recurringTimer())
    }

    @Test func fileWindowsAgree() throws {
        try expectNoFailure(in: ScheduleConformance.fileWindow())
    }

    @Test func fileNamesAgree() throws { try expectNoFailure(in: ScheduleConformance.fileNames()) }

    @Test func rateEstimatesAgree() throws {
        try expectNoFailure(in: RateConformance.pidRateEstimator())
    }

    @Test func rateLimitsAgree() throws { try expectNoFailure(in: RateConformance.rateLimiter()) }

    @Test func anUnknownKeyIsADifference() throws {
        let step = try PieceStep(.object(["surprise": .null]))
        #expect(try step.finish().count == 1)
    }

    @Test func anUnmappedMessageIsAnError() {
        #expect(throws: PieceErrorCodes.Unmapped.self) { try PieceErrorCodes.code(for: "?") }
    }

    @Test func negativeZeroIsNotZero() throws {
        #expect(try PieceJSON(parsing: Array("-0.0".utf8)) != .int(0))
        #expect(try PieceJSON(parsing: Array("[1.0E8]".utf8)) == .array([.int(100_000_000)]))
    }

    private func expectNoFailure(in report: ConformanceReport) {
        #expect(report.failures.isEmpty)
        #expect(report.passed.count + report.excepted.count > 0)
    }
}
