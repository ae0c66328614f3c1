/// Runs two operations at once and returns when the first has ended; the other is cancelled.
///
/// - Throws: what the first to end throws; `CancellationError` if the task is cancelled.
func firstOf(
    _ first: @escaping @Sendable () async throws -> Void,
    or second: @escaping @Sendable () async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await first() }
        group.addTask { try await second() }
        defer { group.cancelAll() }
        try await group.next()
    }
}
