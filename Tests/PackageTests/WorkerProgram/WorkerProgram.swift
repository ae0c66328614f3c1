import StreamingContext

/// A program as a user writes it, with workers: its `main` is the application's own.
@main
struct WorkerProgram: StreamingApplication {
    static func makeContext() -> StreamingContext {
        StreamingContext(
            appName: "WorkerProgram", batchInterval: .milliseconds(100),
            engine: .processes(workers: 1))
    }

    static func build(_ ssc: StreamingContext) {
        ssc.queueStream([[1, 2], [3]], oneAtATime: false).map { $0 * 2 }.reduce(+)
            .foreachRDD { rdd in
                guard let sum = try await rdd.collect().first else { return }
                precondition(sum == 12)
                // Not from inside the batch that it waits for.
                Task { await ssc.stop() }
            }
    }
}
