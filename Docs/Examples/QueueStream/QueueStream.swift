import StreamingContext

// Feeds RDDs into a queue while the stream runs, and counts their numbers by last digit:
//   QueueStream [BATCH_MILLISECONDS [RDD_COUNT]]
// One RDD is taken per batch. Ctrl-C ends it.

@main
struct QueueStream {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst().map { Int($0) }
        let numbers = arguments.compactMap(\.self)
        guard arguments.count <= 2, numbers.count == arguments.count else {
            return print("usage: QueueStream [BATCH_MILLISECONDS [RDD_COUNT]]")
        }
        let ssc = StreamingContext(
            appName: "QueueStream", batchInterval: .milliseconds(numbers.first ?? 1000))
        let queue = RDDQueue<Int>()
        lastDigits(of: ssc.queueStream(queue)).print()

        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for _ in 0..<(numbers.count == 2 ? numbers[1] : 30) {
                    queue.append(ssc.batchContext.parallelize(Array(1...1000), partitions: 10))
                    try await Task.sleep(for: ssc.batchInterval)
                }
            }
            try await ssc.runUntilInterrupted()
            group.cancelAll()
        }
    }

    /// How many numbers of a batch end with each digit.
    static func lastDigits(of numbers: DStream<Int>) -> DStream<(Int, Int)> {
        numbers.map { ($0 % 10, 1) }.reduceByKey(+)
    }
}
