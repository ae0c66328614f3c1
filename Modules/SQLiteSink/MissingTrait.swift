#if !SQLite
    /// Not without the package trait `SQLite`.
    @available(
        *, unavailable,
        message: "SQLiteSink needs the package trait SQLite: .package(url: …, traits: [\"SQLite\"])"
    )
    public struct SQLiteSink<Element> {
        /// Not without the package trait `SQLite`.
        public init(
            _ database: String, name: String, setUp: [String] = [], insert: String,
            busyTimeout: Duration = .seconds(5),
            values: (_ element: Element) throws -> [SQLiteValue]
        ) {}
    }
#endif
