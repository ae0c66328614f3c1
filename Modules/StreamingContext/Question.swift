internal import BatchEngine
internal import ReceiverRuntime

/// What actors are asked, by a task of its own: one that a call of the user's blocks, such as a
/// listener's, never answers, and whoever asked goes on nevertheless.
final class Question<Answer: Sendable>: Sendable {
    private let answers = AsyncMonitor<Answer?>(nil)
    private let asking: Task<Void, Never>

    init(_ ask: @escaping @Sendable () async -> Answer) {
        asking = Task { [answers] in
            let answer = await ask()
            answers.update { $0 = answer }
        }
    }

    /// The answer, if it has come.
    var answer: Answer? { answers.read { $0 } }

    /// Cancels the task that asks.
    func cancel() { asking.cancel() }

    /// Waits for the answer, unless it is cancelled.
    func wait() async { _ = try? await answers.wait(until: { $0 }) }

    /// Waits for the answer for a second of real time: actors that are not blocked answer at once,
    /// whatever the context's clock does meanwhile.
    func waitBriefly() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask { try? await IOThread.shared.sleep(for: .seconds(1)) }
            await group.next()
            group.cancelAll()
        }
    }
}
