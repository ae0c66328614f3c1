#if SQLite
    internal import CSQLite

    /// An open database; used by one thread at a time.
    final class SQLiteConnection {
        private let handle: OpaquePointer

        /// Opens a file, created when missing.
        init(_ path: String, busyMilliseconds: Int32) throws(SQLiteFailure) {
            var opened: OpaquePointer?
            let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX
            let code = sqlite3_open_v2(path, &opened, flags, nil)
            guard let opened else {
                throw SQLiteFailure(code: code, message: "there is no memory for a connection")
            }
            guard code == SQLITE_OK else {
                let message = String(cString: sqlite3_errmsg(opened))
                sqlite3_close_v2(opened)
                throw SQLiteFailure(code: code, message: message)
            }
            handle = opened
            sqlite3_extended_result_codes(opened, 1)
            sqlite3_busy_timeout(opened, busyMilliseconds)
        }

        deinit { sqlite3_close_v2(handle) }

        /// Whether a transaction was begun and has not ended.
        var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

        /// Runs a statement that gives no rows, or whose rows do not matter.
        func run(_ text: String) throws(SQLiteFailure) {
            let statement = try prepare(text)
            while try statement.step() {}
        }

        /// Makes a statement.
        func prepare(_ text: String) throws(SQLiteFailure) -> SQLiteStatement {
            try SQLiteStatement(text, self, handle)
        }
    }

    /// A statement that can be run any number of times.
    final class SQLiteStatement {
        /// As long as statements exist, their database does.
        private let connection: SQLiteConnection
        private let database: OpaquePointer
        private let handle: OpaquePointer

        fileprivate init(
            _ text: String, _ connection: SQLiteConnection, _ database: OpaquePointer
        ) throws(SQLiteFailure) {
            self.connection = connection
            self.database = database
            var made: OpaquePointer?
            var rest = ""
            let code = text.withCString { start in
                var tail: UnsafePointer<CChar>?
                let code = sqlite3_prepare_v3(
                    database, start, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &made, &tail)
                if let tail { rest = String(cString: tail) }
                return code
            }
            guard code == SQLITE_OK else { throw SQLiteFailure(code, database, in: text) }
            guard let made else {
                throw SQLiteFailure(
                    code: SQLITE_MISUSE, message: "there is no statement in \"\(text)\"")
            }
            handle = made
            guard rest.allSatisfy({ $0.isWhitespace || $0 == ";" }) else {
                throw SQLiteFailure(
                    code: SQLITE_MISUSE, message: "more than one statement in \"\(text)\"")
            }
        }

        deinit { sqlite3_finalize(handle) }

        /// How many values it wants.
        var parameterCount: Int { Int(sqlite3_bind_parameter_count(handle)) }

        /// Binds values to the parameters, in their order, for the next run.
        func bind(_ values: [SQLiteValue]) throws(SQLiteFailure) {
            sqlite3_reset(handle)
            for (offset, value) in values.enumerated() {
                let code = bind(value, Int32(offset + 1))
                guard code == SQLITE_OK else { throw failure(code) }
            }
        }

        private func bind(_ value: SQLiteValue, _ index: Int32) -> Int32 {
            switch value {
            case .null: return sqlite3_bind_null(handle, index)
            case .integer(let number): return sqlite3_bind_int64(handle, index, number)
            case .real(let number): return sqlite3_bind_double(handle, index, number)
            case .text(var text):
                return text.withUTF8 { bytes in
                    bytes.withMemoryRebound(to: CChar.self) { characters in
                        // Without an address SQLite would bind NULL.
                        guard let start = characters.baseAddress, !characters.isEmpty else {
                            return csqlite_bind_text(handle, index, "", 0)
                        }
                        return csqlite_bind_text(handle, index, start, UInt64(characters.count))
                    }
                }
            case .blob(let bytes):
                if bytes.isEmpty { return sqlite3_bind_zeroblob(handle, index, 0) }
                return bytes.withUnsafeBytes { bytes in
                    csqlite_bind_blob(handle, index, bytes.baseAddress, UInt64(bytes.count))
                }
            }
        }

        /// Goes to the next row; false when there is none.
        func step() throws(SQLiteFailure) -> Bool {
            let code = sqlite3_step(handle)
            if code == SQLITE_ROW { return true }
            // So that locks do not outlast the run; it repeats the error of the step.
            let failure = code == SQLITE_DONE ? nil : failure(code)
            sqlite3_reset(handle)
            if let failure { throw failure }
            return false
        }

        /// Runs to the end.
        func run(_ values: [SQLiteValue]) throws(SQLiteFailure) {
            try bind(values)
            while try step() {}
        }

        /// The rows of whole numbers that it gives; NULL is nil.
        func numbers(_ values: [SQLiteValue]) throws(SQLiteFailure) -> [[Int64?]] {
            try bind(values)
            var rows: [[Int64?]] = []
            while try step() {
                rows.append(
                    (0..<sqlite3_column_count(handle)).map { column in
                        sqlite3_column_type(handle, column) == SQLITE_NULL
                            ? nil : sqlite3_column_int64(handle, column)
                    })
            }
            return rows
        }

        private func failure(_ code: Int32) -> SQLiteFailure {
            SQLiteFailure(code, database, in: String(cString: sqlite3_sql(handle)))
        }
    }

    /// What SQLite reported.
    struct SQLiteFailure: Error, CustomStringConvertible {
        /// The extended result code.
        let code: Int32
        let message: String

        init(code: Int32, message: String) {
            self.code = code
            self.message = message
        }

        fileprivate init(_ code: Int32, _ database: OpaquePointer, in text: String) {
            self.code = code
            message = "\(String(cString: sqlite3_errmsg(database))) in \"\(text)\""
        }

        var isFull: Bool { code & 0xFF == SQLITE_FULL }
        var isBusy: Bool { [SQLITE_BUSY, SQLITE_LOCKED].contains(code & 0xFF) }
        var isConstraint: Bool { code & 0xFF == SQLITE_CONSTRAINT }
        var isMisuse: Bool { [SQLITE_MISUSE, SQLITE_ERROR, SQLITE_RANGE].contains(code & 0xFF) }

        var description: String { "SQLite error \(code): \(message)" }
    }
#endif
