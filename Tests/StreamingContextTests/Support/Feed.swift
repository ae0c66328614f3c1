import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Synchronization

typealias Feed<Element: Sendable> = FeedReceiver<Element>

/// A list that is added to from anywhere and waited for.
final class Notes<Element: Sendable>: Sendable {
    private let notes = AsyncMonitor<[Element]>([])

    func add(_ note: Element) { notes.update { $0.append(note) } }

    var all: [Element] { notes.read { $0 } }

    /// The notes, once there are so many.
    @discardableResult
    func all(atLeast count: Int) async throws -> [Element] {
        try await notes.wait { $0.count >= count ? $0 : nil }
    }
}

/// Opens its gate when nobody holds it any more.
final class ReleaseProbe: StreamingListener {
    private let gate: TestGate

    init(_ gate: TestGate) { self.gate = gate }

    deinit { gate.open() }
}

struct Boom: Error, Hashable, CustomStringConvertible {
    var description = "boom"
}

extension ManualClock {
    /// Runs `body`, moving the clock to whatever is slept for meanwhile.
    func driving<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        let driver = Task {
            while !Task.isCancelled {
                let next = await nextSleeper()
                if next > now { set(to: next) }
            }
        }
        let outcome: Result<Value, any Error>
        do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
        driver.cancel()
        await driver.value
        return try outcome.get()
    }
}

extension StreamHarness {
    /// Moves on batch by batch until a condition holds for the events.
    func advance(until isEnough: ([StreamEvent]) -> Bool) async throws {
        while !isEnough(listener.events) { try await advance() }
    }

    /// Moves on by one batch and waits for the end of its jobs, whatever becomes of its checkpoint.
    func advanceUntilCompleted() async throws {
        let next = clock.now + ssc.batchInterval
        clock.advance(by: ssc.batchInterval)
        try await listener.first { $0.completedBatch?.batchTime == next }
    }

    /// The records of the batches that have completed.
    static func recordCount(_ events: [StreamEvent]) -> Int {
        events.reduce(0) { sum, event in
            if case .batchCompleted(let info) = event { sum + info.recordCount } else { sum }
        }
    }
}

extension StreamEvent {
    var isReceiverStarted: Bool { if case .receiverStarted = self { true } else { false } }
    var isReceiverStopped: Bool { if case .receiverStopped = self { true } else { false } }
    var isReceiverRestarting: Bool { if case .receiverRestarting = self { true } else { false } }
    var isStreamingStarted: Bool { if case .streamingStarted = self { true } else { false } }
    var isBatchSubmitted: Bool { if case .batchSubmitted = self { true } else { false } }
    var completedBatch: BatchInfo? {
        if case .batchCompleted(let info) = self { info } else { nil }
    }
}
