import StreamingContext

#if SQLite
    import CSQLite
    import SQLiteSink

    /// The output into SQLite.
    enum Database {
        static let isBuilt = true

        struct Problem: Error {
            let message: String
        }

        static func write(_ records: DStream<String>, in directory: String) {
            records.write(
                to: SQLiteSink(
                    directory + "/records.sqlite", name: "records",
                    setUp: [
                        "PRAGMA journal_mode = WAL",
                        "CREATE TABLE IF NOT EXISTS records (line TEXT)",
                    ], insert: "INSERT INTO records VALUES (?)"
                ) { [.text($0)] })
        }

        /// All lines that were committed.
        static func lines(in directory: String) throws -> [String] {
            var handle: OpaquePointer?
            let code = sqlite3_open(directory + "/records.sqlite", &handle)
            defer { sqlite3_close(handle) }
            guard code == SQLITE_OK else { throw Problem(message: "not opened: \(code)") }
            var statement: OpaquePointer?
            let text = "SELECT line FROM records"
            guard sqlite3_prepare_v2(handle, text, -1, &statement, nil) == SQLITE_OK else {
                throw Problem(message: String(cString: sqlite3_errmsg(handle)))
            }
            defer { sqlite3_finalize(statement) }
            var lines: [String] = []
            while true {
                switch sqlite3_step(statement) {
                case SQLITE_ROW:
                    lines.append(
                        sqlite3_column_text(statement, 0).map { String(cString: $0) } ?? "")
                case SQLITE_DONE: return lines
                default: throw Problem(message: String(cString: sqlite3_errmsg(handle)))
                }
            }
        }
    }
#else
    /// Without the trait there is no output into SQLite.
    enum Database {
        static let isBuilt = false

        static func write(_ records: DStream<String>, in directory: String) {}
        static func lines(in directory: String) throws -> [String] { [] }
    }
#endif
