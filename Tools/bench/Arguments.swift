import StreamingContext

/// The `key=value` arguments of a workload.
struct Arguments {
    private let values: [String: String]

    /// Those of this program, behind the name of the workload.
    static let given = Arguments(CommandLine.arguments.dropFirst(2))

    /// What runs the work: `slots=2`, or `engine=processes workers=2`.
    var engine: StreamingContext.EngineSelection {
        get throws {
            guard values["engine"] == "processes" else {
                return .local(slots: try number("slots", default: 2))
            }
            return .processes(workers: try number("workers", default: 2))
        }
    }

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
