import BatchEngine
import StreamingContext

// The benchmark program: bench WORKLOAD key=value ...
// Prints one line RESULT {...}; Docs/Performance/README.md tells the workloads and how to run them.

let workloads: [(name: String, run: @Sendable (Arguments) async throws -> Void)] = [
    ("w1a", WordCountFromMemory.run), ("w1b", WordCountFromTCP.run), ("w2", SlidingCount.run),
    ("w3", KeyedState.run), ("w4", Latency.run), ("w5", Footprint.run),
    ("w6", WordCountFromTCP.run), ("json", JSONLines.run), ("join", WindowJoin.run),
    ("window-max", WindowMax.run), ("state", LargeState.run), ("update", UpdatedState.run),
    ("recovery", Restart.run), ("keys", KeyKinds.run), ("partitions", Partitions.run),
    ("receivers", Receivers.run), ("soak", Soak.run), ("overload", Overload.run),
    ("hour", Hour.run), ("empty", EmptyBatches.run), ("small", SmallBatches.run),
]

guard let name = CommandLine.arguments.dropFirst().first,
    let workload = workloads.first(where: { $0.name == name })
else {
    let names = workloads.map(\.name).joined(separator: "|")
    ProcessOutput.writeStandardError("usage: bench \(names) key=value ...\n")
    ProcessEnvironment.exit(2)
}
do {
    try await workload.run(.given)
} catch {
    ProcessOutput.writeStandardError("bench: \(error)\n")
    ProcessEnvironment.exit(1)
}

/// Prints the line that the benchmark kit reads.
func printResult(_ fields: KeyValuePairs<String, Any>) {
    printResult(fields.map { ($0.key, $0.value) })
}

func printResult(_ fields: [(String, Any)]) {
    let text = fields.map { key, value in
        value is String ? "\"\(key)\":\"\(value)\"" : "\"\(key)\":\(value)"
    }
    print("RESULT {\(text.joined(separator: ","))}")
}
