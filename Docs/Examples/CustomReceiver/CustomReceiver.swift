import Foundation
import StreamingContext
import Synchronization

// Counts the words that are appended to a text file, brought in by a receiver of its own:
//   CustomReceiver FILE [BATCH_MILLISECONDS]
// Try it with `echo hello world >> FILE` in another terminal. Ctrl-C drains what was received, then
// ends. How receivers are written is told in Docs/Guides/CustomReceiver.md.

@main
struct CustomReceiver {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard (2...3).contains(arguments.count),
            let batch = arguments.count == 3 ? Int(arguments[2]) : 1000
        else { return print("usage: CustomReceiver FILE [BATCH_MILLISECONDS]") }

        let ssc = StreamingContext(appName: "CustomReceiver", batchInterval: .milliseconds(batch))
        counts(of: ssc.receiverStream(TailReceiver(path: arguments[1]))).print()
        try await ssc.runUntilInterrupted()
    }

    /// How often each word occurs in a batch.
    static func counts(of lines: DStream<String>) -> DStream<(String, Int)> {
        lines.flatMap { $0.words() }.map { ($0, 1) }.reduceByKey(+)
    }
}

/// Follows a growing text file, as `tail -f` does, from its beginning.
final class TailReceiver: Receiver {
    private let path: String
    /// Up to where the file is stored: what must survive a restart is kept in the receiver.
    private let position = Mutex<UInt64>(0)

    init(path: String) { self.path = path }

    func run(_ output: ReceiverOutput<String>) async throws {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        defer { try? file.close() }
        while true {
            let start = position.withLock(\.self)
            try file.seek(toOffset: start)
            let data = try file.read(upToCount: 1 << 20) ?? Data()
            guard let end = data.lastIndex(of: UInt8(ascii: "\n")) else {
                // No whole line yet; being stopped ends the wait.
                try await Task.sleep(for: .milliseconds(50))
                continue
            }
            // Stored first, then passed over: a failure in between brings lines twice, never not.
            let lines = data[..<end].split(separator: 10, omittingEmptySubsequences: false)
            try await output.store(block: lines.map { String(decoding: $0, as: UTF8.self) })
            position.withLock { $0 = start + UInt64(end - data.startIndex) + 1 }
        }
    }
}
