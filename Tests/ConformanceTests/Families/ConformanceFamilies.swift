import Foundation

/// All families of cases, and who runs them.
enum ConformanceFamilies {
    typealias Run = @Sendable () async throws -> ConformanceReport

    struct Unknown: Error, CustomStringConvertible {
        let description: String
    }

    /// The families whose cases are batches in, batches out.
    private static let pipelines = [
        "cogroup", "combineByKey", "count", "countByValue", "countByValueAndWindow",
        "countByWindow", "filter", "flatMap", "flatMapValues", "fullOuterJoin", "glom",
        "groupByKey", "groupByKeyAndWindow", "join", "leftOuterJoin", "map", "mapPartitions",
        "mapValues", "mapWithState", "persist", "reduce", "reduceByKey", "reduceByKeyAndWindow",
        "reduceByKeyAndWindow_inverse", "reduceByWindow", "reduceByWindow_inverse", "repartition",
        "rightOuterJoin", "transform", "transformWith", "union", "updateStateByKey", "window",
    ]

    private static let others: [String: Run] = [
        "binaryRecordsStream": { try await FileConformance.report("binaryRecordsStream") },
        "block_generator": { try await BlockGeneratorConformance.report() },
        "checkpoint_files": { try await CheckpointFilesConformance.report() },
        "duration": { try await TimeConformance.duration() },
        "fileStream": { try await FileConformance.report("fileStream") },
        "file_names": { try await ScheduleConformance.fileNames() },
        "file_window": { try await ScheduleConformance.fileWindow() },
        "graceful_stop": { try await StopConformance.report() },
        "interval": { try await TimeConformance.interval() },
        "listener_events": { try await ListenerConformance.report() },
        "misuse": { try await MisuseConformance.report() },
        "pid_rate_estimator": { try await RateConformance.pidRateEstimator() },
        "print": { try await PrintConformance.report() },
        "queueStream": { try await QueueConformance.report() },
        "rate_limiter": { try await RateConformance.rateLimiter() },
        "received_block_tracker": { try await BlockTrackerConformance.report() },
        "receiverStream": { try await ReceiverConformance.report() },
        "recurring_timer": { try await ScheduleConformance.recurringTimer() },
        "recovery": { try await RecoveryConformance.report() },
        "remember": { try await RememberConformance.report() },
        "saveAs": { try await SaveConformance.report() },
        "slice": { try await SliceConformance.report() },
        "socketTextStream": { try await SocketConformance.report() },
        "socket_lines": { try await SocketLinesConformance.report() },
        "state_map": { try await StateMapConformance.report() },
        "textFileStream": { try await FileConformance.report("textFileStream") },
        "time": { try await TimeConformance.time() },
        "write_ahead_log": { try await LogConformance.report() },
    ]

    /// The families that have a file.
    static func all() throws -> [String] {
        let directory = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/conformance")
        return try FileManager.default.contentsOfDirectory(atPath: directory.path)
            .filter { $0.hasSuffix(".json") }.map { String($0.dropLast(".json".count)) }.sorted()
    }

    /// The number of cases a family's file has.
    static func caseCount(of family: String) throws -> Int {
        guard case .object(let members) = try PieceJSON.family(family),
            case .array(let vectors)? = members["vectors"]
        else { throw Unknown(description: "the file of \(family) has no vectors") }
        return vectors.count
    }

    /// Runs every case of a family.
    static func run(_ family: String) async throws -> ConformanceReport {
        if pipelines.contains(family) { return try await PipelineConformance.report(family) }
        guard let run = others[family] else {
            throw Unknown(description: "nobody runs the family \(family)")
        }
        return try await run()
    }
}

/// Runs each family once, however many tests ask.
actor ConformanceRun {
    static let shared = ConformanceRun()

    private var runs: [String: Task<ConformanceReport, any Error>] = [:]

    func report(_ family: String) async throws -> ConformanceReport {
        if let run = runs[family] { return try await run.value }
        let run = Task {
            let report = try await ConformanceFamilies.run(family)
            print(report)
            return report
        }
        runs[family] = run
        return try await run.value
    }
}
