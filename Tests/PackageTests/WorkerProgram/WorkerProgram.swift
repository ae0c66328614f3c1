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
        ssc.inputStream { _, context in context.batch.parallelize([1, 2, 3]) }
            .map { $0 * 2 }
            .foreachRDD { rdd in
                let doubled = try await rdd.collect()
                precondition(doubled == [2, 4, 6])
                // Not from inside the batch, which the stop would wait for.
                Task { await ssc.stop() }
            }
    }
}
