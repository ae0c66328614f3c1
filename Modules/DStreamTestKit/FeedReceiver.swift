public import BatchEngine
public import ReceiverRuntime

/// A receiver through which a test stores, once it runs.
///
/// ```swift
/// let feed = FeedReceiver<Int>()
/// let seen = harness.record(harness.ssc.receiverStream(feed))
/// try await harness.ssc.start()
/// try await feed.store(block: [1, 2])
/// try await harness.advance()
/// ```
public final class FeedReceiver<Element: Sendable>: Receiver {
    /// The name in events.
    public let name: String
    /// Where received blocks are kept.
    public let storageLevel: StorageLevel
    private let outputs = AsyncMonitor<[ReceiverOutput<Element>?]>([])

    /// Creates a receiver.
    public init(name: String = "FeedReceiver", storageLevel: StorageLevel = .memoryOnly) {
        self.name = name
        self.storageLevel = storageLevel
    }

    /// Hands `output` to the test until it is stopped.
    public func run(_ output: ReceiverOutput<Element>) async throws {
        let index = outputs.update { outputs in
            outputs.append(output)
            return outputs.count - 1
        }
        // An output leads back to its receiver.
        defer { outputs.update { $0[index] = nil } }
        try await output.untilStopped()
    }

    /// What the receiver was given at its n-th start, once it was and while it runs.
    ///
    /// A receiver does not know its context: that it is never started ends no wait.
    ///
    /// - Throws: ``WaitError`` when that run has ended; `CancellationError`.
    public func output(run: Int = 1) async throws -> ReceiverOutput<Element> {
        let output = try await outputs.wait { $0.count >= run ? .some($0[run - 1]) : nil }
        if let output { return output }
        throw WaitError(
            .receiverEnded, awaited: "run \(run) of the receiver \(name)", "it has ended")
    }

    /// Stores a block in the first run, and returns when it is stored.
    ///
    /// - Throws: as ``output(run:)`` and `ReceiverOutput.store(block:metadata:)`.
    public func store(block: [Element]) async throws { try await output().store(block: block) }
}
