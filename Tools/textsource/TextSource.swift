import BatchEngine

// Streams the lines of a text file, over and over, to whoever connects on a loopback port:
//   textsource PORT LINES_PER_SECOND FILE
// Port 0 takes a free one; the port is printed on the first line. Ends when the peer goes away.

@main
struct TextSource {
    static func main() async {
        guard CommandLine.arguments.count == 4, let port = Int(CommandLine.arguments[1]),
            let rate = Int(CommandLine.arguments[2]), rate > 0
        else {
            print("usage: textsource PORT LINES_PER_SECOND FILE")
            return
        }
        // The reader ends first: Ctrl-C in a terminal reaches this process as well.
        let signals = try? SignalWaiter([SignalWaiter.interrupt])
        do {
            try await serve(port: port, rate: rate, file: CommandLine.arguments[3])
        } catch {
            print("textsource: \(error)")
        }
        _ = signals
    }

    static func serve(port: Int, rate: Int, file: String) async throws {
        let lines = try FileSystem.readAll(file).split(separator: 10)
        guard !lines.isEmpty else { return print("textsource: \(file) has no lines") }
        let listener = try await TCPListener.bind(host: "127.0.0.1", port: port)
        // Not print: it keeps lines back when the output is a file.
        ProcessOutput.writeStandardOutput("listening on \(listener.port)\n")
        let connection = try await listener.accept()
        let start = SystemTime.monotonic()
        var sent = 0
        while true {
            let due = Int((SystemTime.monotonic() - start) / .milliseconds(1)) * rate / 1000
            if due > sent {
                var chunk: [UInt8] = []
                for line in sent..<due {
                    chunk += lines[line % lines.count]
                    chunk.append(10)
                }
                do { try await connection.writeAll(chunk) } catch let error as SystemError {
                    if error.isConnectionLost { return }
                    throw error
                }
                sent = due
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}
