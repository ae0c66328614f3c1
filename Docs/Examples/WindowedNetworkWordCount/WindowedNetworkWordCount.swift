import StreamingContext

// Counts the words of a text server over the last thirty batches, every ten batches:
//   WindowedNetworkWordCount HOST PORT [BATCH_MILLISECONDS]
// Try it with `nc -lk 9999` in another terminal: a word is counted for thirty seconds and then
// forgotten. Ctrl-C drains what was received, then ends.

@main
struct WindowedNetworkWordCount {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard (3...4).contains(arguments.count), let port = Int(arguments[2]),
            let batch = arguments.count == 4 ? Int(arguments[3]) : 1000
        else { return print("usage: WindowedNetworkWordCount HOST PORT [BATCH_MILLISECONDS]") }

        let interval = Duration.milliseconds(batch)
        let ssc = StreamingContext(appName: "WindowedNetworkWordCount", batchInterval: interval)
        let lines = ssc.socketTextStream(arguments[1], port: port)
        counts(of: lines, window: interval * 30, slide: interval * 10).print()
        try await ssc.runUntilInterrupted()
    }

    /// How often each word occurred within the window.
    static func counts(
        of lines: DStream<String>, window: Duration, slide: Duration
    ) -> DStream<(String, Int)> {
        lines
            .flatMap { $0.words() }
            .map { ($0, 1) }
            .reduceByKeyAndWindow(+, window: window, slide: slide)
    }
}
