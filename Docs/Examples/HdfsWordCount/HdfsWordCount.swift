import StreamingContext

// Counts the words of the text files that appear in a directory:
//   HdfsWordCount DIRECTORY [BATCH_MILLISECONDS]
// The directory may be on any mounted file system, HDFS among them. Write a file elsewhere on the
// same file system and move it in, so that it appears complete:
//   echo "hello world" > /tmp/words; mv /tmp/words DIRECTORY/
// Files that were there before the start are not read. Ctrl-C ends it.

@main
struct HdfsWordCount {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard (2...3).contains(arguments.count),
            let batch = arguments.count == 3 ? Int(arguments[2]) : 2000
        else { return print("usage: HdfsWordCount DIRECTORY [BATCH_MILLISECONDS]") }

        let ssc = StreamingContext(appName: "HdfsWordCount", batchInterval: .milliseconds(batch))
        counts(of: ssc.textFileStream(arguments[1])).print()
        try await ssc.runUntilInterrupted()
    }

    /// How often each word occurs in the files of a batch.
    static func counts(of lines: DStream<String>) -> DStream<(String, Int)> {
        lines.flatMap { $0.words() }.map { ($0, 1) }.reduceByKey(+)
    }
}
