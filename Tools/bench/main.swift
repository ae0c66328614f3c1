import StreamingContext

// The benchmark program: bench WORKLOAD key=value ...
// Prints one line RESULT {...}; Docs/Performance/README.md tells the workloads and how to run them.

let arguments = Array(CommandLine.arguments.dropFirst())
let values = Arguments.given
do {
    switch arguments.first {
    case "w1a": try await WordCountFromMemory.run(values)
    case "w1b", "w6": try await WordCountFromTCP.run(values)
    case "w2": try await SlidingCount.run(values)
    case "w3": try await KeyedState.run(values)
    case "w4": try await Latency.run(values)
    case "w5": try await Footprint.run(values)
    case "window-max": try await WindowMax.run(values)
    case "hour": try await Hour.run(values)
    case "state": try await LargeState.run(values)
    case "update": try await UpdatedState.run(values)
    case "recovery": try await Restart.run(values)
    default:
        throw BenchError(
            "usage: bench w1a|w1b|w2|w3|w4|w5|w6|window-max|hour|state|update|recovery "
                + "key=value ...")
    }
} catch {
    print("bench: \(error)")
    throw error
}

/// Prints the line that the benchmark kit reads.
func printResult(_ fields: KeyValuePairs<String, Any>) {
    let text = fields.map { key, value in
        value is String ? "\"\(key)\":\"\(value)\"" : "\"\(key)\":\(value)"
    }
    print("RESULT {\(text.joined(separator: ","))}")
}
