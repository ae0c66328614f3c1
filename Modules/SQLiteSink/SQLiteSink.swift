#if SQLite
    public import BatchEngine
    public import DStreamCore
    internal import Synchronization

    /// Writes each batch into a table of a SQLite database, exactly once: its rows and its time are one
    /// transaction.
    ///
    /// ```swift
    /// let sink = SQLiteSink<(String, Int)>(
    ///     "/data/counts.sqlite", name: "counts",
    ///     setUp: ["CREATE TABLE IF NOT EXISTS counts (word TEXT, count INTEGER)"],
    ///     insert: "INSERT INTO counts VALUES (?, ?)"
    /// ) { [.text($0.0), .integer($0.1)] }
    /// counts.write(to: sink)
    /// ```
    ///
    /// Tasks turn elements into rows; the commit inserts the rows of all partitions, in their order.
    /// Until then a batch's rows are in memory. Which batches are there is kept in the tables
    /// `dstream_sinks` and `dstream_batches` of the same database; any number of outputs and programs
    /// share a database, each under a name of its own.
    ///
    /// When two programs use one name, the one that started last goes on and commits of the other
    /// throw ``DStreamCore/SinkError`` `.locked`.
    ///
    /// ## Durability
    /// That of the database: with SQLite's defaults a commit has reached the disk when it returns.
    public final class SQLiteSink<Element: Sendable>: TransactionalSink {
        /// The database file.
        public let database: String
        /// The output's name within the database.
        public let name: String
        /// The database file and the name.
        public var id: String { "sqlite:\(database)#\(name)" }
        private let store: SQLiteStore
        /// With its loop, so that it is compiled for the type of elements.
        private let rows: @Sendable (PartitionChunks<Element>) throws -> [[SQLiteValue]]

        /// Makes a sink; nothing is opened before the context starts.
        ///
        /// - Parameters:
        ///   - database: the file, created when missing; its directory must exist.
        ///   - name: the output's, the same in every run.
        ///   - setUp: statements run, each by itself, whenever the database is opened: tables that are
        ///     created if they do not exist, pragmas.
        ///   - insert: run for each element: one statement, with a parameter (`?`) for each value. With
        ///     `INSERT OR REPLACE` or `ON CONFLICT` it updates.
        ///   - busyTimeout: how long a commit waits while others write to the database.
        ///   - values: an element's values, in the order of the parameters.
        @inlinable
        public convenience init(
            _ database: String, name: String, setUp: [String] = [], insert: String,
            busyTimeout: Duration = .seconds(5),
            values: @escaping @Sendable (_ element: Element) throws -> [SQLiteValue]
        ) {
            self.init(
                database: database, name: name, setUp: setUp, insert: insert,
                busyTimeout: busyTimeout
            ) { elements in
                var rows: [[SQLiteValue]] = []
                rows.reserveCapacity(elements.elementCount)
                for chunk in elements {
                    for element in chunk { rows.append(try values(element)) }
                }
                return rows
            }
        }

        @usableFromInline
        init(
            database: String, name: String, setUp: [String], insert: String, busyTimeout: Duration,
            rows: @escaping @Sendable (PartitionChunks<Element>) throws -> [[SQLiteValue]]
        ) {
            self.database = database
            self.name = name
            self.rows = rows
            store = SQLiteStore(
                database: database, name: name, setUp: setUp, insert: insert,
                busyTimeout: busyTimeout)
        }

        /// Opens the database, makes what is missing there, and tells which batches are committed.
        ///
        /// - Throws: ``DStreamCore/SinkError``: also when `insert` cannot be prepared.
        public func recover(slide: Duration) async throws -> CommittedBatches {
            try await blocking { try $0.recover(step: slide) }
        }

        /// Makes the rows of a partition.
        public func prepare(
            _ elements: PartitionChunks<Element>, _ task: TaskContext
        ) async throws -> [[SQLiteValue]] {
            try rows(elements)
        }

        /// Inserts all rows and the batch time in one transaction.
        ///
        /// - Throws: ``DStreamCore/SinkError``: `.busy`, `.full`, `.rejected` for a broken constraint,
        ///   `.misused` for a row with another number of values than the statement has parameters. The
        ///   database is as it was then.
        public func commit(_ prepared: [[[SQLiteValue]]], batch: BatchTime) async throws {
            try await blocking { try $0.commit(prepared, batch) }
        }

        /// Closes the database.
        public func close() async { try? await blocking { $0.close() } }

        private func blocking<Value: Sendable>(
            _ body: @escaping @Sendable (SQLiteStore) throws -> Value
        ) async throws -> Value {
            try await BlockingThreads.shared.run { [store] in try body(store) }
        }
    }
#endif
