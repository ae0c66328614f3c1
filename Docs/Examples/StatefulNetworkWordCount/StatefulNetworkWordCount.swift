import StreamingContext

// Counts the words of a text server since the start, the state of each word kept by mapWithState:
//   StatefulNetworkWordCount HOST PORT [BATCH_MILLISECONDS]
// Try it with `nc -lk 9999` in another terminal. Each word that comes in is printed with its count
// so far; "hello" and "world" begin at 1. Counts are kept in a folder `checkpoint` where it runs: the
// next start goes on from them. Ctrl-C drains what was received, then ends.

@main
struct StatefulNetworkWordCount {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard (3...4).contains(arguments.count), let port = Int(arguments[2]),
            let batch = arguments.count == 4 ? Int(arguments[3]) : 1000
        else { return print("usage: StatefulNetworkWordCount HOST PORT [BATCH_MILLISECONDS]") }

        let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: "checkpoint") {
            let ssc = StreamingContext(
                appName: "StatefulNetworkWordCount", batchInterval: .milliseconds(batch))
            let known = ssc.batchContext.parallelize([("hello", 1), ("world", 1)])
            runningCounts(of: ssc.socketTextStream(arguments[1], port: port), from: known).print()
            return ssc
        }
        try await ssc.runUntilInterrupted()
    }

    /// Each word of each line, with how often it has come so far.
    static func runningCounts(
        of lines: DStream<String>, from known: RDD<(String, Int)>
    ) -> DStream<(String, Int)> {
        let count = StateSpec.function { (word: String, one: Int?, state: State<Int>) in
            let sum = (one ?? 0) + (state.getOption() ?? 0)
            try state.update(sum)
            return (word, sum)
        }
        return
            lines
            .flatMap { $0.words() }
            .map { ($0, 1) }
            .mapWithState(count.initialState(known))
    }
}
