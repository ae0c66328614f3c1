import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Synchronization

/// A receiver through which a test stores.
final class Feed<Element: Sendable>: Receiver {
    private let outputs = AsyncMonitor<[ReceiverOutput<Element>?]>([])
    let storageLevel: StorageLevel

    var name: String { "Feed" }

    init(storageLevel: StorageLevel = .memoryOnly) { self.storageLevel = storageLevel }

    func run(_ output: ReceiverOutput<Element>) async throws {
        let index = outputs.update { outputs in
            outputs.append(output)
            return outputs.count - 1
        }
        // An output leads back to its receiver.
        defer { outputs.update { $0[index] = nil } }
        try await output.untilStopped()
    }

    /// What the receiver was given at its n-th start, once it was.
    func output(run: Int = 1) async throws -> ReceiverOutput<Element> {
        try await outputs.wait { $0.count >= run ? $0[run - 1] : nil }
    }

    /// Stores a block and returns when it is stored.
    func store(block: [Element]) async throws { try await output().store(block: block) }
}

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
    func advance(until isEnough: ([StreamEvent]) -> Bool) async {
        while !isEnough(listener.events) { await advance() }
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
