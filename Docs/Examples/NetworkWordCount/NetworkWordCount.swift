import StreamingContext

// Counts words from a text server, batch by batch:
//   NetworkWordCount HOST PORT [--batch MILLISECONDS] [--status]
// Try it with `nc -lk 9999` in another terminal. Ctrl-C drains what was received, then ends.

@main
struct NetworkWordCount {
    static func main() async throws {
        let options = try Options(CommandLine.arguments)
        let ssc = StreamingContext(
            appName: "NetworkWordCount", batchInterval: .milliseconds(options.batchMilliseconds))
        let counts = ssc.socketTextStream(options.host, port: options.port)
            .flatMap { $0.words() }
            .map { ($0, 1) }
            .reduceByKey(+)
        counts.print()

        let status = StatusLine(isShown: options.showsStatus)
        ssc.addStreamingListener(status)
        let report = try await ssc.runUntilInterrupted()
        status.printSummary(report)
    }
}

/// What the command line says.
struct Options {
    var host = ""
    var port = 0
    var batchMilliseconds = 1000
    var showsStatus = false

    struct Usage: Error, CustomStringConvertible {
        let description = "usage: NetworkWordCount HOST PORT [--batch MILLISECONDS] [--status]"
    }

    init(_ arguments: [String]) throws {
        var rest = arguments.dropFirst()
        var positional: [String] = []
        while let argument = rest.popFirst() {
            switch argument {
            case "--status": showsStatus = true
            case "--batch":
                guard let text = rest.popFirst(), let value = Int(text) else { throw Usage() }
                batchMilliseconds = value
            default: positional.append(argument)
            }
        }
        guard positional.count == 2, let number = Int(positional[1]) else { throw Usage() }
        host = positional[0]
        port = number
    }
}
