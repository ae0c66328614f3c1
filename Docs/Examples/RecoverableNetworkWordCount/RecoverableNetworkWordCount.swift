import StreamingContext

// Counts words from a text server but for a few that are excluded, and saves the counts:
//   RecoverableNetworkWordCount HOST PORT CHECKPOINT_DIRECTORY OUTPUT_PREFIX \
//       [BATCH_MILLISECONDS | replay]
// Try it with `nc -lk 9999` in another terminal. The counts of each batch are printed, and written
// into a directory OUTPUT_PREFIX-TIME. Ctrl-C drains what was received, then ends.
//
// It survives its own crash: one function makes the context, all of it, and what was received is
// logged before it counts as received. Kill it and start it again with the same arguments: batches
// that had not completed run again with the lines they had, then those that were missed.
//
// Counts that cannot be saved, say because the disk is full, are tried again twice and then kept as
// dead letters; with `replay` as the last argument, the program saves them and ends.

@main
struct RecoverableNetworkWordCount {
    static func main() async throws {
        let arguments = CommandLine.arguments
        let isReplay = arguments.last == "replay"
        guard (5...6).contains(arguments.count), let port = Int(arguments[2]),
            let batch = arguments.count == 6 && !isReplay ? Int(arguments[5]) : 1000
        else {
            return print(
                "usage: RecoverableNetworkWordCount HOST PORT CHECKPOINT_DIRECTORY OUTPUT_PREFIX "
                    + "[BATCH_MILLISECONDS|replay]")
        }
        if isReplay {
            let ssc = makeContext(
                host: arguments[1], port: port, output: arguments[4],
                batchInterval: .milliseconds(batch))
            ssc.checkpoint(arguments[3])
            return print(try await ssc.replayDeadLetters())
        }
        let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: arguments[3]) {
            makeContext(
                host: arguments[1], port: port, output: arguments[4],
                batchInterval: .milliseconds(batch))
        }
        try await ssc.runUntilInterrupted()
    }

    /// Makes the context and declares everything in it, from the arguments alone.
    static func makeContext(
        host: String, port: Int, output prefix: String, batchInterval: Duration
    ) -> StreamingContext {
        let ssc = StreamingContext(
            appName: "RecoverableNetworkWordCount", batchInterval: batchInterval)
        let counts = counts(
            of: ssc.socketTextStream(host, port: port, protection: .writeAheadLog),
            excluding: ["a", "b", "c"])
        counts.print()
        counts.saveAsTextFiles(prefix: prefix)
            .named("counts")
            .onFailure(retry: RetryPolicy(maxAttempts: 3), then: .deadLetter)
        return ssc
    }

    /// How often each word occurs in a batch, without the excluded ones.
    static func counts(
        of lines: DStream<String>, excluding excluded: Set<String>
    ) -> DStream<(String, Int)> {
        lines
            .flatMap { $0.words() }
            .filter { !excluded.contains($0) }
            .map { ($0, 1) }
            .reduceByKey(+)
    }
}
