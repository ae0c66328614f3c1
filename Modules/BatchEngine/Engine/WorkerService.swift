/// A conversation between the driver and code in another process, in messages of bytes.
///
/// ## Isolation
/// At most one task sends and at most one receives at a time.
package protocol MessageChannel: Sendable {
    /// Sends a message.
    ///
    /// - Throws: an error that says why the other side cannot be reached, `CancellationError`.
    func send(_ message: [UInt8]) async throws

    /// Waits for the next message.
    ///
    /// - Throws: an error that says how the other side ended, `CancellationError`.
    func receive() async throws -> [UInt8]
}

/// Code of a program that runs in a process of its own for as long as the driver wants, such as a
/// receiver; it returns or throws when the driver has ended the conversation.
package typealias WorkerService = @Sendable (any MessageChannel) async throws -> Void

/// An engine that has processes for services.
package protocol ServiceEngine: ExecutionEngine {
    /// Starts a service of the prepared program in a fresh process, and ends it when `body` leaves.
    ///
    /// - Throws: ``EngineError`` when there can be no such process, and what `body` throws.
    func withService(
        _ number: Int, _ body: @escaping @Sendable (any MessageChannel) async throws -> Void
    ) async throws
}
