import Testing

/// Every recorded case of every family, each accounted for.
@Suite struct ConformanceTests {
    @Test(arguments: try ConformanceFamilies.all())
    func familyAgrees(_ family: String) async throws {
        let report = try await ConformanceRun.shared.report(family)
        #expect(report.failures.isEmpty)
        #expect(report.count == (try ConformanceFamilies.caseCount(of: family)))
    }

    @Test func everyCaseIsAccountedFor() async throws {
        var (passed, excepted, failed, elsewhere, expected) = (0, 0, 0, 0, 0)
        let families = try ConformanceFamilies.all()
        for family in families {
            let report = try await ConformanceRun.shared.report(family)
            passed += report.passed.count
            excepted += report.excepted.count
            failed += report.failed.count
            elsewhere += report.elsewhere.count
            expected += try ConformanceFamilies.caseCount(of: family)
        }
        print(
            "all \(families.count) families: \(passed) passed, \(excepted) excepted,",
            "\(failed) failed, \(elsewhere) run by other targets, of \(expected)")
        #expect(families.count == 61)
        #expect(passed + excepted + failed + elsewhere == expected)
        #expect(expected == 442)
    }

    @Test func anUnknownPipelineIsAnError() throws {
        let builder = try PipelineBuilder(
            params: try PieceStep(.object(["batchMillis": .int(1000)])), inputs: [])
        #expect(throws: Pipelines.Unknown.self) { try Pipelines.declare("surprise", on: builder) }
    }

    @Test func anUnmappedExceptionIsAnError() {
        #expect(throws: CaseError.Unmapped.self) {
            try CaseError.cause(type: "java.lang.Exception", message: "?")
        }
    }
}
