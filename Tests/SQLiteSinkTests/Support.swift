#if SQLite
    import BatchEngine
    import CSQLite
    import DStreamCore
    import SQLiteSink
    import Testing

    /// A database of its own, and a second connection to look at it.
    struct TestDatabase: ~Copyable {
        let directory: String
        let path: String

        init() throws {
            directory = try FileSystem.createTemporaryDirectory(prefix: "sqlite")
            path = directory + "/test.sqlite"
        }

        deinit { try? FileSystem.removeTree(directory) }
    }

    struct DatabaseProblem: Error, CustomStringConvertible {
        let description: String
    }

    /// Runs statements and gives the rows as texts, columns with `|` between them; NULL is empty.
    @discardableResult
    func query(_ path: String, _ statement: String) throws -> [String] {
        let other = try OtherConnection(path)
        return try other.query(statement)
    }

    /// Somebody else who uses the database.
    final class OtherConnection {
        private let handle: OpaquePointer

        init(_ path: String) throws {
            var handle: OpaquePointer?
            sqlite3_open(path, &handle)
            guard let handle else { throw DatabaseProblem(description: "not opened") }
            self.handle = handle
        }

        deinit { sqlite3_close(handle) }

        @discardableResult
        func query(_ text: String) throws -> [String] {
            var statement: OpaquePointer?
            guard sqlite3_prepare_v2(handle, text, -1, &statement, nil) == SQLITE_OK else {
                throw DatabaseProblem(description: String(cString: sqlite3_errmsg(handle)))
            }
            defer { sqlite3_finalize(statement) }
            var rows: [String] = []
            while true {
                let code = sqlite3_step(statement)
                if code == SQLITE_DONE { return rows }
                guard code == SQLITE_ROW else {
                    throw DatabaseProblem(description: String(cString: sqlite3_errmsg(handle)))
                }
                let columns = (0..<sqlite3_column_count(statement)).map { column in
                    sqlite3_column_text(statement, column).map { String(cString: $0) } ?? ""
                }
                rows.append(columns.joined(separator: "|"))
            }
        }
    }

    /// A sink of texts into a table of one column.
    func textSink(
        _ path: String, name: String = "texts", busyTimeout: Duration = .zero
    ) -> SQLiteSink<String> {
        SQLiteSink<String>(
            path, name: name,
            setUp: ["CREATE TABLE IF NOT EXISTS \(name) (text TEXT CHECK (text <> 'bad'))"],
            insert: "INSERT INTO \(name) VALUES (?)", busyTimeout: busyTimeout
        ) { [.text($0)] }
    }

    extension SQLiteSink {
        /// Prepares partitions and commits them.
        func write(_ partitions: [[Element]], _ batch: BatchTime) async throws {
            var prepared: [Prepared] = []
            for (index, partition) in partitions.enumerated() {
                let task = TaskContext(
                    batchMilliseconds: batch.milliseconds, partition: index)
                prepared.append(try await prepare(PartitionChunks(partition), task))
            }
            try await commit(prepared, batch: batch)
        }
    }
#endif
