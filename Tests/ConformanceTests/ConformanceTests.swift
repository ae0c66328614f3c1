import DStreamCore
import Testing

/// Every recorded case of every family, each accounted for.
@Suite(.timeLimit(.minutes(5))) struct ConformanceTests {
    @Test(arguments: try ConformanceFamilies.all())
    func familyAgrees(_ family: String) async throws {
        let report = try await ConformanceRun.shared.report(family)
        #expect(report.failures.isEmpty)
        #expect(report.count == (try ConformanceFamilies.caseCount(of: family)))
    }

    @Test func everyCaseIsAccountedFor() async throws {
        var (passed, excepted, failed, expected) = (0, 0, 0, 0)
        let families = try ConformanceFamilies.all()
        for family in families {
            let report = try await ConformanceRun.shared.report(family)
            passed += report.passed.count
            excepted += report.excepted.count
            failed += report.failed.count
            expected += try ConformanceFamilies.caseCount(of: family)
        }
        print(
            "all \(families.count) families: \(passed) passed, \(excepted) excepted,",
            "\(failed) failed, of \(expected)")
        #expect(families.count == 61)
        #expect(passed + excepted + failed == expected)
        #expect(expected == 442)
    }

    @Test func anUnknownPipelineIsAnError() throws {
        let builder = try PipelineBuilder(
            params: try PieceStep(.object(["batchMillis": .int(1000)])), inputs: [])
        #expect(throws: Pipelines.Unknown.self) { try Pipelines.declare("surprise", on: builder) }
    }

    /// A file that ends too early is not a checkpoint that does.
    @Test func theEndOfAFileIsItsOwn() throws {
        func cause(_ members: [String: PieceJSON]) throws -> CaseError.Cause {
            var entry = try PieceStep(.object(members))
            let cause = try CaseError.takeCause(&entry)
            try entry.requireNothingLeft()
            return cause
        }
        let end = PieceJSON.string("java.io.EOFException")
        let spark = PieceJSON.string("org.apache.spark.SparkException")
        #expect(try cause(["type": end, "message": .null]) == .code(.fileUnreadable))
        #expect(
            try cause([
                "type": spark, "message": .string("Job aborted due to stage failure: x"),
                "rootType": end, "rootMessage": .null,
            ]) == .code(.fileUnreadable))
        #expect(
            try cause([
                "type": spark,
                "message": .string("Failed to read checkpoint from directory <TMP>"),
                "rootType": end, "rootMessage": .null,
            ]) == .code(.checkpointUnreadable))
    }

    @Test func anUnmappedExceptionIsAnError() {
        #expect(throws: CaseError.Unmapped.self) {
            try CaseError.cause(type: "java.lang.Exception", message: "?")
        }
    }
}
