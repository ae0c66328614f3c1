import StreamingContext

// Receives blocks of encoded lines on several connections and counts the lines with "the":
//   RawNetworkGrep STREAM_COUNT HOST PORT BATCH_MILLISECONDS
// The server sends frames: four bytes of length, the highest first, then strings as StreamCodable
// writes them. Ctrl-C drains what was received, then ends.

@main
struct RawNetworkGrep {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 5, let count = Int(arguments[1]), count > 0,
            let port = Int(arguments[3]), let batch = Int(arguments[4])
        else { return print("usage: RawNetworkGrep STREAM_COUNT HOST PORT BATCH_MILLISECONDS") }

        let ssc = StreamingContext(appName: "RawNetworkGrep", batchInterval: .milliseconds(batch))
        let streams = (1...count).map { _ in
            ssc.rawSocketStream(arguments[2], port: port, of: String.self)
        }
        matches(in: ssc.union(streams)).map { "Grep count: \($0)" }.print()
        try await ssc.runUntilInterrupted()
    }

    /// The number of lines in each batch that contain "the".
    static func matches(in lines: DStream<String>) -> DStream<Int> {
        lines.filter { $0.contains("the") }.count()
    }
}
