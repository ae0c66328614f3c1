import StreamingContext

// Finds the most used hashtags of the last thirty batches, at each batch:
//   HashtagTopK HOST PORT [COUNT [BATCH_MILLISECONDS]]
// The server sends messages, a line each; try it with `nc -lk 9999` in another terminal. Ctrl-C
// drains what was received, then ends.

@main
struct HashtagTopK {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard (3...5).contains(arguments.count), let port = Int(arguments[2]),
            let count = arguments.count > 3 ? Int(arguments[3]) : 10, count > 0,
            let batch = arguments.count > 4 ? Int(arguments[4]) : 1000
        else { return print("usage: HashtagTopK HOST PORT [COUNT [BATCH_MILLISECONDS]]") }

        let interval = Duration.milliseconds(batch)
        let ssc = StreamingContext(appName: "HashtagTopK", batchInterval: interval)
        let messages = ssc.socketTextStream(arguments[1], port: port)
        top(count, in: messages, window: interval * 30).print(count)
        try await ssc.runUntilInterrupted()
    }

    /// The hashtags used most within the window, the first of them first; equals by name.
    static func top(
        _ count: Int, in messages: DStream<String>, window: Duration
    ) -> DStream<(String, Int)> {
        messages
            .flatMap { $0.words().filter { $0.hasPrefix("#") && $0.utf8.count > 1 } }
            .map { ($0.lowercased(), 1) }
            .reduceByKeyAndWindow(+, window: window)
            .transform { tags in
                let first = try await tags.top(count) { ($0.1, $1.0) < ($1.1, $0.0) }
                return tags.context.parallelize(first, partitions: 1)
            }
    }
}
