package import BatchEngine
internal import Synchronization

extension ProcessEngine: ServiceEngine {
    /// Starts a service in a process of its own; see ``ServiceEngine/withService(_:_:)``.
    package func withService(
        _ number: Int, _ body: @escaping @Sendable (any MessageChannel) async throws -> Void
    ) async throws {
        let stopped = EngineError(.stopped, "the engine was shut down")
        guard let source = workerSource else { throw stopped }
        // Behind the workers of tasks, so that no two have the same number.
        let link = try await source.startService(number, worker: configuration.workers + number)
        defer { link.kill() }
        services.withLock { $0[number] = link }
        // Whoever ended the workers meanwhile did not know of this one.
        guard workerSource != nil else { throw stopped }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await link.run() }
            defer {
                link.kill()
                // Only who holds it no more lets the ended process be forgotten.
                _ = services.withLock { $0.removeValue(forKey: number) }
                group.cancelAll()
            }
            try await body(link)
        }
    }

    /// Ends the process of a service as a crash does, for tests.
    package func crashService(_ number: Int) { services.withLock { $0[number] }?.crash() }
}
