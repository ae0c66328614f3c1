/// The `key=value` arguments of a workload.
struct Arguments {
    private let values: [String: String]

    init(_ arguments: some Sequence<String>) {
        var values: [String: String] = [:]
        for argument in arguments {
            let parts = argument.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
        }
        self.values = values
    }

    func text(_ key: String) throws -> String {
        guard let value = values[key] else { throw BenchError("the argument \(key)= is missing") }
        return value
    }

    func number(_ key: String, default fallback: Int? = nil) throws -> Int {
        guard let text = values[key] else {
            guard let fallback else { throw BenchError("the argument \(key)= is missing") }
            return fallback
        }
        guard let number = Int(text) else { throw BenchError("\(key)=\(text) is not a number") }
        return number
    }

    func has(_ key: String) -> Bool { values[key] != nil }
}

/// What the program ends with when it cannot measure.
struct BenchError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
