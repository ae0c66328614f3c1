/// Threads for what the runtime calls between batches and does not know: parts of the user's, such as
/// stores and handlers, which may block.
///
/// They are shared by all contexts of the process. When all are blocked, further calls wait for one.
package enum UserThreads {
    /// How many threads there may be.
    package static let limit = 64

    private static let shared = SlotExecutor(name: "dstream-user", limit: limit, idleMaximum: 2)

    /// Allows as many new threads as are busy: what they call may never return.
    package static func replaceThreads() { shared.replaceThreads() }

    /// Suspends until one of the threads takes work, or the task is cancelled.
    package static func pulse() async {
        let outcome = AbandonableOutcome { await run {} }
        // Unstructured on purpose: where none is free, whoever looks could not end.
        Task { await outcome.run() }
        await withTaskCancellationHandler {
            try? await outcome.value()
        } onCancel: {
            outcome.finish(.failure(CancellationError()))
        }
    }

    /// Runs a call on one of the threads, and suspends until it has returned.
    ///
    /// What it awaits goes on there, too, other tasks' turns on the same actors included: so it
    /// calls the user's part and none of the runtime's actors.
    ///
    /// - Throws: what the call throws.
    @concurrent
    package static func run<Value: Sendable>(
        _ call: @Sendable () async throws -> Value
    ) async rethrows -> Value {
        try await withTaskExecutorPreference(shared) {
            // The preference alone changes no thread: that of the next resumption counts.
            await Task.yield()
            return try await call()
        }
    }
}
