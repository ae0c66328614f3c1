internal import BatchEngine
internal import DStreamCore

/// Runs something that must end within a time of the machine's clock.
///
/// What does not end although it is cancelled is left behind, on a thread of its own.
///
/// - Throws: ``CheckFailure`` with the promise when the time is over; what the body throws.
func limited(
    to limit: Duration, _ promise: String, _ body: @escaping @Sendable () async throws -> Void
) async throws {
    let engine = LocalEngine(slots: 1)
    defer { engine.shutdown() }
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await engine.perform("check", body) }
        group.addTask {
            try await SystemStreamClock().sleep(for: limit)
            throw CheckFailure("\(promise): it did not within \(limit)")
        }
        defer { group.cancelAll() }
        do { try await group.next() } catch {
            // Only now, so that the body's end does not come before the failure.
            engine.abandon(reason: promise)
            throw error
        }
    }
}
