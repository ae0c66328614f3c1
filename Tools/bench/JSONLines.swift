import BatchEngine
import Foundation
import StreamingContext

/// json: purchases out of lines of JSON, revenue by product, the ten best of each batch.
///
/// Lines are parsed by a scanner of 150 lines (`JSONScanner`), or with `parser=foundation` by
/// Foundation's `JSONDecoder`. Every thousandth line is cut off and must be left out.
enum JSONLines {
    struct Event: Codable {
        var user: String
        var kind: String
        var product: String
        var amount: Int
    }

    static func run(_ arguments: Arguments) async throws {
        let records = try arguments.number("records", default: 100_000)
        let parser = arguments.has("parser") ? try arguments.text("parser") : "scanner"
        guard ["scanner", "foundation"].contains(parser) else {
            throw BenchError("parser=\(parser) is not scanner or foundation")
        }
        let run = try BackToBack("json", arguments, warm: 5, timed: 20)
        let batches = batches(5, records, products: try arguments.number("keys", default: 10_000))
        let lines = run.input(batches.lines)
        let events =
            parser == "scanner" ? lines.map { scanned($0) } : lines.map { decoded($0) }
        let revenue =
            events
            .filter { $0?.kind == "purchase" }
            .map { ($0?.product ?? "", $0?.amount ?? 0) }
            .reduceByKey(+)
        try await run.measure(
            revenue, records: records, [("parser", parser)], expected: batches.best
        ) { rdd, tally in
            tally.add(try await rdd.top(10, by: isBelow))
        }
    }

    /// Less revenue, or as much and a name further on.
    private static let isBelow: @Sendable ((String, Int), (String, Int)) -> Bool = { a, b in
        a.1 != b.1 ? a.1 < b.1 : a.0 > b.0
    }

    private static func decoded(_ line: String) -> Event? {
        try? JSONDecoder().decode(Event.self, from: Data(line.utf8))
    }

    private static func scanned(_ line: String) -> Event? {
        var line = line
        return line.withUTF8 { bytes in
            var scanner = JSONScanner(bytes)
            var event = Event(user: "", kind: "", product: "", amount: 0)
            var found = 0
            let isWhole = scanner.object { key, scanner in
                switch key {
                case "user": event.user = scanner.string() ?? ""
                case "kind": event.kind = scanner.string() ?? ""
                case "product": event.product = scanner.string() ?? ""
                case "amount": event.amount = scanner.integer() ?? 0
                default: return scanner.skipValue()
                }
                found += 1
                return true
            }
            return isWhole && found == 4 ? event : nil
        }
    }

    /// Lines of events, and for each batch the ten products with the highest revenue.
    private static func batches(
        _ count: Int, _ records: Int, products: Int
    ) -> (lines: [[String]], best: [[(String, Int)]]) {
        var numbers = Numbers()
        var result: (lines: [[String]], best: [[(String, Int)]]) = ([], [])
        for _ in 0..<count {
            var revenue: [Int: Int] = [:]
            let lines = (0..<records).map { record in
                let kind = ["view", "view", "cart", "purchase"][numbers.next(4)]
                let (product, amount) = (numbers.next(products), 1 + numbers.next(100_000))
                let line = text(record, "u\(numbers.next(50_000))", kind, product, amount)
                guard record % 1000 != 999 else { return String(line.dropLast(20)) }
                if kind == "purchase" { revenue[product, default: 0] += amount }
                return line
            }
            result.lines.append(lines)
            let rows = revenue.map { ("Café \"\($0.key)\"", $0.value) }
            result.best.append(Array(rows.sorted { isBelow($1, $0) }.prefix(10)))
        }
        return result
    }

    private static func text(
        _ record: Int, _ user: String, _ kind: String, _ product: Int, _ amount: Int
    ) -> String {
        let stamp = 1_700_000_000_000 + record
        let product = "Caf\\u00e9 \\\"\(product)\\\""
        return "{\"time\": \(stamp), \"user\": \"\(user)\", \"kind\": \"\(kind)\", \"tags\": "
            + "[\"a\", {\"b\": null}], \"product\": \"\(product)\", \"amount\": \(amount)}"
    }
}
