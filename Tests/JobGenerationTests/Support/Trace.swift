import BatchEngine
import DStreamCore
import Synchronization
import Testing

/// What happened, in order; a test waits for the next facts instead of for time.
final class Trace: Sendable {
    private let facts = Mailbox<String>(capacity: 1)
    private let kept = Locked<[String]>([])

    var all: [String] { kept.withLock { $0 } }

    func note(_ fact: String) {
        kept.withLock { $0.append(fact) }
        facts.post(fact)
    }

    /// Waits for as many facts as expected and compares.
    func expect(
        _ expected: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        var found: [String] = []
        while found.count < expected.count, let fact = await facts.next() { found.append(fact) }
        #expect(found == expected, sourceLocation: sourceLocation)
    }

    /// Waits for a fact, whatever comes before it.
    func wait(for fact: String) async {
        while let next = await facts.next(), next != fact {}
    }
}

/// Lets tasks pass one at a time, when the test says so.
final class Gate: Sendable {
    private let passes = Mailbox<Void>(capacity: 1)

    func open(_ times: Int = 1) { for _ in 0..<times { passes.post(()) } }

    func pass() async throws {
        _ = await passes.next()
        try Task.checkCancellation()
    }
}

struct Boom: Error, CustomStringConvertible, Equatable {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Notes errors handed to the sink.
final class ErrorLog: Sendable {
    private let errors = Locked<[StreamError]>([])

    var all: [StreamError] { errors.withLock { $0 } }

    func add(_ error: StreamError) { errors.withLock { $0.append(error) } }
}

/// Notes every event.
final class EventLog: StreamingListener {
    private let events = Locked<[StreamEvent]>([])
    private let arrived = Mailbox<StreamEvent>(capacity: 1)

    var all: [StreamEvent] { events.withLock { $0 } }

    func onEvent(_ event: StreamEvent) {
        // When a batch settles is the business of the tests that look at the checkpoints.
        if case .batchSettled = event { return }
        events.withLock { $0.append(event) }
        arrived.post(event)
    }

    /// Waits for an event that fits.
    func first(_ fits: (StreamEvent) -> Bool) async -> StreamEvent? {
        while let event = await arrived.next() { if fits(event) { return event } }
        return nil
    }
}

extension BatchTime {
    /// The short form of a time in traces.
    var text: String { String(milliseconds) }
}
