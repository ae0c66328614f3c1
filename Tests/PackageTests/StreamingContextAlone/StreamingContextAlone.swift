import StreamingContext

/// The first program in the guide, as it stands there.
func networkWordCount() async throws {
    let ssc = StreamingContext(appName: "NetworkWordCount", batchInterval: .seconds(1))
    let counts = ssc.socketTextStream("localhost", port: 9999)
        .flatMap { $0.words() }
        .map { ($0, 1) }
        .reduceByKey(+)
    counts.print()

    try await ssc.start()
    try await ssc.awaitTermination()
}

@main
struct StreamingContextAlone {
    static func main() async throws {
        // It needs a text server on port 9999, so it runs when asked to only.
        if CommandLine.arguments.contains("run") { try await networkWordCount() }
    }
}
