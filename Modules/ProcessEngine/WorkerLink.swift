package import BatchEngine

/// A worker as the driver sees it: it is sent one message at a time, and answers each.
package protocol WorkerLink: AnyObject, Sendable {
    /// Sends a message and waits for the answer.
    ///
    /// ## Cancellation
    /// Ends at once; the worker is of no use then and is to be killed.
    ///
    /// - Parameter limit: how long that may take; nil: for ever.
    /// - Throws: ``WorkerLost`` when the worker has ended, or was killed at the limit.
    func exchange(_ message: Frames.Message, limit: Duration?) async throws -> Frames.Message

    /// Whether the worker is known to have ended. Waits for nothing.
    var hasEnded: Bool { get }

    /// The number of the worker's process; nil: it is none.
    var processID: Int32? { get }

    /// Ends the worker at once, whatever it does.
    func kill()
}

extension WorkerLink {
    package var processID: Int32? { nil }
}

/// Where workers come from.
package protocol WorkerSource: Sendable {
    /// Starts a worker and takes it, if it is the right one.
    ///
    /// - Throws: ``WorkerLost`` when it cannot be had this time; ``EngineError``
    ///   `.workersUnusable` when it is another program.
    func start(number: Int) async throws -> any WorkerLink

    /// Starts a worker that runs a service of the program.
    ///
    /// - Throws: as ``start(number:)``.
    func startService(_ service: Int, worker: Int) async throws -> any ServiceLink
}

/// Workers in this process: what goes through the boundary is encoded as for others.
///
/// For tests: a worker that is killed loses its tables, as a process does.
package final class LoopbackSource: WorkerSource {
    private let program: EngineProgram

    package init(_ program: EngineProgram) { self.program = program }

    package func start(number: Int) async throws -> any WorkerLink { LoopbackLink(program, number) }

    package func startService(_ service: Int, worker: Int) async throws -> any ServiceLink {
        LoopbackService(try program.service(service), number: worker)
    }

    /// A message as it comes out of the frames it was put into.
    static func carried(_ message: Frames.Message) throws -> Frames.Message {
        var reader = FrameReader()
        guard let carried = try reader.messages(in: try FramedMessage(message).bytes).first else {
            throw EngineError(.invalidPlan, "a message did not come out of its frames")
        }
        return carried
    }
}

extension EngineProgram {
    /// A service by its number.
    func service(_ number: Int) throws -> WorkerService {
        guard let service = services[number] else {
            throw EngineError(.invalidPlan, "the program has no service \(number)")
        }
        return service
    }
}

private final class LoopbackLink: WorkerLink {
    private let tasks: WorkerTasks
    private let number: Int
    private let isKilled = CancellationFlag()

    init(_ program: EngineProgram, _ number: Int) {
        tasks = WorkerTasks(program)
        self.number = number
    }

    var hasEnded: Bool { isKilled.isCancelled }

    func kill() { isKilled.cancel() }

    func exchange(
        _ message: Frames.Message, limit: Duration?
    ) async throws -> Frames.Message {
        let received = try LoopbackSource.carried(message)
        let answer = try LoopbackSource.carried(try await tasks.answer(received))
        if isKilled.isCancelled {
            throw WorkerLost(description: "worker \(number) was killed in the middle of the task")
        }
        return answer
    }
}
