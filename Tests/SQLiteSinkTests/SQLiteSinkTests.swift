#if SQLite
    import BatchEngine
    import DStreamCore
    import DStreamTestKit
    import SQLiteSink
    import Testing

    @Suite("SQLite sink", .timeLimit(.minutes(5)))
    struct SQLiteSinkTests {
        /// The code of the error that `body` throws.
        private func code(_ body: () async throws -> Void) async -> SinkError.Code? {
            do { try await body() } catch { return (error as? SinkError)?.code }
            return nil
        }

        @Test("keeps the promises of transactional sinks")
        func check() async throws {
            let database = try TestDatabase()
            let path = database.path
            try await checkTransactionalSink(elements: ["a", "b", "", "d é", "e'); --"]) { place in
                textSink(path, name: "place\(place)")
            } read: { place in
                try query(path, "SELECT text FROM place\(place)")
            }
        }

        @Test("values arrive as what they are")
        func values() async throws {
            let database = try TestDatabase()
            let rows: [[SQLiteValue]] = [
                [.null], [.integer(-7)], [.integer(Int64.max)], [.real(0.5)], [.text("")],
                [.text("é \u{0} x")], [.blob([])], [.blob([0, 255])],
            ]
            let sink = SQLiteSink<[SQLiteValue]>(
                database.path, name: "values", setUp: ["CREATE TABLE IF NOT EXISTS t (v)"],
                insert: "INSERT INTO t VALUES (?)"
            ) { $0 }
            _ = try await sink.recover(slide: .seconds(1))
            try await sink.write([rows], .seconds(1))
            await sink.close()
            let found = try query(
                database.path, "SELECT typeof(v), quote(v), length(CAST(v AS BLOB)) FROM t")
            #expect(
                found.map { $0.prefix { $0 != "\u{0}" } } == [
                    "null|NULL|", "integer|-7|2", "integer|9223372036854775807|19", "real|0.5|3",
                    "text|''|0", "text|'é '|6", "blob|X''|0", "blob|X'00FF'|2",
                ])
        }

        @Test("one batch after the other is one row of ranges")
        func bounded() async throws {
            let database = try TestDatabase()
            for run in 0..<3 {
                let sink = textSink(database.path)
                _ = try await sink.recover(slide: .seconds(1))
                for batch in 0..<50 where run != 1 || batch != 20 {
                    try await sink.write([["x"]], .seconds(Int64(run * 50 + batch)))
                }
                await sink.close()
            }
            #expect(
                try query(database.path, "SELECT * FROM dstream_batches") == [
                    "texts|0|69000|1000", "texts|71000|149000|1000",
                ])
            #expect(try query(database.path, "SELECT * FROM dstream_sinks") == ["texts|3|"])
        }

        @Test("a broken constraint leaves the database as it was, and the batch can come again")
        func constraint() async throws {
            let database = try TestDatabase()
            let sink = textSink(database.path)
            _ = try await sink.recover(slide: .seconds(1))
            let found = await code { try await sink.write([["a"], ["b", "bad"]], .seconds(1)) }
            #expect(found == .rejected)
            #expect(try query(database.path, "SELECT * FROM texts").isEmpty)
            #expect(try query(database.path, "SELECT * FROM dstream_batches").isEmpty)
            try await sink.write([["a"], ["b"]], .seconds(1))
            #expect(try query(database.path, "SELECT * FROM texts") == ["a", "b"])
            await sink.close()
        }

        @Test("a database that others write to is busy, and works again afterwards")
        func busy() async throws {
            let database = try TestDatabase()
            let sink = textSink(database.path)
            _ = try await sink.recover(slide: .seconds(1))
            let other = try OtherConnection(database.path)
            try other.query("BEGIN IMMEDIATE")
            #expect(await code { try await sink.write([["a"]], .seconds(1)) } == .busy)
            let second = textSink(database.path, name: "second")
            #expect(await code { _ = try await second.recover(slide: .seconds(1)) } == .busy)
            try other.query("ROLLBACK")
            try await sink.write([["a"]], .seconds(1))
            _ = try await second.recover(slide: .seconds(1))
            #expect(try other.query("SELECT * FROM texts") == ["a"])
            await sink.close()
            await second.close()
        }

        @Test("a full database is said to be full, and nothing of the batch is there")
        func full() async throws {
            let database = try TestDatabase()
            let sink = SQLiteSink<String>(
                database.path, name: "full",
                setUp: ["CREATE TABLE IF NOT EXISTS t (text)", "PRAGMA max_page_count = 12"],
                insert: "INSERT INTO t VALUES (?)"
            ) { [.text($0)] }
            _ = try await sink.recover(slide: .seconds(1))
            try await sink.write([["small"]], .seconds(1))
            let large = String(repeating: "x", count: 100_000)
            #expect(await code { try await sink.write([["a", large]], .seconds(2)) } == .full)
            try await sink.write([["a"]], .seconds(2))
            #expect(try query(database.path, "SELECT text FROM t") == ["small", "a"])
            await sink.close()
        }

        @Test("what cannot work is refused with what is wrong")
        func misuse() async throws {
            let database = try TestDatabase()
            let statements = [
                "INSERT INTO missing VALUES (?)", "not SQL", "", " -- nothing",
                "INSERT INTO t VALUES (?); DELETE FROM t",
            ]
            for statement in statements {
                let sink = SQLiteSink<String>(
                    database.path, name: "x", setUp: ["CREATE TABLE IF NOT EXISTS t (text)"],
                    insert: statement
                ) { [.text($0)] }
                let found = await code { _ = try await sink.recover(slide: .seconds(1)) }
                #expect(found == .misused, "\(statement)")
            }
            let sink = SQLiteSink<String>(
                database.path, name: "x", insert: "INSERT INTO t VALUES (?)"
            ) { [.text($0), .null] }
            _ = try await sink.recover(slide: .seconds(1))
            #expect(await code { try await sink.write([["a"]], .seconds(1)) } == .misused)
            #expect(try query(database.path, "SELECT * FROM t").isEmpty)
            await sink.close()
            let nowhere = textSink(database.directory + "/none/test.sqlite")
            #expect(await code { _ = try await nowhere.recover(slide: .seconds(1)) } == .failed)
        }

        @Test("a commit that nobody heard of is found by the next try")
        func unheard() async throws {
            let database = try TestDatabase()
            let sink = textSink(database.path)
            _ = try await sink.recover(slide: .seconds(1))
            // As if the commit of batch 1 had reached the database and its answer had not.
            try query(database.path, "INSERT INTO texts VALUES ('a')")
            try query(
                database.path, "INSERT INTO dstream_batches VALUES ('texts', 1000, 1000, 1000)")
            try await sink.write([["a"]], .seconds(1))
            try await sink.write([["b"]], .seconds(2))
            #expect(try query(database.path, "SELECT * FROM texts") == ["a", "b"])
            #expect(
                try query(database.path, "SELECT * FROM dstream_batches") == [
                    "texts|1000|2000|1000"
                ])
            await sink.close()
        }
    }
#endif
