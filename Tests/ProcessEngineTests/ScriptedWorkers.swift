import BatchEngine
import DStreamTestKit
import ProcessEngine
import StreamingContext
import Synchronization

/// What becomes of workers in this process, by the number of a start or a message.
final class WorkerScript: Sendable {
    private struct State {
        var starts = 0
        var sizes: [Int] = []
        var answers: [Frames.Message] = []
        var tasks: [Frames.Message] = []
    }

    private let state = Locked(State())
    private let atStart: @Sendable (Int) throws -> Void
    private let atMessage: @Sendable (Int) throws -> Void
    private let atAnswer: @Sendable (Int, Frames.Message, [Frames.Message]) -> Frames.Message

    /// - Parameters:
    ///   - atStart: called before a worker starts, from 0; may throw in its place.
    ///   - atMessage: called before a worker is sent a message, from 0; throwing ends the worker.
    ///   - atAnswer: given each answer, counted from 0, and those before it; says what arrives.
    init(
        atStart: @escaping @Sendable (Int) throws -> Void = { _ in },
        atMessage: @escaping @Sendable (Int) throws -> Void = { _ in },
        atAnswer: @escaping @Sendable (Int, Frames.Message, [Frames.Message]) -> Frames.Message = {
            _, answer, _ in answer
        }
    ) {
        self.atStart = atStart
        self.atMessage = atMessage
        self.atAnswer = atAnswer
    }

    /// What was sent to workers, and what they answered.
    var messages: (tasks: [Frames.Message], answers: [Frames.Message]) {
        state.withLock { ($0.tasks, $0.answers) }
    }

    /// How many workers were asked for.
    var starts: Int { state.withLock { $0.starts } }
    /// How many bytes each message had.
    var sizes: [Int] { state.withLock { $0.sizes } }

    func start() throws {
        let number = state.withLock { state in
            state.starts += 1
            return state.starts - 1
        }
        try atStart(number)
    }

    func send(_ message: Frames.Message) throws {
        let number = state.withLock { state in
            state.sizes.append(message.payload.count)
            state.tasks.append(message)
            return state.sizes.count - 1
        }
        try atMessage(number)
    }

    /// What arrives of an answer.
    func receive(_ answer: Frames.Message) -> Frames.Message {
        let before = state.withLock { state in
            defer { state.answers.append(answer) }
            return state.answers
        }
        return atAnswer(before.count, answer, before)
    }

    /// An engine whose workers follow the script.
    func engine(workers: Int = 1) -> ProcessEngine {
        var configuration = ProcessEngine.Configuration(workers: workers)
        configuration.isLoopback = true
        let engine = ProcessEngine(configuration)
        engine.sources.withLock { $0 = { ScriptedSource(LoopbackSource($0), self) } }
        return engine
    }

    /// A harness on such an engine.
    func harness(maxTaskFailures: Int = 4) -> StreamHarness {
        var configuration = StreamingContext.Configuration()
        configuration.maxTaskFailures = maxTaskFailures
        let harness = StreamHarness(engine: .made { self.engine() }, configuration: configuration)
        // Nothing here goes on from a checkpoint.
        harness.ssc.graph.setCheckpointDirectory(true)
        return harness
    }
}

/// Workers in this process that follow a script.
private struct ScriptedSource: WorkerSource {
    private let source: LoopbackSource
    private let script: WorkerScript

    init(_ source: LoopbackSource, _ script: WorkerScript) {
        self.source = source
        self.script = script
    }

    func start(number: Int) async throws -> any WorkerLink {
        try script.start()
        return ScriptedLink(try await source.start(number: number), script)
    }

    func startService(_ service: Int, worker: Int) async throws -> any ServiceLink {
        try await source.startService(service, worker: worker)
    }
}

private final class ScriptedLink: WorkerLink {
    private let link: any WorkerLink
    private let script: WorkerScript

    init(_ link: any WorkerLink, _ script: WorkerScript) {
        self.link = link
        self.script = script
    }

    var hasEnded: Bool { link.hasEnded }

    func kill() { link.kill() }

    func exchange(
        _ message: Frames.Message, limit: Duration?
    ) async throws -> Frames.Message {
        do { try script.send(message) } catch {
            kill()
            throw error
        }
        // As with a process, other tasks go on meanwhile.
        await Task.yield()
        return script.receive(try await link.exchange(message, limit: limit))
    }
}

/// A worker that never answers: its task ends when it is killed.
final class MuteLink: WorkerLink {
    private struct State {
        var isKilled = false
        var waiting: CheckedContinuation<Void, Never>?
    }

    private let state = Locked(State())
    private let called = Signal()

    var hasEnded: Bool { state.withLock { $0.isKilled } }

    /// Suspends until it was sent a message.
    func waitForMessage() async { await called.wait() }

    func kill() {
        let waiting = state.withLock { state in
            defer { state.waiting = nil }
            state.isKilled = true
            return state.waiting
        }
        waiting?.resume()
    }

    func exchange(
        _ message: Frames.Message, limit: Duration?
    ) async throws -> Frames.Message {
        await withCheckedContinuation { continuation in
            let isKilled = state.withLock { state in
                if !state.isKilled { state.waiting = continuation }
                return state.isKilled
            }
            if isKilled { continuation.resume() }
            called.set()
        }
        throw WorkerLost(description: "killed")
    }
}

/// Gives one worker, as soon as it is let.
final class GatedSource: WorkerSource {
    let link = MuteLink()
    let asked = Signal()
    let gate = Signal()
    private let count = Locked(0)

    var starts: Int { count.withLock { $0 } }

    func start(number: Int) async throws -> any WorkerLink {
        count.withLock { $0 += 1 }
        asked.set()
        await gate.wait()
        return link
    }

    func startService(_ service: Int, worker: Int) async throws -> any ServiceLink {
        throw WorkerLost(description: "there are no services here")
    }
}

/// Something that happens once.
final class Signal: Sendable {
    private let (stream, feed) = AsyncStream.makeStream(of: Void.self)

    func set() { feed.finish() }

    func wait() async { for await _ in stream {} }
}
