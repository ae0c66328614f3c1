import BatchEngine
import StreamingContext

/// keys: sums by key from lines of text, with keys of several kinds.
///
/// `kind=short`: up to 15 bytes. `kind=long`: 200 bytes. `kind=unicode`: 20 to 40 bytes, none of them
/// all ASCII. `kind=skewed`: short ones, and half of all records have the same.
enum KeyKinds {
    static func run(_ arguments: Arguments) async throws {
        let kind = arguments.has("kind") ? try arguments.text("kind") : "short"
        let keys = try arguments.number("keys", default: 10_000)
        let records = try arguments.number("records", default: 100_000)
        let name = try naming(kind)
        let run = try BackToBack("keys", arguments)
        let batches = try lines(10, records, keys, isSkewed: kind == "skewed", name)
        try await run.measure(
            sums(run.input(batches.lines)), records: records,
            [("kind", kind), ("keys", keys)], expected: batches.sums)
    }

    /// What a user writes to sum the second field by the first.
    static func sums(
        _ lines: DStream<String>, partitions: Int? = nil
    ) -> DStream<(String, Int)> {
        lines.map { line in
            var fields = line.fields(separator: "\t").makeIterator()
            return (fields.next() ?? "", Int(fields.next() ?? "") ?? 0)
        }
        .reduceByKey(partitions: partitions) { $0 + $1 }
    }

    private static func naming(_ kind: String) throws -> @Sendable (Int) -> String {
        switch kind {
        case "short", "skewed": return { "key\($0)" }
        case "long":
            let path = String(repeating: "/segment", count: 23)
            return { "\(path)/\(1_000_000_000 + $0)" }
        case "unicode": return { "Straße-東京-\($0)-Ελλάδα" }
        default: throw BenchError("kind=\(kind) is not short, long, unicode or skewed")
        }
    }

    /// Batches of lines, and the sums that are in each.
    static func lines(
        _ count: Int, _ records: Int, _ keys: Int, isSkewed: Bool = false,
        _ name: @Sendable (Int) -> String = { "key\($0)" }
    ) throws -> (lines: [[String]], sums: [[(String, Int)]]) {
        guard keys > 0, records > 0 else { throw BenchError("keys= and records= are at least 1") }
        let names = (0..<keys).map(name)
        var numbers = Numbers()
        var batches: (lines: [[String]], sums: [[(String, Int)]]) = ([], [])
        for _ in 0..<count {
            var sums = [Int](repeating: 0, count: keys)
            let lines = (0..<records).map { record in
                let key = isSkewed && record % 2 == 0 ? 0 : numbers.next(keys)
                let amount = 1 + numbers.next(1000)
                sums[key] += amount
                return "\(names[key])\t\(amount)"
            }
            batches.lines.append(lines)
            batches.sums.append(zip(names, sums).filter { $0.1 > 0 })
        }
        return batches
    }
}

/// partitions: the same with short keys, in as many partitions as one likes, before the shuffle and
/// after it.
enum Partitions {
    static func run(_ arguments: Arguments) async throws {
        let partitions = try arguments.number("partitions", default: 100)
        let records = try arguments.number("records", default: 100_000)
        let run = try BackToBack("partitions", arguments)
        let batches = try KeyKinds.lines(
            10, records, try arguments.number("keys", default: 10_000))
        let input = run.input(batches.lines, partitions: partitions)
        try await run.measure(
            KeyKinds.sums(input, partitions: partitions), records: records,
            [("partitions", partitions)], expected: batches.sums)
    }
}
