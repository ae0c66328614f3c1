/// What was asked of one run of a receiver, by itself or by its supervisor.
final class ReceiverControl: Sendable {
    /// What ends a run.
    enum Request: Sendable {
        case restart(message: String, error: (any Error)?, delay: Duration?)
        case stop(message: String)
        case stopByDriver
    }

    private let request = AsyncMonitor<Request?>(nil)

    /// What was asked first; nil: nothing.
    var current: Request? { request.read { $0 } }

    /// Asks; the first request counts, but the driver's comes before all.
    func ask(_ new: Request) {
        request.update { request in
            if case .stopByDriver = new {
                request = new
            } else {
                request = request ?? new
            }
        }
    }

    /// Suspends until something was asked.
    func wait() async throws {
        try await request.wait(for: { $0 != nil })
    }
}
