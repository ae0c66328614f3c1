import StreamingContext

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

// Counts words from a text server, batch by batch:
//   NetworkWordCount HOST PORT [--batch MILLISECONDS] [--status]
// Try it with `nc -lk 9999` in another terminal. Ctrl-C drains what was received, then ends:
// with 0, with 2 when not everything could be drained, with 1 after an error.

@main
struct NetworkWordCount {
    static func main() async {
        do {
            exit(try await run() ? 0 : 2)
        } catch {
            print("NetworkWordCount: \(error)")
            exit(1)
        }
    }

    /// Runs until interrupted; tells whether everything received was processed.
    static func run() async throws -> Bool {
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
        return report.isDrained
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
