#if SQLite
    import BatchEngine
    import DStreamTestKit
    import SQLiteSink
    import StreamingContext
    import Testing

    /// The code of `Docs/Guides/ExactlyOnceOutputs.md` for SQLite runs.
    @Suite("The guide to outputs into SQLite", .timeLimit(.minutes(5)))
    struct SQLiteGuideTests {
        @Test("writes rows")
        func rows() async throws {
            let directory = try FileSystem.createTemporaryDirectory(prefix: "guide")
            defer { try? FileSystem.removeTree(directory) }
            let database = directory + "/counts.sqlite"
            let harness = StreamHarness()
            let counts = harness.input([["a b a"]]).flatMap { $0.words() }.map { ($0, 1) }
                .reduceByKey(+)
            let sink = SQLiteSink<(String, Int)>(
                database, name: "counts",
                setUp: ["CREATE TABLE IF NOT EXISTS counts (word TEXT PRIMARY KEY, count INTEGER)"],
                insert: "INSERT OR REPLACE INTO counts VALUES (?, ?)"
            ) { [.text($0.0), .integer($0.1)] }
            counts.write(to: sink)
            try await harness.run(batches: 1)
            #expect(harness.errors.isEmpty, "\(harness.errors)")
            let again = try await sink.recover(slide: .seconds(1))
            #expect(again.newest == .seconds(1))
            await sink.close()
        }
    }
#endif
