import BatchEngine

extension HotPath {
    /// Text, and the operators that take one element at a time.
    static let text = [
        HotPath("split-lines") { count in
            let bytes = Array(lines(count, words: 2).joined(separator: "\n").utf8)
            return {
                var splitter = LineSplitter()
                splitter.append(bytes)
                var length = 0
                splitter.finish()?.forEachLine { length += $0.utf8.count }
                guard length > 0 else { throw BudgetError("no line was found") }
            }
        },
        rdd("words", { lines($0, words: 10) }) { $0.flatMap { $0.words() } },
        rdd("fields", { lines($0, words: 10) }) { $0.flatMap { $0.fields(separator: " ") } },
        rdd("map", { Array(0..<$0) }) { $0.map { $0 &+ 1 } },
        rdd("map-to-pair", { words($0) }) { $0.map { ($0, 1) } },
        rdd("filter", { Array(0..<$0) }) { $0.filter { $0 & 1 == 0 } },
        rdd("map-values", { words($0).map { ($0, 1) } }) { $0.mapValues { $0 &+ 1 } },
    ]

    /// What goes by the budget of `map` and allocates once per element: the check must fail.
    static let allocatingMap = rdd("map", { Array(0..<$0) }) { $0.map { [$0] } }

    /// Counts what an operator makes of elements in memory, in one partition.
    static func rdd<Element: Sendable, Output: Sendable>(
        _ name: String, partitions: Int = 1, _ elements: @escaping @Sendable (Int) -> [Element],
        _ operation: @escaping @Sendable (RDD<Element>) -> RDD<Output>
    ) -> HotPath {
        HotPath(name) { count in
            let context = BatchContext(engine: LocalEngine(slots: 1))
            let input = context.parallelize(elements(count), partitions: partitions)
            return { _ = try await operation(input).count() }
        }
    }

    /// Words of at most 15 bytes, with which strings need no memory of their own.
    static func words(_ count: Int, distinct: Int = 1000) -> [String] {
        (0..<count).map { "word\($0 % distinct)" }
    }

    static func lines(_ count: Int, words: Int) -> [String] {
        (0..<count).map { line in
            (0..<words).map { "w\((line &* 31 &+ $0) % 1000)" }.joined(separator: " ")
        }
    }
}
