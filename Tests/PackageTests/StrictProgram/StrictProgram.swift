import StreamingContext

// Compiled with the upcoming features that change which imports are needed: one still is enough.

struct Click: Codable, StreamKey {
    var page: String
}

@main
struct StrictProgram {
    static func main() {
        let ssc = StreamingContext(appName: "Strict", batchInterval: .milliseconds(100))
        let clicks = ssc.socketTextStream("localhost", port: 9999)
            .map { (Click(page: $0), 1) }
            .reduceByKey(+)
        clicks.print()
        precondition(ssc.batchInterval.milliseconds == 100)
        precondition(BatchTime(milliseconds: 200) > .zero)
    }
}
