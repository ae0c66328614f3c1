#if SQLite
    import BatchEngine
    import DStreamCore
    import DStreamTestKit
    import FaultTolerance
    import SQLiteSink
    import StreamingContext
    import Testing

    /// Programs with an output into SQLite that end and start again.
    @Suite("SQLite sink of a stream", .timeLimit(.minutes(5)))
    struct SQLiteStreamTests {
        /// Runs a program over some batches, going on from what a medium holds.
        private func run(
            _ database: String, _ medium: SimulatedStorageMedium, from start: Int64,
            through last: Int64, jobs: Int = 1
        ) async throws {
            let directory = try FileSystem.createTemporaryDirectory(prefix: "sqlite")
            defer { try? FileSystem.removeTree(directory) }
            var components = StreamHarness.quietComponents
            components.checkpointStore = try await FileCheckpointStore.open("/c", on: medium)
            var configuration = StreamingContext.Configuration()
            configuration.concurrentJobs = jobs
            let harness = StreamHarness(
                startTime: .seconds(start), configuration: configuration, components: components)
            let words = harness.ssc.graph.inputStream("input", isReplayable: true) {
                time, context in
                // By the batch time, as a source that can be asked again.
                let second = Int(time.milliseconds / 1000)
                return context.batch.parallelize(["all", "w\(second % 3)"], partitions: 2)
            }
            let counts = words.map { ($0, 1) }.updateStateByKey { values, total -> Int? in
                (total ?? 0) + values.count
            }
            let sink = SQLiteSink<(String, Int)>(
                database, name: "counts",
                setUp: ["CREATE TABLE IF NOT EXISTS counts (word TEXT PRIMARY KEY, count INTEGER)"],
                insert: "INSERT OR REPLACE INTO counts VALUES (?, ?)"
            ) { [.text($0.0), .integer($0.1)] }
            counts.write(to: sink)
            words.write(to: textSink(database, busyTimeout: .seconds(60)))
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                harness.ssc
            }
            try await harness.ssc.start()
            var isDone = harness.errors.isEmpty
            while harness.clock.now < .seconds(last), isDone {
                do { try await harness.advance() } catch { isDone = false }
            }
            await harness.ssc.stop()
        }

        @Test("has each batch once, wherever the checkpoints end", arguments: [1, 3])
        func restarts(jobs: Int) async throws {
            let counting = SimulatedStorageMedium()
            let other = try TestDatabase()
            try await run(other.path, counting, from: 0, through: 4)
            for crash in 0..<counting.operations.count where crash % 3 == 0 {
                let database = try TestDatabase()
                let medium = SimulatedStorageMedium()
                medium.crash(afterOperation: crash)
                try? await run(database.path, medium, from: 0, through: 4, jobs: jobs)
                let held =
                    (try? query(database.path, "SELECT MAX(last) FROM dstream_batches")) ?? []
                let start = (held.first.flatMap { Int64($0) } ?? 0) / 1000
                let after = medium.restarted()
                try await run(database.path, after, from: start, through: 6, jobs: jobs)
                let texts = try query(
                    database.path, "SELECT text, COUNT(*) FROM texts GROUP BY text ORDER BY text")
                #expect(texts == ["all|6", "w0|2", "w1|2", "w2|2"], "crash \(crash)")
                let counts = try query(database.path, "SELECT * FROM counts ORDER BY word")
                #expect(counts == ["all|6", "w0|2", "w1|2", "w2|2"], "crash \(crash)")
            }
        }

        @Test("an error names operator, batch and sink")
        func errors() async throws {
            let database = try TestDatabase()
            let harness = StreamHarness()
            harness.input([["good"], ["bad"]]).write(
                to: textSink(database.path), file: "Program.swift", line: 7)
            await #expect(throws: StreamError.self) { try await harness.run(batches: 2) }
            let error = try #require(harness.errors.first)
            #expect(error.batchTime == .seconds(2))
            for part in ["write at Program.swift:7", "rejected", "#texts", "CHECK"] {
                #expect("\(error)".contains(part), "\(error)")
            }
            #expect(try query(database.path, "SELECT text FROM texts") == ["good"])
        }
    }
#endif
