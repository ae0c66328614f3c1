/// Receives the elements of an asynchronous sequence.
///
/// ```swift
/// let receiver = AsyncSequenceReceiver { feed.subscribe() }
/// ```
public struct AsyncSequenceReceiver<Source: AsyncSequence & Sendable>: Receiver
where Source.Element: Sendable {
    /// What is received.
    public typealias Element = Source.Element

    /// What happens when the sequence has ended.
    public enum End: Sendable, Hashable {
        /// The stream goes on without further elements.
        case finish
        /// A new sequence is made after the restart delay.
        case restart
    }

    /// The name in events.
    public let name: String
    /// What happens when a sequence has ended without an error; after one, a new sequence is made.
    public let end: End
    private let makeSequence: @Sendable () async throws -> Source

    /// Creates a receiver.
    ///
    /// - Parameters:
    ///   - name: the name in events.
    ///   - end: what happens when a sequence has ended.
    ///   - makeSequence: makes the sequence to receive, for every start.
    public init(
        name: String = "AsyncSequenceReceiver", atEnd end: End = .finish,
        _ makeSequence: @escaping @Sendable () async throws -> Source
    ) {
        self.name = name
        self.end = end
        self.makeSequence = makeSequence
    }

    /// Stores what the sequence gives until it ends or fails.
    public func run(_ output: ReceiverOutput<Element>) async throws {
        var count = 0
        for try await element in try await makeSequence() {
            try await output.store(element)
            count &+= 1
            guard count.isMultiple(of: 256) else { continue }
            // A sequence that never suspends: others are served, and a stop is noticed.
            await Task.yield()
            try Task.checkCancellation()
        }
        switch end {
        case .finish: try await output.untilStopped()
        case .restart: return
        }
    }
}
