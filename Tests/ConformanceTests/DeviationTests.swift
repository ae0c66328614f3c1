import Testing

/// Deviations are rules: they hold for cases that were never recorded, and excuse nothing else.
///
/// Method: a case is made up, as Spark would have recorded it, or with one wrong value.
@Suite(.timeLimit(.minutes(5))) struct DeviationTests {
    private static func recorded(
        _ pipeline: String, _ params: [String: PieceJSON], _ body: [String: PieceJSON]
    ) throws -> RecordedCase {
        var members = body
        members["name"] = .string("made up")
        members["pipeline"] = .string(pipeline)
        members["params"] = .object(params)
        return try RecordedCase(.object(members))
    }

    private static func calls(_ batches: [(Int64, [PieceJSON])]) -> PieceJSON {
        .array(
            batches.map { time, elements in
                .object(["timeMillis": .int(time), "elements": .array(elements)])
            })
    }

    private static func pair(_ key: String, _ value: Int64) -> PieceJSON {
        .array([.string(key), .int(value)])
    }

    // MARK: Recovery

    /// Four batches with the values 1 to 4 of one key, then two more.
    private static func recovery(
        _ pipeline: String, outputFailsAt: [Int64] = [], generationFailsAt: [Int64] = [],
        outputs: [(Int64, Int64)], pending: [Int64], rerun: [(Int64, Int64)],
        after: [(Int64, Int64)]
    ) throws -> RecordedCase {
        func batches(_ values: [(Int64, Int64)]) -> PieceJSON {
            calls(values.map { ($0.0, [pair("a", $0.1)]) })
        }
        let pendingTimes = PieceJSON.array(pending.map { .int($0) })
        return try recorded(
            pipeline,
            [
                "batchMillis": .int(1000), "batchesBeforeStop": .int(4),
                "batchesAfterRestart": .int(2), "clockJumpMillis": .int(0),
                "outputBlocksFromMillis": .null,
                "outputFailsAtMillis": .array(outputFailsAt.map { .int($0) }),
                "generationFailsAtMillis": .array(generationFailsAt.map { .int($0) }),
            ],
            [
                "order": .string("unordered"),
                "inputs": .array([.array((1...8).map { .array([pair("a", $0)]) })]),
                "outputs": batches(outputs), "pendingAtStop": pendingTimes,
                "checkpointFiles": .array([]),
                "checkpoint": .object([
                    "checkpointTimeMillis": .int(4000), "pendingTimesMillis": pendingTimes,
                ]),
                "clockAfterRestartMillis": .int(4000), "rerunAtStart": batches(rerun),
                "outputsAfterRestart": batches(after), "errorAfterRestart": .null,
            ])
    }

    /// The batch of a checkpoint that failed in its output is run again: no state is after it.
    @Test func aFailedLastStateBatchIsRunAgain() async throws {
        var piece = try Self.recovery(
            "recovery.updateStateByKey", outputFailsAt: [4000],
            outputs: [(1000, 1), (2000, 3), (3000, 6)], pending: [4000], rerun: [(4000, 10)],
            after: [(5000, 15), (6000, 21)])
        #expect(try await RecoveryConformance.compare(&piece) == [])
        #expect(piece.deviations.isEmpty)
    }

    @Test func whatSparkCouldNotGenerateIsRunAgain() async throws {
        var piece = try Self.recovery(
            "recovery.map", generationFailsAt: [2000],
            outputs: [(1000, 10), (3000, 30), (4000, 40)], pending: [], rerun: [(4000, 40)],
            after: [(5000, 50), (6000, 60)])
        #expect(try await RecoveryConformance.compare(&piece) == [])
        #expect(piece.deviations == [.completedIsNotRerun, .notGeneratedIsPending])
    }

    /// What is run again is compared, whatever the deviation takes out of it.
    @Test func aWrongRerunIsADifference() async throws {
        var piece = try Self.recovery(
            "recovery.map", outputFailsAt: [3000], outputs: [(1000, 10), (2000, 20), (4000, 40)],
            pending: [3000], rerun: [(3000, 31), (4000, 40)], after: [(5000, 50), (6000, 60)])
        #expect(try await RecoveryConformance.compare(&piece).count == 1)
    }

    // MARK: Windows

    private static func inverseWindow(slideMillis: Int64, _ sums: [(Int64, Int64)]) throws
        -> RecordedCase
    {
        try recorded(
            "reduceByKeyAndWindow.sumInverse",
            [
                "batchMillis": .int(1000), "partitions": .int(2), "numBatches": .int(6),
                "checkpointDir": .bool(true), "zeroTimeMillis": .int(5300),
                "windowMillis": .int(1000), "slideMillis": .int(slideMillis),
            ],
            [
                "order": .string("unordered"),
                "inputs": .array([.array((1...6).map { .array([pair("a", $0)]) })]),
                "outputs": calls(sums.map { ($0.0, [pair("a", $0.1)]) }),
            ])
    }

    /// Spark adds what came between the windows.
    @Test func aGapBetweenWindowsIsExcepted() async throws {
        var piece = try Self.inverseWindow(slideMillis: 3000, [(8000, 3), (11000, 15)])
        #expect(try await PipelineConformance.compare(&piece) == [])
        #expect(piece.deviations == [.inverseIsPlain])
    }

    @Test func withoutAGapNothingIsExcepted() async throws {
        let sums: [(Int64, Int64)] = (1...6).map { (5000 + 1000 * $0, $0) }
        var piece = try Self.inverseWindow(slideMillis: 1000, sums)
        #expect(try await PipelineConformance.compare(&piece) == [])
        #expect(piece.deviations.isEmpty)
        var wrong = try Self.inverseWindow(
            slideMillis: 1000, sums.map { ($0.0, $0.0 == 9000 ? 99 : $0.1) })
        #expect(try await PipelineConformance.compare(&wrong).count == 1)
        #expect(wrong.deviations.isEmpty)
    }

    // MARK: State

    /// A key that data renews before it times out no more fails its batch.
    @Test func aFailedTimeOutDoesNotPoisonLaterBatches() async throws {
        func error(_ time: Int64) -> PieceJSON {
            .object([
                "phase": .string("runJob"), "timeMillis": .int(time),
                "type": .string("java.lang.IllegalArgumentException"),
                "message": .string(
                    "requirement failed: Cannot update the state that is timing out"),
            ])
        }
        let one = PieceJSON.array([Self.pair("a", 1)])
        var piece = try Self.recorded(
            "mapWithState.misuse.update_while_timing_out",
            [
                "batchMillis": .int(1000), "partitions": .int(1), "numBatches": .int(4),
                "checkpointDir": .bool(true),
            ],
            [
                "order": .string("unordered"),
                "inputs": .array([.array([one, .array([]), .array([]), one])]),
                "outputs": Self.calls([(1000, [.int(1)]), (2000, [])]),
                "extraOutputs": .object([
                    "stateSnapshots": Self.calls([
                        (1000, [Self.pair("a", 1)]), (2000, [Self.pair("a", 1)]),
                    ])
                ]),
                "errors": .array([error(3000), error(3000), error(4000), error(4000)]),
            ])
        #expect(try await PipelineConformance.compare(&piece) == [])
        #expect(piece.deviations == [.failedIsNotDone])
    }

    // MARK: Files

    private static func files(errors: [PieceJSON]) throws -> RecordedCase {
        func write(_ name: String, _ text: String, _ time: Int64) -> PieceJSON {
            .array([.string("write"), .string(name), .string(text), .int(time)])
        }
        return try recorded(
            "textFileStream",
            [
                "batchMillis": .int(1000), "zeroTimeMillis": .int(100_000), "numBatches": .int(3),
                "directory": .string("DIR"),
            ],
            [
                "order": .string("unordered"),
                "actions": .array([
                    .array([]), .array([write("a", "1\n", 100_500)]),
                    .array([write("_x", "no\n", 101_500), write("b", "2\n", 101_500)]),
                    .array([]),
                ]),
                "outputs": calls([(101_000, [.string("1")]), (103_000, [])]),
                "errors": .array(errors),
            ])
    }

    private static func missing(_ name: String, _ time: Int64) -> PieceJSON {
        .object([
            "phase": .string("generateJobs"), "timeMillis": .int(time),
            "type": .string("java.io.IOException"),
            "message": .string("Input path does not exist: file:<TMP>/\(name)"),
        ])
    }

    /// The other files of the batch are read, and no other batch is excused.
    @Test func aHiddenNameDoesNotFailItsBatch() async throws {
        var piece = try Self.files(errors: [Self.missing("_x", 102_000)])
        #expect(try await FileConformance.compare(&piece) == [])
        #expect(piece.deviations == [.hiddenNames])
    }

    @Test func anotherErrorOfThatCaseIsNotExcused() async throws {
        var piece = try Self.files(
            errors: [Self.missing("_x", 102_000), Self.missing("gone", 103_000)])
        #expect(try await FileConformance.compare(&piece).count == 1)
    }
}
