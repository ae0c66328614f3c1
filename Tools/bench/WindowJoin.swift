import BatchEngine
import StreamingContext

/// join: two streams, joined by key over the last batches of both.
enum WindowJoin {
    static func run(_ arguments: Arguments) async throws {
        let keys = try arguments.number("keys", default: 10_000)
        let records = try arguments.number("records", default: 2_000)
        let panes = try arguments.number("panes", default: 10)
        let run = try BackToBack("join", arguments, warm: 2 * panes, timed: 100)
        let left = batches(run.batchCount, records, keys, seed: 1)
        let right = batches(run.batchCount, records, keys, seed: 2)
        let window = run.ssc.batchInterval * panes
        let joined = run.input(left).window(window)
            .join(run.input(right).window(window))
            .map { key, pair in (key, pair.0 * pair.1) }
        try await run.measure(
            joined, records: 2 * records, [("panes", panes), ("keys", keys)],
            expected: (0..<run.batchCount).map { batch in
                let window = max(0, batch - panes + 1)...batch
                return products(left[window], right[window])
            })
    }

    private static func batches(
        _ count: Int, _ records: Int, _ keys: Int, seed: UInt64
    ) -> [[(String, Int)]] {
        var numbers = Numbers(seed: seed)
        return (0..<count).map { _ in
            (0..<records).map { _ in ("key\(numbers.next(keys))", 1 + numbers.next(100)) }
        }
    }

    /// The product of every value of the one side with every one of the other with the same key.
    private static func products(
        _ left: ArraySlice<[(String, Int)]>, _ right: ArraySlice<[(String, Int)]>
    ) -> [(String, Int)] {
        var values: [String: [Int]] = [:]
        for (key, value) in right.joined() { values[key, default: []].append(value) }
        return left.joined().flatMap { key, value in
            (values[key] ?? []).map { (key, value * $0) }
        }
    }
}
