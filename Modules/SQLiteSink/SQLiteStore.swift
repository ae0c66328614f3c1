#if SQLite
    internal import BatchEngine
    internal import DStreamCore
    internal import Synchronization

    /// The database of a ``SQLiteSink``, whatever its elements are; its calls block.
    final class SQLiteStore: Sendable {
        private struct Open {
            let connection: SQLiteConnection
            let insert: SQLiteStatement
            /// Which opening of the sink this is; only the latest may commit.
            let generation: Int64
            let step: Duration
            var committed: CommittedBatches
        }

        private let database: String
        private let name: String
        private let setUp: [String]
        private let insert: String
        private let busyMilliseconds: Int32
        private let open = Locked<Open?>(nil)

        init(
            database: String, name: String, setUp: [String], insert: String, busyTimeout: Duration
        ) {
            self.database = database
            self.name = name
            self.setUp = setUp
            self.insert = insert
            busyMilliseconds = Int32(clamping: max(0, busyTimeout.milliseconds))
        }

        private static let tables = [
            """
            CREATE TABLE IF NOT EXISTS dstream_sinks \
            (sink TEXT PRIMARY KEY, generation INTEGER NOT NULL, forgotten INTEGER)
            """,
            """
            CREATE TABLE IF NOT EXISTS dstream_batches \
            (sink TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, \
            step INTEGER NOT NULL, PRIMARY KEY (sink, first))
            """,
        ]

        // MARK: Opening

        func recover(step: Duration) throws -> CommittedBatches {
            try open.withLock { open in
                guard open == nil else { throw error(.misused, nil, "a sink is recovered once") }
                let made = try translated(nil) { () throws(SQLiteFailure) in
                    try begin(step)
                }
                open = made
                return made.committed
            }
        }

        private func begin(_ step: Duration) throws(SQLiteFailure) -> Open {
            let connection = try SQLiteConnection(database, busyMilliseconds: busyMilliseconds)
            for statement in setUp { try connection.run(statement) }
            let insert = try connection.prepare(insert)
            var generation: Int64 = 0
            var committed = CommittedBatches()
            try inTransaction(connection) { () throws(SQLiteFailure) in
                for statement in Self.tables { try connection.run(statement) }
                let next = try connection.prepare(
                    """
                    INSERT INTO dstream_sinks VALUES (?, 1, NULL) \
                    ON CONFLICT (sink) DO UPDATE SET generation = generation + 1
                    """)
                try next.run([.text(name)])
                let known = try connection.prepare(
                    "SELECT generation, forgotten FROM dstream_sinks WHERE sink = ?")
                let row = try known.numbers([.text(name)]).first ?? []
                generation = (row.first ?? nil) ?? 0
                let ranges = try connection.prepare(
                    "SELECT first, last, step FROM dstream_batches WHERE sink = ?")
                let found = try ranges.numbers([.text(name)]).map { row in
                    let row = row.map { $0 ?? 0 }
                    return CommittedBatches.Range(
                        BatchTime(milliseconds: row[0]), through: BatchTime(milliseconds: row[1]),
                        step: .milliseconds(row[2]))
                }
                committed = CommittedBatches(
                    found,
                    forgottenThrough: (row.last ?? nil).map { BatchTime(milliseconds: $0) })
            }
            return Open(
                connection: connection, insert: insert, generation: generation, step: step,
                committed: committed)
        }

        func close() { open.withLock { $0 = nil } }

        // MARK: Committing

        func commit(_ partitions: [[[SQLiteValue]]], _ batch: BatchTime) throws {
            try open.withLock { open in
                guard let current = open else {
                    throw error(
                        .closed, batch,
                        "the sink is not open: batches come after recovery and before the end of "
                            + "the context")
                }
                try check(partitions, current.insert.parameterCount, batch)
                let isCurrent = try translated(batch) { () throws(SQLiteFailure) in
                    try write(partitions, batch, current)
                }
                guard let committed = isCurrent else {
                    throw error(
                        .locked, batch,
                        "another program has taken over the sink; give each output a name of its "
                            + "own, and run a program once")
                }
                open?.committed = committed
            }
        }

        private func check(
            _ partitions: [[[SQLiteValue]]], _ count: Int, _ batch: BatchTime
        ) throws {
            for rows in partitions {
                for row in rows where row.count != count {
                    throw error(
                        .misused, batch,
                        "a row has \(row.count) values and \"\(insert)\" has \(count) parameters")
                }
            }
        }

        /// Writes the rows and the time of a batch that is not there yet.
        ///
        /// - Returns: what is committed then; nil, with nothing written, when this opening of the sink
        ///   is not the latest any more.
        private func write(
            _ partitions: [[[SQLiteValue]]], _ batch: BatchTime, _ open: Open
        ) throws(SQLiteFailure) -> CommittedBatches? {
            var committed = open.committed
            if committed.contains(batch) { return committed }
            var isLatest = true
            try inTransaction(open.connection) { () throws(SQLiteFailure) in
                let latest = try open.connection.prepare(
                    "SELECT generation FROM dstream_sinks WHERE sink = ?")
                isLatest = try latest.numbers([.text(name)]) == [[open.generation]]
                guard isLatest else { return }
                // A commit may have reached the database and failed to say so.
                let known = try open.connection.prepare(
                    """
                    SELECT 1 FROM dstream_batches WHERE sink = ? AND first <= ?2 AND last >= ?2 \
                    AND (?2 - first) % step = 0
                    """)
                let isKnown = try !known.numbers([
                    .text(name), .integer(batch.milliseconds),
                ]).isEmpty
                committed.insert(batch, step: open.step)
                if isKnown { return }
                for rows in partitions {
                    for row in rows { try open.insert.run(row) }
                }
                try note(committed, before: open.committed, open.connection)
            }
            return isLatest ? committed : nil
        }

        /// Puts the ranges that changed into the table: mostly one.
        private func note(
            _ committed: CommittedBatches, before: CommittedBatches, _ connection: SQLiteConnection
        ) throws(SQLiteFailure) {
            let (old, new) = (Set(before.ranges), Set(committed.ranges))
            let remove = try connection.prepare(
                "DELETE FROM dstream_batches WHERE sink = ? AND first = ?")
            for range in old.subtracting(new) {
                try remove.run([.text(name), .integer(range.first.milliseconds)])
            }
            let add = try connection.prepare("INSERT INTO dstream_batches VALUES (?, ?, ?, ?)")
            for range in new.subtracting(old) {
                try add.run([
                    .text(name), .integer(range.first.milliseconds),
                    .integer(range.last.milliseconds), .integer(range.step.milliseconds),
                ])
            }
            guard let forgotten = committed.forgottenThrough,
                forgotten != before.forgottenThrough
            else { return }
            let forget = try connection.prepare(
                "UPDATE dstream_sinks SET forgotten = ? WHERE sink = ?")
            try forget.run([.integer(forgotten.milliseconds), .text(name)])
        }

        private func inTransaction(
            _ connection: SQLiteConnection, _ body: () throws(SQLiteFailure) -> Void
        ) throws(SQLiteFailure) {
            // At once for writing: to become a writer later can fail without waiting.
            try connection.run("BEGIN IMMEDIATE")
            do {
                try body()
                try connection.run("COMMIT")
            } catch {
                // Some errors have ended the transaction themselves.
                if connection.isInTransaction { try? connection.run("ROLLBACK") }
                throw error
            }
        }

        // MARK: Errors

        private func error(
            _ code: SinkError.Code, _ batch: BatchTime?, _ message: String,
            _ underlying: (any Error)? = nil
        ) -> SinkError {
            SinkError(
                code, sink: "sqlite:\(database)#\(name)", batch: batch, message,
                underlying: underlying)
        }

        private func translated<Value>(
            _ batch: BatchTime?, _ body: () throws(SQLiteFailure) -> Value
        ) throws -> Value {
            do throws(SQLiteFailure) { return try body() } catch {
                if error.isFull {
                    throw self.error(
                        .full, batch, "there is no room; make some and start again", error)
                }
                if error.isBusy {
                    throw self.error(
                        .busy, batch,
                        "others kept the database locked for longer than the busy timeout", error)
                }
                if error.isConstraint {
                    throw self.error(
                        .rejected, batch,
                        "a row breaks a constraint, so nothing of the batch was written", error)
                }
                if error.isMisuse {
                    throw self.error(
                        .misused, batch, "a statement cannot be run; mend it", error)
                }
                throw self.error(.failed, batch, "the database cannot be used", error)
            }
        }
    }
#endif
